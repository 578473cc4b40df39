"""How many replicas a service has: by a number, by its mode, by the schedule, by its load, at zero or not.

The one place where these meet. A number that somebody sets wins; then whether it is at zero (`activation`); then, for
as long as it is not, the load (`scalinglook`), between what bounds and windows allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from inferops.api.scaling import ScalingSpec
from inferops.api.scalingstatus import ScalingStatus
from inferops.core import activation, fleet, schedule
from inferops.core.event import Event
from inferops.core.observation import Looked, Observation
from inferops.core.scalinglook import ROLLS, decided, look, rolls


@dataclass(frozen=True, slots=True)
class Wanted:
    """What scaling decides."""

    replicas: int
    needed: int  # those of them without which the service is not ready: what load adds may come and go
    told: ScalingStatus
    why: tuple[str, ...] = ()  # for people; the same for as long as nothing changes
    again: float | None = None  # seconds until time alone may change it
    managed: bool = False  # by what the gateways tell, through which all of its requests go
    looked: Looked | None = None  # to be remembered once this is so; None: as before
    events: tuple[Event, ...] = ()


def wanted(seen: Observation, target: str) -> Wanted:
    """Replicas of whoever serves; `target`: hash of the revision that the spec asks for, if any."""
    spec, before = seen.service.spec, seen.service.status.scaling
    scaling, unmanaged = spec.scaling, activation.unmanaged(spec)
    if scaling.replicas is not None or scaling.mode in ("fixed", "external"):
        number = activation.by_number(scaling)
        return Wanted(number, number, _by_hand(before), _sentences(unmanaged))
    floor = schedule.floor(scaling.schedule, seen.now)
    least = max(scaling.min_replicas, floor.replicas or 0)
    if unmanaged is not None or least:
        binds = floor.why if scaling.mode != "schedule" and least > scaling.min_replicas else ""
        return _up(seen, least, 0, floor, _sentences(unmanaged, binds), managed=unmanaged is None)
    zero = activation.managed(seen, target)
    floor = floor._replace(again=_first(zero.again, floor.again))
    if zero.replicas:
        return _up(seen, 1, _waking(seen, zero), floor, (zero.why,), managed=True)
    return Wanted(0, 0, _at_zero(scaling, before, zero.why), (zero.why,), floor.again, managed=True)


def _waking(seen: Observation, zero: activation.Wanted) -> int:
    """Replicas that it comes back from zero with: as many as those who wait need at once. 0: it does not."""
    before, asked = seen.service.status.desired_replicas, seen.demand
    if zero.why != activation.WOKEN:
        return 0
    if before or asked is None:
        return before or 1
    room = seen.service.spec.traffic.max_concurrency
    if room is None:
        room = min((option.concurrency for option in seen.service.status.sizing.options), default=None)
    return max(ceil(asked.waiting / room), 1) if room else 1


def _up(
    seen: Observation, least: int, waking: int, floor: schedule.Floor, why: tuple[str, ...], *, managed: bool
) -> Wanted:
    """Replicas of a service that is not at zero: by its load, or as few as its bounds and windows allow."""
    scaling, before = seen.service.spec.scaling, seen.service.status.scaling
    lowest = min(max(least, 1), fleet.highest(scaling))
    if fleet.by_load(scaling):
        found = look(seen, lowest, waking)
        sentences = _sentences(*why, found.told.message, _homeless(seen, found.replicas))
        again = _first(found.again, floor.again)
        needed = min(lowest, found.replicas)
        return Wanted(found.replicas, needed, found.told, sentences, again, managed, found.looked, found.events)
    if scaling.mode != "schedule":
        return Wanted(lowest, lowest, _by_hand(before), why, floor.again, managed)
    held = rolls(seen) and decided(seen, lowest) > lowest
    number, message = (decided(seen, lowest), ROLLS) if held else (lowest, floor.why)
    told = ScalingStatus(mode="schedule", reason="Schedule", message=message, learned=before.learned)
    return Wanted(number, lowest, told, _sentences(*why, message), floor.again, managed)


def _at_zero(scaling: ScalingSpec, before: ScalingStatus, why: str) -> ScalingStatus:
    if scaling.mode != "schedule" and not fleet.by_load(scaling):
        return _by_hand(before)
    kept = {"cold_start": before.cold_start, "last_scale_time": before.last_scale_time, "learned": before.learned}
    return ScalingStatus(mode=scaling.mode, reason="AtZero", message=why, **kept)


def _by_hand(before: ScalingStatus) -> ScalingStatus:
    """The status of a service that does not follow its load. What was learned is kept until it does again."""
    return ScalingStatus(learned=before.learned)


def _homeless(seen: Observation, replicas: int) -> str:
    missing = fleet.homeless(fleet.live(fleet.serving(seen)))
    if not missing:
        return ""
    return (
        f"{missing} of {replicas} replicas find no node, as the condition Scheduled tells; they wait for one, and none "
        "is added in their place"
    )


def _sentences(*sentences: str | None) -> tuple[str, ...]:
    """Those that say something, each once."""
    return tuple(dict.fromkeys(each for each in sentences if each))


def _first(*times: float | None) -> float | None:
    """The earliest of those that there are."""
    return min((each for each in times if each is not None), default=None)
