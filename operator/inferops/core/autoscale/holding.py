"""For how long replicas are kept that are not needed now: so long that bursts which come again still find them.

What comes does not depend on what was kept. So for each of several times it is known what would have been: so many
wanted as were needed at most within that time, so many ready as were wanted all through a cold start, and what those
would have cost and missed. Mostly the shortest is the best: a replica that fewer would do for is kept for as long as
one takes to come back. But what is busy for a minute out of every five is met by a cold start each time, and no plan
helps against it (`capacity.shock`): there they are kept through the pause, and to the height of the bursts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

TIMES = (1, 2, 4, 8)  # the shortest time
LONGEST = 3600.0  # seconds
SURE = 0.5  # times the misses that are allowed, below which a shorter time is gone back to
PATIENCE = 5.0  # seconds of work before a request that comes too late for it

Numbers = tuple[tuple[float, int], ...]  # (Unix seconds, replicas)


@dataclass(frozen=True, slots=True)
class Holding:
    """What would have been, had replicas been kept for one of the times."""

    needed: Numbers = ()  # of the time, falling: the first is the most
    wanted: Numbers = ()  # of a cold start, rising: the first is the least
    left: float = 0.0  # requests that wait since a shock
    cost: float = 0.0  # replica seconds
    missed: float = 0.0  # requests that missed the SLO by a shock


@dataclass(frozen=True, slots=True)
class Asked:
    """What one look told. Rates are requests a second."""

    seconds: float
    rate: float
    need: int  # replicas, by what comes on the mean
    height: int  # replicas, by the height of bursts
    ends: float  # by a replica at the most
    shock: float  # at a replica: no plan helps from there on


def seconds(at: int, shortest: float) -> float:
    """Of one of TIMES."""
    return min(TIMES[at] * shortest, max(LONGEST, shortest))


def counted(
    before: Sequence[Holding], asked: Asked, misses: Callable[[float], float], shortest: float, cold: float, now: float
) -> tuple[Holding, ...]:
    """With one look more. `misses`: share of the requests that miss the SLO, by the rate of a replica; `shortest`: time
    that replicas are kept, `cold`: time that one takes to start, both in seconds; `now`: Unix seconds."""
    return tuple(
        _counted(each, asked, asked.height if at else asked.need, misses, seconds(at, shortest), cold, now)
        for at, each in enumerate(before)
    )


def _counted(
    before: Holding, asked: Asked, need: int, misses: Callable[[float], float], kept: float, cold: float, now: float
) -> Holding:
    needed = (*(each for each in before.needed if each[0] > now - kept and each[1] > need), (now, need))
    most = needed[0][1]
    wanted = (*(each for each in before.wanted if each[0] > now - cold and each[1] < most), (now, most))
    ready = wanted[0][1]
    each = asked.rate / ready if ready else asked.shock
    left, missed = 0.0, 0.0
    if asked.rate > 0 and (before.left or each >= asked.shock):
        ended = asked.ends * ready
        left = max(0.0, before.left + (asked.rate - ended) * asked.seconds)
        missed = asked.rate * asked.seconds * (1.0 if left > PATIENCE * ended else misses(each))
    return replace(
        before,
        needed=needed,
        wanted=wanted,
        left=left,
        cost=before.cost + most * asked.seconds,
        missed=before.missed + missed,
    )


def aged(before: Sequence[Holding], by: float) -> tuple[Holding, ...]:
    """With all that was counting that much less."""
    return tuple(replace(each, cost=by * each.cost, missed=by * each.missed) for each in before)


def chosen(holdings: Sequence[Holding], allowed: float, price: float, kept: int) -> int:
    """The shortest of TIMES with which shocks do not miss more than `allowed` requests that a longer one would spare.

    No longer than a request that is spared is worth `price` replica seconds. `kept`: the one chosen last.
    """
    least = min(each.missed for each in holdings)
    enough = [
        at for at, each in enumerate(holdings) if each.missed - least <= (allowed if at >= kept else SURE * allowed)
    ]
    return min(range(enough[0] + 1), key=lambda at: holdings[at].cost + price * holdings[at].missed)
