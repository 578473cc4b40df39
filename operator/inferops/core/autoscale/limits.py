"""How far one decision may go: the user's limits of steps, and for how long fewer replicas must have been enough."""

from __future__ import annotations

from math import ceil

from inferops.core.autoscale.terms import StepLimit

REMEMBERED = 64  # changes
SLOT = 30.0  # seconds; of a while, the highest need alone is remembered
MOST_SLOTS = 64

Changes = tuple[tuple[float, int], ...]
Needs = tuple[tuple[float, float], ...]


def most(limit: StepLimit | None, changes: Changes, wanted: int, now: float) -> int | None:
    """The highest number that a step up may reach. None: any."""
    if limit is None:
        return None
    base = min(_since(changes, wanted, now - limit.period))
    return max(base + _step(limit, base), wanted)


def least(limit: StepLimit | None, changes: Changes, wanted: int, now: float) -> int:
    """The lowest number that a step down may reach."""
    if limit is None:
        return 0
    base = max(_since(changes, wanted, now - limit.period))
    return min(max(base - _step(limit, base), 0), wanted)


def _step(limit: StepLimit, base: int) -> int:
    by_share = max(1, ceil(base * limit.percent / 100)) if limit.percent is not None else 0
    return max(limit.replicas or 0, by_share)


def _since(changes: Changes, wanted: int, since: float) -> list[int]:
    """The numbers that were in force at any time after `since`."""
    before = [number for when, number in changes if when <= since]
    return [*before[-1:], *(number for when, number in changes if when > since), wanted]


def changed(changes: Changes, replicas: int, now: float) -> Changes:
    """With a number that is in force from now on, if it is another one."""
    if changes and changes[-1][1] == replicas:
        return changes
    return (*changes[-REMEMBERED + 1 :], (now, replicas))


def needed(needs: Needs, need: float, now: float, window: float) -> Needs:
    """With what is needed now, and without what is older than `window` seconds."""
    slot = now // SLOT * SLOT if window / SLOT <= MOST_SLOTS else now // (window / MOST_SLOTS) * (window / MOST_SLOTS)
    kept = tuple(each for each in needs if each[0] > now - window - SLOT)
    if kept and kept[-1][0] >= slot:
        return (*kept[:-1], (kept[-1][0], max(kept[-1][1], need)))
    return (*kept, (slot, need))
