"""What happened in a run so far, as a gateway counts it; what a rule is told is the difference of two moments."""

from __future__ import annotations

from typing import NamedTuple

from inferops.simulate.fleet.distribution import Distribution
from inferops.simulate.sequence import Sequence


class Marks(NamedTuple):
    """The counters at one moment. Request-seconds are up to it."""

    time: float
    arrivals: int
    ended: int
    tokens_in: int
    tokens_out: int
    busy: float
    queued: float
    judged: int
    missed: int
    firsts: int
    ttft: float
    gaps: int
    tpot: float


class Counters:
    """Counters of a whole run."""

    __slots__ = (
        "_tpot_limit", "_ttft_limit", "arrivals", "ended", "gaps", "lost", "met", "refused", "tokens_in", "tokens_out",
        "tpot_sum", "tpots", "ttft_sum", "ttfts",
    )  # fmt: skip

    def __init__(self, ttft: float, tpot: float) -> None:
        """The SLO in seconds."""
        self._ttft_limit = ttft
        self._tpot_limit = tpot
        self.arrivals = 0
        self.ended = 0  # that got their whole answer
        self.met = 0  # of them, those within the SLO
        self.lost = 0  # that died with a replica in the middle of their answer
        self.refused = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.ttft_sum = 0.0  # of all that ended
        self.tpot_sum = 0.0  # of those with more than one token
        self.gaps = 0  # their number
        self.ttfts = Distribution()
        self.tpots = Distribution()

    @property
    def judged(self) -> int:
        return self.ended + self.lost + self.refused

    def end(self, seq: Sequence, delay: float) -> None:
        """A request got its whole answer, `delay` seconds later than it was given to it."""
        first_token, output = seq.first_token, seq.output
        assert first_token is not None and seq.finished is not None
        self.ended += 1
        self.tokens_in += seq.prompt
        self.tokens_out += output
        ttft = first_token - seq.arrived + delay
        self.ttft_sum += ttft
        self.ttfts.add(ttft)
        met = ttft <= self._ttft_limit
        if output > 1:
            tpot = (seq.finished - first_token) / (output - 1)
            self.gaps += 1
            self.tpot_sum += tpot
            self.tpots.add(tpot)
            met = met and tpot <= self._tpot_limit
        if met:
            self.met += 1

    def marks(self, time: float, busy: float, queued: float) -> Marks:
        """All of them now."""
        judged = self.judged
        return Marks(
            time, self.arrivals, self.ended, self.tokens_in, self.tokens_out, busy, queued, judged, judged - self.met,
            self.ended, self.ttft_sum, self.gaps, self.tpot_sum,
        )  # fmt: skip
