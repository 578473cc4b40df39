"""What the decisions need to know of a serving engine. The engines themselves stand in `inferops.runtimes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Reason
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.revision import RevisionSpec


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way, as it will read in a condition."""

    reason: Reason
    message: str  # names the field and the remedy


class Engine(Protocol):
    """One serving engine, as far as a decision depends on it."""

    @property
    def name(self) -> str:
        """The engine's name, as in `ServingRuntime.spec.engine`."""

    @property
    def http_alone(self) -> bool:
        """Whether all of its requests are HTTP, so that the built-in gateway can take them."""

    def memory_share(self, runtime: ServingRuntimeSpec, args: Sequence[str]) -> float | None:
        """Share of the accelerators' memory that it takes, given the user's `args`. None: it cannot be sized, since
        it serves other things than language models."""

    def obstacle(
        self, revision: RevisionSpec, runtime: ServingRuntimeSpec, accelerator: AcceleratorSpec
    ) -> Obstacle | None:
        """Why this engine cannot serve `revision`: a source it cannot read, an argument it does not take."""
