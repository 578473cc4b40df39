"""Services, requests and a clock for the tests of what is counted and told."""

from __future__ import annotations

from dataclasses import dataclass, field

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.signals.meters import Meters
from inferops.gateway.signals.record import Record
from inferops.gateway.table import Backend, Replica, Revision, ServiceKey, Table
from inferops.runtimes.base import Api

KEY = ServiceKey("chat", "llama")
OPENAI = Api("openai", ("/v1/",))
OTHER = Api("other", ("/",))


def backend(
    *revisions: str, replicas: int = 1, key: ServiceKey = KEY, api: Api = OPENAI, usd: float | None = 2.5
) -> Backend:
    """A service whose replicas are named after their revision, with an SLO of 800 ms and 50 ms."""
    return Backend(
        key,
        api,
        (key.name,),
        tuple(
            Revision(each, 0, tuple(Replica(f"{each}-{number}", "10.0.0.1:80") for number in range(replicas)), usd)
            for each in revisions
        ),
        ttft=0.8,
        tpot=0.05,
    )


@dataclass
class World:
    """A gateway's counters with their surroundings."""

    table: Table = field(default_factory=lambda: Table([backend("v1")]))
    now: float = 1000.0
    waiting: int = 0
    meters: Meters = field(init=False)

    def __post_init__(self) -> None:
        self.meters = Meters(lambda: self.now, lambda: self.table, lambda key: self.waiting)

    def request(self, record: Record, outcome: Outcome = Outcome.OK, key: ServiceKey = KEY) -> None:
        """One from its arrival to its end, with as many attempts as its record says, at the one replica."""
        found = self.table.by_key[key]
        self.meters.arrived(key)
        for _ in range(record.attempts):
            self.meters.began(key, record.revision, record.replica)
            self.meters.attempt(key, record.revision, record.replica, outcome)
        self.meters.finished(record, found)


def record(revision: str = "v1", *, key: ServiceKey = KEY, **values: object) -> Record:
    """A request that went well, but for what is said otherwise."""
    made = Record(0.0, "id", key=key, revision=revision, replica=f"{revision}-0", attempts=1, status=200)
    for name, value in values.items():
        setattr(made, name, value)
    return made
