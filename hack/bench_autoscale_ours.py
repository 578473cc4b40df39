"""Our own rule in the comparison: what users set of it, what sizing would have told it, and what of it is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from bench_autoscale_cases import Service
from inferops.core.autoscale import candidates, capacity, rule, staffing
from inferops.core.autoscale.capacity import Capacity
from inferops.core.autoscale.forecast import SIGNALS, Outlook, observe
from inferops.core.autoscale.staffing import Loads
from inferops.core.autoscale.terms import Goals, Seed
from inferops.simulate.scaling.ours import Ours
from inferops.simulate.scaling.policy import Policy, Seen

OURS = "inferops"
BLIND = f"{OURS} without its forecast"
SURE = f"{OURS} without its own errors"
EVEN = f"{OURS} without burstiness"
SAME = f"{OURS} without a choice of what it follows"
TOLD = f"{OURS} without what it learns"
ABLATIONS = (BLIND, SURE, EVEN, SAME, TOLD)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user promises: the default is that of `spec.slo.attainment`."""

    attainment: float = 0.99
    utilization: float | None = None  # of the capacity that sizing tells, where nothing is learned


# Dense where a share to compare at is met: between two settings hours are read off a line, which lies above them.
PROMISES = tuple(
    Settings(share)
    for share in (
        *(0.98, 0.985, 0.99, 0.995, 0.9957, 0.9965, 0.998),
        *(0.9988, 0.999, 0.9992, 0.9993, 0.9995, 0.9999, 0.99999),
    )
)
SHARES = tuple(Settings(utilization=share) for share in (0.35, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9))


def grid(name: str) -> tuple[Settings, ...]:
    """What is promised: nothing else is to be tuned. Without learning it is how full replicas are planned to be, as of
    other rules."""
    return SHARES if name == TOLD else PROMISES


def made(name: str, settings: Settings, service: Service) -> Policy:
    """The rule, which knows of a replica what sizing reckons before anything was measured."""
    goals, curves = service.goals, service.curves
    each = int(goals.concurrency)
    seed = Seed(each, float(curves.ttft[each]), float(curves.tpot[each]), curves.output)
    whole = Ours(
        Goals(
            mode="auto",
            lowest=1,
            highest=service.highest,
            ttft=goals.ttft,
            tpot=goals.tpot,
            attainment=settings.attainment,
        ),
        seed,
        name,
    )
    return whole if name == OURS else Ablated(whole, _instead(name, settings, goals.capacity))


Parts = Mapping[tuple[ModuleType, str], Callable[..., Any]]


class Ablated:
    """Our rule with other functions in place of some of its own, while it looks."""

    def __init__(self, whole: Ours, parts: Parts) -> None:
        self.name, self.every = whole.name, whole.every
        self._whole, self._parts = whole, parts

    def look(self, seen: Seen) -> int:
        kept = {place: getattr(*place) for place in self._parts}
        try:
            for (module, name), part in self._parts.items():
                setattr(module, name, part)
            return self._whole.look(seen)
        finally:
            for (module, name), part in kept.items():
                setattr(module, name, part)
            self.every = self._whole.every


def _instead(name: str, settings: Settings, carried: float) -> Parts:
    """What stands in for the part that is left out."""
    if name == BLIND:
        return {(rule, "observe"): _as_it_is}
    if name == SURE:
        return {(staffing, "plans"): _as_planned}
    if name == EVEN:
        return {(staffing, "kinds"): lambda burst: ((0, 1.0), (1, 0.0))}
    if name == SAME:
        return {(candidates, "choose"): lambda known, misses, top, allowed, cold: candidates.followed(known, cold)}
    planned = carried * (settings.utilization or 0.6)

    def as_told(before: Capacity, now: float, attainment: float, cold: float) -> Capacity:
        return before._replace(plans=(planned,) * staffing.CLASSES, carries=carried)

    return {(capacity, "plan"): as_told, (capacity, "served"): _untaught, (capacity, "met"): _untaught}


_plans = staffing.plans


def _untaught(before: Capacity, *seen: float) -> Capacity:
    return before


def _as_it_is(
    before: Outlook, now: float, seconds: float, rate: float, horizon: float
) -> tuple[Outlook, tuple[float, ...]]:
    """What comes is what comes now."""
    made, _ = observe(before, now, seconds, rate, horizon)
    return made, (made.rate,) * len(SIGNALS)


def _as_planned(loads: Loads, misses: Callable[[float], float], top: float, allowed: float) -> list[float]:
    """Every replica gets just the rate that it was planned to."""
    return _plans({kind: {0: sum(bins.values())} for kind, bins in loads.items()}, misses, top, allowed)
