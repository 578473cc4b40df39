"""The kinds of replicas that a service can have: its choices of accelerators, and what a replica on each carries."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.core import choices
from inferops.core.observation import Observation
from inferops.core.sizing import Option
from inferops.core.told import describe


@dataclass(frozen=True, slots=True)
class Kind:
    """A choice of accelerators, with what a replica on it carries next to one on the first choice."""

    choice: AcceleratorChoice
    accelerator: AcceleratorSpec
    work: float

    @property
    def name(self) -> str:
        return describe(self.choice)


def kinds(seen: Observation) -> list[Kind]:
    """The ways that the spec allows or sizing found, in order of preference. Where sizing cannot compare them, a
    replica is a replica."""
    listed = [each for each in choices.each_choice(seen) if each.type in seen.accelerators]
    found = [choices.estimate(seen, choice) for choice in listed]
    speeds = [each.tokens_per_second / each.replicas for each in found if isinstance(each, Option)]
    known = len(speeds) == len(listed) and all(speeds)
    works = [speed / speeds[0] for speed in speeds] if known else [1.0] * len(listed)
    return [Kind(choice, seen.accelerators[choice.type], work) for choice, work in zip(listed, works, strict=True)]
