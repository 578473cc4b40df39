"""Which signal is followed, and for how long replicas are kept that are not needed now: by what each would have cost.

What comes does not depend on what was had. So for each candidate, a signal and a stabilization window, it is known what
would have been: so many wanted as the signal asked for at most within the window, so many ready as were wanted all
through a cold start, what those would have cost, and which rate a replica of them would have got beside the planned
one. From the last follows how much of a replica that candidate may plan with within the objective (`staffing`), and so
its cost at equal misses: the least is taken. A service whose load jumps keeps replicas for an hour, one whose load is
smooth for minutes, one that climbs goes by its trend, and nobody says which it is.

Bursts beyond any plan (`capacity.shock`) are apart: what is busy for a minute out of every ten is met by a cold start
each time, unless replicas are kept through the pause. What they would have missed is believed as far as it came true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from math import log
from typing import NamedTuple

from inferops.core.autoscale import staffing
from inferops.core.autoscale.forecast import SIGNALS, Signal
from inferops.core.autoscale.misses import around, place_of
from inferops.core.autoscale.staffing import COSTS, HIGHEST, LOWEST, Bins, Hull, Loads, Shares

WINDOWS = (120.0, 480.0, 1800.0, 3600.0)  # seconds
CANDIDATES: tuple[tuple[Signal, float], ...] = tuple(product(SIGNALS, WINDOWS))
FIRST: Signal = "trend"  # that is followed before anything was learned
GAIN = 0.005  # share of the cost for which another candidate is taken, at the least
SURE = 86400.0  # seconds: twice that share, where no more were counted
DOUBT = 100.0  # requests that were to be missed and were not, before any were seen
CHEAPEST = 0.01  # requests that replicas were for, for each that came: no fewer are believed
PATIENCE = 5.0  # seconds of work before a request that comes too late for it
PAUSES = 240.0, 1800.0  # seconds between two choices, at the least and at the most
BINS = HIGHEST - LOWEST + 1  # of a class
NO_LOADS: Mapping[int, float] = {}
Numbers = tuple[tuple[float, int], ...]  # (Unix seconds, replicas)
Places = tuple[tuple[int, float], ...]  # (place, share of the requests that stands there)


class Candidate(NamedTuple):
    """What would have been with one of CANDIDATES."""

    wanted: Numbers = ()  # of a cold start, rising: the first is the least
    struck: bool = False  # whether the last look was a shock
    left: float = 0.0  # requests that wait since it
    lasting: float = 0.0  # requests that would have missed the SLO by the last one
    hardest: float = 0.0  # and by the hardest of all: one, however hard, is no habit
    shocked: float = 0.0  # and by all of them
    paid: float = 0.0  # requests that the replicas, as planned, were for
    loads: Mapping[int, float] = NO_LOADS  # requests by place: `_places`


class Candidates(NamedTuple):
    """All of them, and which is followed."""

    each: tuple[Candidate, ...] = (Candidate(),) * len(CANDIDATES)
    needed: tuple[Numbers, ...] = ((),) * len(SIGNALS)  # of the longest window, falling: the first is the most
    at: int | None = None  # which of CANDIDATES; None: nothing was learned yet
    chosen: float | None = None  # when that was looked at last, in Unix seconds
    seconds: float = 0.0  # that were counted
    asked: float = 0.0  # requests
    missed: float = 0.0  # of these, those that missed the SLO by a shock
    expected: float = 0.0  # and those that were to, as reckoned of what was followed


class Asked(NamedTuple):
    """What one look told. Rates are requests a second."""

    seconds: float
    rate: float
    needs: tuple[int, ...]  # replicas, by signal
    planned: float  # for a replica
    burst: float  # how bursty it is
    ends: float  # by a replica at the most
    shock: float  # at a replica: no plan helps from there on


def followed(known: Candidates, cold: float) -> int:
    """Which of CANDIDATES is; at first that with the window nearest to `cold`, the seconds that a replica needs to
    start: keeping one for so long costs what starting it again does."""
    if known.at is not None:
        return known.at
    window = min(WINDOWS, key=lambda window: abs(log(window / max(cold, 1.0))))
    return CANDIDATES.index((FIRST, window))


def counted(
    before: Candidates, asked: Asked, misses: Callable[[float], float], cold: float, settle: float | None, now: float
) -> Candidates:
    """With one look more. `misses`: share of the requests that miss the SLO, by the rate of a replica; `cold`: seconds
    that one takes to start; `settle`: the window of all candidates, None: each its own; `now`: Unix seconds."""
    windows = WINDOWS if settle is None else (settle,) * len(WINDOWS)
    needed = tuple(
        (*(each for each in numbers if each[0] > now - max(windows) and each[1] > need), (now, need))
        for numbers, need in zip(before.needed, asked.needs, strict=True)
    )
    most = [_highest(numbers, now - window) for numbers in needed for window in windows]
    wanted = [_wanted(candidate.wanted, number, cold, now) for candidate, number in zip(before.each, most, strict=True)]
    kinds = staffing.kinds(asked.burst)
    places = {ready: _places(asked, kinds, ready) for ready in {numbers[0][1] for numbers in wanted}}
    made = tuple(
        _counted(candidate, asked, numbers, places[numbers[0][1]], misses)
        for candidate, numbers in zip(before.each, wanted, strict=True)
    )
    at = followed(before, cold)
    return before._replace(
        each=made,
        needed=needed,
        seconds=before.seconds + asked.seconds,
        asked=before.asked + asked.rate * asked.seconds,
        expected=before.expected + made[at].shocked - before.each[at].shocked,
    )


def _highest(numbers: Numbers, since: float) -> int:
    """Since then; the last look's, where that is now."""
    for time, number in numbers:
        if time > since:
            return number
    return numbers[-1][1]


