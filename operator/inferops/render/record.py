"""A revision on record: a ControllerRevision that holds what is served and the objects as they were rendered.

From it any later version of the operator restores the revision's children unchanged, so that neither an upgrade of
the operator nor a change of the ServingRuntime touches a running pod. The API server lets nobody change its data.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferops.api.resources import InferenceService
from inferops.core.revision import RevisionSpec, revision_name
from inferops.render import labels

KINDS = {"deployment": "Deployment", "service": "Service", "pdb": "PodDisruptionBudget"}


@dataclass(frozen=True, slots=True)
class Record:
    """A revision with its objects as they are applied; the Deployment without its replicas."""

    spec: RevisionSpec
    image: str  # the engine's
    objects: Mapping[str, dict[str, Any]]  # by the keys of KINDS


def render_record(service: InferenceService, revision: str, order: int, record: Record) -> dict[str, Any]:
    """The ControllerRevision of the revision with the hash `revision`; `order` counts up as revisions are made."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": labels.metadata(service, revision_name(service.metadata.name, revision), revision),
        "revision": order,
        "data": {
            "spec": record.spec.dump(),
            "image": record.image,
            "objects": {name: copy.deepcopy(record.objects[name]) for name in KINDS},
        },
    }


def read_record(data: Mapping[str, Any]) -> Record:
    """The record in the `data` of a ControllerRevision. Raises ValueError where it is none of ours."""
    try:
        objects = {name: copy.deepcopy(dict(data["objects"][name])) for name in KINDS}
        for name, kind in KINDS.items():
            if objects[name]["kind"] != kind:
                raise ValueError(f"data.objects.{name}: {objects[name]['kind']!r} is no {kind}")
        return Record(spec=RevisionSpec.model_validate(data["spec"]), image=str(data["image"]), objects=objects)
    except (KeyError, TypeError) as wrong:
        raise ValueError(f"data: no record of a revision, {wrong!r} is missing or of another kind") from wrong
