"""Many values, of which a few quantiles are wanted: exact up to a million, to within 1 % beyond, in bounded memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable
from math import ceil, exp, fsum, log

EXACT = 1_000_000  # values
RATIO = log(1.01)  # of one bucket's bounds: its middle is then no further than 0.5 % from any value in it
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Distribution:
    """Seconds. `add` one; `settle` now and then, which bounds the memory."""

    __slots__ = ("_buckets", "_counted", "_exact", "_sum", "_values", "add")

    def __init__(self, exact: int = EXACT) -> None:
        self._exact = exact
        self._values = array("d")
        self._buckets: Counter[int] = Counter()
        self._counted = 0  # in buckets
        self._sum = 0.0  # of those
        self.add = self._values.append

    def __len__(self) -> int:
        return self._counted + len(self._values)

    def settle(self) -> None:
        """Sort values into buckets once there are too many."""
        if len(self) <= self._exact:
            return
        self._buckets.update(ceil(log(value) / RATIO) for value in self._values if value > 0)
        self._counted += len(self._values)
        self._sum += fsum(self._values)
        del self._values[:]

    def summary(self) -> dict[str, float]:
        """Seconds by "p50", "p90", "p95", "p99" and "mean"; empty where there is no value."""
        if not len(self):
            return {}
        self.settle()
        quantile = self._bucketed if self._counted else self._sorted()
        found = {name: quantile(ceil(share * len(self))) for name, share in SHARES.items()}
        return {**found, "mean": (self._sum + fsum(self._values)) / len(self)}

    def _sorted(self) -> Callable[[int], float]:
        ordered = sorted(self._values)
        return lambda rank: ordered[rank - 1]

    def _bucketed(self, rank: int) -> float:
        """The value that so many, itself among them, are not above."""
        rank -= self._counted - self._buckets.total()
        if rank <= 0:  # one of the zeros, which are in no bucket
            return 0.0
        bucket = 0
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                break
        return exp((bucket - 0.5) * RATIO)
