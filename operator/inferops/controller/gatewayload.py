"""What was asked of one service by the word of the built-in gateways, all of them together.

A sample is taken only while each gateway that takes requests tells: what some of them say looks like less load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inferops.controller.demand import Word
from inferops.signals.samples import SPACING, Samples
from inferops.signals.tellers import Tellers
from inferops.signals.totals import NONE

STALE = 15.0  # seconds after which the newest sample says nothing any more


@dataclass(slots=True)
class GatewayLoad:
    """Times are Unix seconds, and only grow."""

    began: float  # to be followed
    samples: Samples = field(default_factory=Samples)
    waiting: int = 0  # requests in the gateways' queues, as of the newest sample
    in_flight: int = 0  # at replicas
    used: bool = False  # whether any request came through them, as far as they remember
    why: str = ""  # there is no sample now
    _tellers: Tellers = field(default_factory=Tellers)

    def begin(self, words: Sequence[Word], now: float) -> None:
        """Count from here on."""
        for word in words:
            if word.start and word.asked is None:  # told of all services that it knows, and not of this one
                self._tellers.begin(word.start, NONE)
            elif word.start and word.asked is not None and word.asked.load is not None:
                self._tellers.begin(word.start, word.asked.load)
        self.look(words, now)

    def hear(self, word: Word, now: float) -> bool:
        """Take in what a gateway tells. Whether it is time for a look at all of them."""
        assert word.asked is not None and word.asked.load is not None
        young = word.up is not None and word.up < now - self.began
        self._tellers.take(word.start, word.asked.load, young)
        return not self.samples or now - self.samples.last >= SPACING

    def look(self, words: Sequence[Word], now: float) -> None:
        """Take a sample of what the gateways told up to now."""
        self.why = _missing(words)
        if self.why:
            return
        telling = [word for word in words if word.start]
        self.samples.add(now - sum(word.age for word in telling) / len(telling), self._tellers.total)
        asked = [word.asked for word in telling if word.asked is not None]
        self.waiting = sum(each.waiting for each in asked)
        self.in_flight = sum(each.in_flight for each in asked)
        self.used = self.used or any(each.load is not None and each.load.arrivals > 0 for each in asked)

    def fresh(self, now: float) -> bool:
        """Whether the newest sample still says something, and there is one to count from."""
        return len(self.samples) > 1 and now - self.samples.last <= STALE


def _missing(words: Sequence[Word]) -> str:
    """Why not all gateways tell; empty: they do."""
    ready = [word for word in words if word.ready]
    if not ready:
        return (
            "no built-in gateway takes requests: start one, or give the operator the URL of Prometheus (--prometheus)"
        )
    silent = sum(not word.start for word in ready)
    if silent:
        return (
            f"{silent} of {len(ready)} gateways do not tell what is asked for: "
            "look into their logs, and whether the operator reaches their metrics port"
        )
    old = sum(word.asked is not None and word.asked.load is None for word in ready)
    if old:
        return f"{old} of {len(ready)} gateways tell nothing of load that can be read: upgrade them"
    return ""
