"""Revisions: what makes a new one, its hash and its names.

A revision is one immutable version of what is served: the model, the engine with its arguments, and the
accelerator that was chosen for it. Scaling, rollout, placement and traffic are not part of it: changing
them restarts nothing.
"""

from __future__ import annotations

import hashlib
import json

from pydantic import Field

from inferops.api.base import Model
from inferops.api.inferenceservice import AcceleratorChoice, InferenceServiceSpec, ModelSpec, RuntimeSpec

HASH_LENGTH = 10


class BatchLimits(Model):
    """How much an engine batches, where sizing has it do less than usual."""

    tokens: int = Field(ge=1, description="Tokens of one step.")
    sequences: int = Field(ge=1, description="Sequences that run at once.")


class RevisionSpec(Model):
    """What is served by one revision."""

    model: ModelSpec = Field(description="The model.")
    runtime: RuntimeSpec = Field(description="The engine and its arguments.")
    accelerator: AcceleratorChoice = Field(description="The accelerator that was chosen among those of the service.")
    batch: BatchLimits | None = Field(
        default=None, description="Limits that sizing reckons with; left out: usual ones."
    )
    sized_for: str = Field(
        default="", max_length=64, description="Digest of what sizing was asked for; empty: nothing was left to it."
    )

    @property
    def hash(self) -> str:
        """Ten hexadecimal digits. Fields at their default do not count, so that a field which a newer version
        of the operator adds changes no existing hash and restarts nothing."""
        content = self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"sized_for"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def revision_of(spec: InferenceServiceSpec, choice: AcceleratorChoice) -> RevisionSpec:
    """The revision that `spec` asks for when its replicas run on `choice`.

    Where the model's config.json stands is left out: it tells sizing of the model and changes nothing that is served.
    """
    model = spec.model.model_copy(update={"config": None})
    return RevisionSpec(model=model, runtime=spec.runtime, accelerator=choice)


def revision_name(service: str, revision: str) -> str:
    """Name of everything that belongs to one revision: its Deployment, Service, PodDisruptionBudget and record."""
    return f"{service}-{revision}"
