"""For how long replicas are kept that are not needed now: so long that bursts which come again still find them.

What comes does not depend on what was kept. So for each of several times it is known what would have been: so many
wanted as were needed at most within that time, so many ready as were wanted all through a cold start, and what those
would have cost and missed. The cheapest is taken, at the price of a miss at which the objective holds (`staffing`).
Mostly that is the shortest: a replica that fewer would do for is kept for as long as one takes to come back. But what
is busy for a minute out of every ten is met by a cold start each time, and no plan helps against it (`capacity.shock`):
there they are kept through the pause, and to the height of the bursts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

TIMES = (1, 2, 4, 8)  # the shortest time
LONGEST = 3600.0  # seconds
FORGETS = 6 * 3600.0  # seconds; half-life: one shock, however hard, is no habit
BETTER = 0.98  # times the cost of the time that replicas are kept for; else it is left for nothing
DOUBT = 100.0  # requests that were to be missed and were not, before any were seen
PATIENCE = 5.0  # seconds of work before a request that comes too late for it

Numbers = tuple[tuple[float, int], ...]  # (Unix seconds, replicas)


class Holding(NamedTuple):
    """What would have been, had replicas been kept for one of the times."""

    needed: Numbers = ()  # of the time, falling: the first is the most
    wanted: Numbers = ()  # of a cold start, rising: the first is the least
    left: float = 0.0  # requests that wait since a shock
    cost: float = 0.0  # replica seconds
    missed: float = 0.0  # requests that would have missed the SLO by a shock


class Keeping(NamedTuple):
    """For how long replicas are kept, and by what that was chosen."""

    holdings: tuple[Holding, ...] = (Holding(),) * len(TIMES)
    at: int = 0  # which of TIMES
    asked: float = 0.0  # requests
    missed: float = 0.0  # of these, those that missed the SLO by a shock
    expected: float = 0.0  # and those that were to, as reckoned of the time that replicas were kept for


class Asked(NamedTuple):
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
    before: Keeping, asked: Asked, misses: Callable[[float], float], shortest: float, cold: float, now: float
) -> Keeping:
    """With one look more. `misses`: share of the requests that miss the SLO, by the rate of a replica; `shortest`: time
    that replicas are kept, `cold`: time that one takes to start, both in seconds; `now`: Unix seconds."""
    made = tuple(
        _counted(each, asked, asked.height if at else asked.need, misses, seconds(at, shortest), cold, now)
        for at, each in enumerate(before.holdings)
    )
    expected = before.expected + made[before.at].missed - before.holdings[before.at].missed
    return before._replace(holdings=made, asked=before.asked + asked.rate * asked.seconds, expected=expected)


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
    return before._replace(
        needed=needed,
        wanted=wanted,
        left=left,
        cost=before.cost + most * asked.seconds,
        missed=before.missed + missed,
    )


def aged(before: Keeping, passed: float) -> Keeping:
    """With all that was counting less, so many seconds later."""
    by = 0.5 ** (passed / FORGETS)
    return before._replace(
        holdings=tuple(each._replace(cost=by * each.cost, missed=by * each.missed) for each in before.holdings),
        asked=by * before.asked,
        missed=by * before.missed,
        expected=by * before.expected,
    )


class Choice:
    """Which of the times is the best, by what a miss is worth. What is reckoned is believed as far as it came true."""

    __slots__ = ("_asked", "_at", "_costs", "_misses")

    def __init__(self, known: Keeping, rate: float) -> None:
        """`rate`: requests a second that a replica is paid for."""
        true = min(known.missed / (known.expected + DOUBT), 1.0)
        self._at, self._asked = known.at, known.asked
        self._costs = [rate * each.cost for each in known.holdings]
        self._misses = [true * each.missed for each in known.holdings]

    def best(self, price: float) -> int:
        """That of the least cost. `price`: of a miss, in requests."""
        costs = [cost + price * missed for cost, missed in zip(self._costs, self._misses, strict=True)]
        best = min(range(len(costs)), key=costs.__getitem__)
        return best if costs[best] < BETTER * costs[self._at] else self._at

    def spared(self, price: float) -> float:
        """Share of the requests that it lets miss and another time would not: what none spares is not bought off."""
        return (self._misses[self.best(price)] - min(self._misses)) / max(self._asked, 1.0)
