"""How a replica can run in each cluster: what it carries there, what it costs, and for how many there is room.

Cost is US dollars an hour, with what spot nodes cost beside: one is taken away now and then, and what replaces it is
paid for while it loads. Prices are the cluster's own, else the Accelerator's; an accelerator without a price costs as
much as any other, so that clusters are compared by what else is known of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.core import choices
from inferops.core.clusters.seen import ClusterView
from inferops.core.observation import Observation
from inferops.core.placement.terms import Moving, Way
from inferops.core.sizing import Option
from inferops.core.told import describe

UNPRICED = 1.0  # US dollars an hour of an accelerator
INTERRUPTED = 0.05  # of spot replicas, in an hour
MOVING = Moving()


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


def ways(cluster: ClusterView, kinds: Sequence[Kind], *, counted: bool) -> tuple[Way, ...]:
    """Those of `kinds` that the cluster has nodes for, with the room that there is now. `counted`: whether replicas are
    counted, whatever they carry: then cost is what the work costs."""
    found = []
    for kind in kinds:
        offers = [
            free
            for free in cluster.free or ()
            if (free.accelerator, free.spot) == (kind.choice.type, kind.choice.spot) and free.total
        ]
        if not offers or kind.choice.nodes > 1:
            continue
        room = sum(free.room(kind.choice.count) for free in offers)
        price = cost(cluster, kind)
        way = Way(kind.name, kind.work, price, room)
        found.append(Way(kind.name, 1.0, price / kind.work, room) if counted else way)
    return tuple(found)


def cost(cluster: ClusterView, kind: Kind) -> float:
    """Of one replica, an hour."""
    choice, price = kind.choice, kind.accelerator.price
    each = UNPRICED if price is None else price.usd_per_hour
    spot = None if price is None else price.spot_usd_per_hour
    for own in cluster.spec.prices:
        if own.accelerator == choice.type:
            each, spot = own.usd_per_hour, own.spot_usd_per_hour
    if choice.spot:
        return choice.count * (each if spot is None else spot) * (1 + INTERRUPTED * MOVING.hours)
    return choice.count * each