def _wanted(before: Numbers, most: int, cold: float, now: float) -> Numbers:
    since = now - cold
    return (*[each for each in before if each[0] > since and each[1] < most], (now, most))


def _places(asked: Asked, kinds: Places, ready: int) -> Places:
    """Where requests are counted, by class of burstiness and bin of the rate that replicas get / the planned one.
    Nowhere: it is a shock."""
    each = asked.rate / ready if ready else asked.shock
    if not asked.rate or each >= asked.shock:
        return ()
    load = max(place_of(each / asked.planned), float(LOWEST))
    return tuple((_place(kind, at), part * share) for kind, part in kinds for at, share in around(load))


def _place(kind: int, at: int) -> int:
    return kind * BINS + at - LOWEST


def _counted(
    before: Candidate, asked: Asked, wanted: Numbers, places: Places, misses: Callable[[float], float]
) -> Candidate:
    ready, requests = wanted[0][1], asked.rate * asked.seconds
    paid = before.paid + wanted[-1][1] * asked.planned * asked.seconds
    if requests and (before.left or not places):
        ended = asked.ends * ready
        left = max(0.0, before.left + (asked.rate - ended) * asked.seconds)
        late = left > PATIENCE * ended
        missed = requests * (1.0 if late else misses(asked.rate / ready if ready else asked.shock))
        lasting = missed if not places and not before.struck else before.lasting + missed
        hardest, shocked = max(before.hardest, lasting), before.shocked + missed
        return Candidate(wanted, not places, left, lasting, hardest, shocked, paid, before.loads)
    loads = dict(before.loads)
    for place, share in places:
        loads[place] = loads.get(place, 0.0) + share * requests
    return Candidate(wanted, False, 0.0, 0.0, before.hardest, before.shocked, paid, loads)


def aged(before: Candidates, by: float) -> Candidates:
    """With all that was counted counting so many times less."""
    each = tuple(
        candidate._replace(
            hardest=by * candidate.hardest,
            shocked=by * candidate.shocked,
            paid=by * candidate.paid,
            loads={place: by * n for place, n in candidate.loads.items() if by * n > 0.5},
        )
        for candidate in before.each
    )
    return before._replace(
        each=each,
        seconds=by * before.seconds,
        asked=by * before.asked,
        missed=by * before.missed,
        expected=by * before.expected,
    )


def together(candidate: Candidate) -> Bins:
    """Its requests by bin."""
    made: dict[int, float] = {}
    for bins in by_class(candidate).values():
        for at, requests in bins.items():
            made[at] = made.get(at, 0.0) + requests
    return made


def by_class(candidate: Candidate) -> Loads:
    """Its requests by class of burstiness and bin."""
    made: dict[int, dict[int, float]] = {}
    for place, requests in candidate.loads.items():
        made.setdefault(place // BINS, {})[place % BINS + LOWEST] = requests
    return made


def of_bins(bins: Bins, kind: int) -> Mapping[int, float]:
    """As they stand in a candidate, all of one class."""
    return {_place(kind, at): requests for at, requests in bins.items()}


def due(known: Candidates, now: float) -> bool:
    """Whether it is time to choose: after a tenth of the time that is known of, since it takes as long as ten looks."""
    return known.chosen is None or now - known.chosen >= min(max(known.seconds / 10, PAUSES[0]), PAUSES[1])


def choose(known: Candidates, misses: Callable[[float], float], top: float, allowed: float, cold: float) -> int:
    """The best of CANDIDATES at equal misses; that which is followed, where no other is clearly better.

    `misses`: share of misses by place; `top`: the highest place to plan with; `allowed`: share that may miss.
    """
    at = followed(known, cold)
    loads = [together(candidate) for candidate in known.each]
    if not all(loads) or not known.asked:
        return at
    shares = Shares(loads, misses, top)
    true = min(known.missed / (known.expected + DOUBT), 1.0)
    options = [
        _Option(
            hull=Hull(shares.missed(bins)),
            planned=sum(bins.values()) / known.asked,
            paid=max(candidate.paid / known.asked, CHEAPEST),
            shocked=true * max(candidate.shocked - candidate.hardest, 0.0) / known.asked,
        )
        for candidate, bins in zip(known.each, loads, strict=True)
    ]

    def best(price: float) -> _Option:
        return min(options, key=lambda option: option.worth(price))

    found, now = best(staffing.least(lambda price: best(price).missed(price) <= allowed, allowed)), options[at]
    # At what misses must be worth for what is followed to be enough: where it takes more, both cost as much at less.
    price = staffing.least(lambda price: now.missed(price) <= allowed, allowed)
    gain = GAIN * (1 + SURE / max(known.seconds, 1.0))
    return options.index(found) if found.worth(price) < (1 - gain) * now.worth(price) else at


class _Option(NamedTuple):
    """A candidate with the plans that are worth it at some price of a miss, in requests at the top."""

    hull: Hull
    planned: float  # share of requests that no shock brought
    paid: float  # for each request, as planned
    shocked: float  # share of requests that miss by a shock

    def down(self, price: float) -> int:
        """Bins below the top."""
        return self.hull.down(price * self.planned / self.paid)

    def missed(self, price: float) -> float:
        return self.planned * self.hull.missed(price * self.planned / self.paid) + self.shocked

    def worth(self, price: float) -> float:
        """What a request costs, and its share of misses."""
        return self.paid * COSTS[self.down(price)] + price * self.missed(price)
