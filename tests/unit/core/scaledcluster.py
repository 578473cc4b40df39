"""The perfect cluster with a service that follows its load, and an operator that remembers its looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from inferops.core.decide import Decision
from inferops.core.load import Load
from inferops.core.observation import Looked, Observation
from unit.core.cluster import Cluster, Write
from unit.core.scaled import ROOMY, SIZING, load

CARRIES = 10.0  # requests a second of a replica
TPOT = 0.4  # seconds of one that is busy


@dataclass
class Scaled(Cluster):
    """The perfect cluster, with so many requests a second, of which somebody tells. What a look led to is remembered
    once all of its writes are done, and forgotten where the operator ends before."""

    rate: float | None = 1.0
    looked: Looked = field(default_factory=Looked)

    def seen(self) -> Observation:
        found = super().seen()
        since = None if self.looked.at is None else found.now.timestamp() - self.looked.at
        counted = None if self.rate is None or not since else self._load(found.now.timestamp(), self.rate, since)
        told = {"load": counted, "unloaded": "" if counted else "nobody tells", "looked": self.looked}
        return replace(found, sizing=SIZING, accelerators=ROOMY, **told)  # type: ignore[arg-type]

    def _load(self, now: float, rate: float, seconds: float) -> Load:
        """Tokens come the slower the more a replica has to do. What replicas do not carry waits, and misses the SLO."""
        carried = CARRIES * max(sum(pod.ready for pod in self.pods.values()), 0.1)
        over = max(rate - carried, 0.0)
        share = over / rate if rate else 0.0
        return load(now, rate, seconds, in_flight=round(rate - over), waiting=round(10 * over), ttft=0.2 + 60 * share,
                    tpot=TPOT * min(rate / carried, 1.0), missed=round(share * round(rate * seconds)))  # fmt: skip

    def writes(self, decision: Decision) -> Iterator[Write]:
        yield from super().writes(decision)
        if not any(plan.new for plan in decision.revisions):
            self.looked = decision.looked or self.looked

    def restart(self) -> None:
        self.looked = Looked()
