"""The kinds of replicas that a service can have: its choices of accelerators, and what a replica on each carries.

That is requests a second within the SLO, as sizing reckons it, next to a replica on the first choice. On the way to a
cluster and back a part of `slo.ttft` passes, so the farther its clients are, the less a replica carries there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.formats import seconds
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.core import choices
from inferops.core.clusters.distance import Distance
from inferops.core.observation import Observation
from inferops.core.sizing import Option, concurrency, times
from inferops.core.told import describe


@dataclass(frozen=True, slots=True)
class Kind:
    """A choice of accelerators, with what a replica on it carries next to one on the first choice."""

    choice: AcceleratorChoice
    accelerator: AcceleratorSpec
    work: float  # 0: nothing, since its clients are too far away
    near: float  # what it would carry next to its clients
    option: Option | None = None  # what sizing says of it

    @property
    def name(self) -> str:
        return describe(self.choice)


def kinds(seen: Observation) -> list[Kind]:
    """The ways that the spec allows or sizing found, in order of preference, next to their clients. Where sizing cannot
    compare them, a replica is a replica."""
    listed = [each for each in choices.each_choice(seen) if each.type in seen.accelerators]
    found = []
    for choice in listed:
        option = choices.estimate(seen, choice)
        known = option if isinstance(option, Option) else None
        found.append(Kind(choice, seen.accelerators[choice.type], 1.0, 1.0, known))
    rates = [_rate(seen, each.choice, each.option, 0.0) for each in found if each.option is not None]
    if len(rates) < len(found):
        return found
    return [replace(each, work=rate / rates[0], near=rate / rates[0]) for each, rate in zip(found, rates, strict=True)]


def kinds_at(seen: Observation, found: Sequence[Kind], away: Mapping[str, Distance]) -> dict[str, Sequence[Kind]]:
    """The same, by cluster, as far from their clients as these are."""
    at = {each: [_away(seen, kind, each) for kind in found] for each in {far.seconds for far in away.values()}}
    return {name: at[each.seconds] for name, each in away.items()}


def _away(seen: Observation, kind: Kind, away: float) -> Kind:
    """The kind so many seconds from its clients."""
    ttft = seen.service.spec.slo.ttft
    if ttft is None or not away:
        return kind
    if away >= seconds(ttft):
        return replace(kind, work=0.0)
    if kind.option is None:
        return kind
    far, near = (_rate(seen, kind.choice, kind.option, each) for each in (away, 0.0))
    return replace(kind, work=kind.near * min(far / near, 1.0))


def _rate(seen: Observation, choice: AcceleratorChoice, option: Option, away: float) -> float:
    """Requests a second within the SLO of a replica that is so many seconds from its clients."""
    sizing, accelerator, most = seen.sizing, seen.accelerators[choice.type], seen.service.spec.traffic.max_concurrency
    assert sizing is not None, "there is an option"
    at_once = concurrency(sizing, option, accelerator, away)
    at_once = at_once if most is None else min(at_once, most)
    ttft, tpot, output = times(sizing, option, accelerator, at_once)
    return at_once / (ttft + (output - 1) * tpot)
