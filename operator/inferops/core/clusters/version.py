"""The version of a service that is placed on clusters: model and runtime, which are handed to them wave by wave.

Accelerators are not part of it: which of them a cluster uses is placement's, and each cluster may have another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from inferops.api.inferenceservice import InferenceServiceSpec, ModelSpec, RuntimeSpec
from inferops.api.placement import PlacedVersion
from inferops.core.revision import HASH_LENGTH


@dataclass(frozen=True)
class Version:
    """One version. As in a revision, where the model's config.json stands makes no new one."""

    model: ModelSpec
    runtime: RuntimeSpec

    @cached_property
    def hash(self) -> str:
        """Ten hexadecimal digits. Fields at their default do not count."""
        model = self.model.model_copy(update={"config": None})
        text = json.dumps(_content(model, self.runtime), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]

    def record(self) -> PlacedVersion:
        """As it is kept in a status."""
        content = _content(self.model, self.runtime)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return PlacedVersion(version=self.hash, content=text)


def version_of(spec: InferenceServiceSpec) -> Version:
    """The version that `spec` asks for."""
    return Version(spec.model, spec.runtime)


def read(record: PlacedVersion) -> Version | None:
    """A version on record. None where somebody edited it so that it is none."""
    try:
        content = json.loads(record.content)
        found = Version(ModelSpec.model_validate(content["model"]), RuntimeSpec.model_validate(content["runtime"]))
    except (ValueError, KeyError, TypeError, ValidationError):
        return None
    return found if found.hash == record.version else None


def _content(model: ModelSpec, runtime: RuntimeSpec) -> dict[str, object]:
    parts = {"model": model, "runtime": runtime}
    return {name: part.model_dump(mode="json", by_alias=True, exclude_defaults=True) for name, part in parts.items()}
