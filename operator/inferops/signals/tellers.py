"""What several that count by themselves, as gateways do, tell of one service: added up, whoever comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add

from inferops.signals.counters import Counters
from inferops.signals.totals import NONE, Totals

TELLERS = 64  # that are remembered


class Tellers:
    """Each start of each one is a teller of its own."""

    __slots__ = ("_last", "total")

    def __init__(self) -> None:
        self.total = NONE  # since the first word of each
        self._last: dict[str, Counters] = {}

    def begin(self, teller: str, told: Totals) -> None:
        """Count from here on, where nothing was told before."""
        self._known(teller, told)

    def take(self, teller: str, told: Totals, young: bool) -> None:
        """Take in what one tells. `young`: it began to count since this did, so that all of it is new."""
        self._add(self._known(teller, NONE if young else told).counted(told))

    def _known(self, teller: str, told: Totals) -> Counters:
        found = self._last.get(teller)
        if found is None:
            for oldest in list(self._last)[: 1 - TELLERS]:
                del self._last[oldest]
            found = self._last[teller] = Counters(told)
        return found

    def _add(self, gained: Sequence[float]) -> None:
        self.total = Totals._make(map(add, self.total, gained))
