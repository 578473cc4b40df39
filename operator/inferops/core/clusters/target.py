"""How many replicas of a service are to be placed over its clusters together: a number, or what its load asks for.

Each cluster scales by the requests that come to it, within the bounds that it is given. So the clusters tell together
what is asked for; who is at its bound and needs more counts for one more. It is placed at once when it is more than
before, and given up when less has been enough for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil

from inferops.core import activation, fleet, schedule
from inferops.core.observation import Observation

SETTLE = 600.0  # seconds for which less must have been enough


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be placed."""

    replicas: int  # as many of the first kind, where they differ in what they carry and follow the load
    least: int  # replicas at any time
    by_load: bool  # whether the clusters scale in between; else `replicas` is the number that somebody set
    limit: int | None = None  # replicas of all clusters that are never exceeded
    low_since: str = ""
    again: float | None = None  # seconds until time alone may change it


def target(seen: Observation, asked: float, *, certain: bool) -> Target:
    """What is to be placed, where the clusters ask for so many replicas of the first kind; `certain`: all of them tell,
    so that it may be less than before."""
    scaling, before = seen.service.spec.scaling, seen.service.status.placement
    if scaling.replicas is not None or scaling.mode in ("fixed", "external"):
        number = activation.by_number(scaling)
        return Target(number, number, by_load=False)
    floor = schedule.floor(scaling.schedule, seen.now)
    highest = fleet.highest(scaling)
    least = min(max(scaling.min_replicas, floor.replicas or 0), highest)
    if scaling.mode == "schedule":
        return Target(least, least, by_load=False, again=floor.again)
    needed = max(1, min(max(ceil(asked), least), highest))
    kept = max(1, min(max(before.target, least), highest)) if before.clusters else needed
    if needed >= kept:
        return Target(needed, least, True, highest, again=floor.again)
    if not certain:
        return Target(kept, least, True, highest, again=floor.again)
    since = _time(before.low_since) or seen.now
    left = SETTLE - (seen.now - since).total_seconds()
    if left <= 0:
        return Target(needed, least, True, highest, again=floor.again)
    again = min(each for each in (left, floor.again) if each is not None)
    return Target(kept, least, True, highest, since.strftime("%Y-%m-%dT%H:%M:%SZ"), again=again)


def _time(stamp: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stamp) if stamp else None
    except ValueError:  # somebody edited it
        return None
