"""Counts of what requests go through, by service, revision and replica: plain numbers, about a microsecond a call.

Labels are bounded: series are made for what the table holds only, requests for unknown models count under no service,
and what left the table is forgotten after a while. `exposition` tells Prometheus.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.targets import Result
from inferops.gateway.signals.load import generated_whole
from inferops.gateway.signals.record import Record
from inferops.gateway.signals.series import ERRORS, TPOT, TTFT, ReplicaSeries, RevisionSeries, ServiceSeries
from inferops.gateway.signals.yardstick import Yardstick
from inferops.gateway.table import Backend, Revision, ServiceKey, Table

GONE = 600.0  # seconds after which what left the table is forgotten: by then the last scrape has seen its last count
LOOK = 60.0  # seconds between two looks for it
REASONS = 32  # different ones that a service's refusals are told by; further ones count as OTHER
OTHER = "other"
NOBODY = ServiceKey("", "")  # requests that name no service
NO_REVISION = Revision("", 0)

# An engine that is full, and a client that went away, say nothing of how good a revision is.
FAULTS = frozenset((Outcome.FAILED, Outcome.UNREACHABLE, Outcome.TIMEOUT))
GOOD = frozenset((Outcome.OK, Outcome.CLIENT))


RevisionName = tuple[ServiceKey, str]  # with its hash, "" of requests that got none
ReplicaName = tuple[ServiceKey, str, str]  # and the pod's name, "" likewise


class Meters:
    """The counters of one gateway.

    For every request `arrived` is called once its service is known, or known to be none, and `finished` once at its
    end, whatever happened between. `needed` is called in addition where it needs a replica; `refused` says why where
    none was asked; each attempt at a replica is a pair of `began` and `attempt`.
    """

    def __init__(
        self, clock: Callable[[], float], table: Callable[[], Table], waiting: Callable[[ServiceKey], int]
    ) -> None:
        """`clock` tells monotonic seconds, `table` the one in force, `waiting` how many requests are in a room."""
        self.table = table
        self.waiting = waiting
        self.services: dict[ServiceKey, ServiceSeries] = {}
        self.revisions: dict[RevisionName, RevisionSeries] = {}
        self.replicas: dict[ReplicaName, ReplicaSeries] = {}
        self._clock = clock
        self._of: defaultdict[ServiceKey, dict[ReplicaName, ReplicaSeries]] = defaultdict(dict)
        self._gone: dict[ReplicaName, float] = {}  # when each was missed in the table first
        self._looked = clock()

    def arrived(self, key: ServiceKey | None) -> None:
        self._service(key or NOBODY).arrivals += 1

    def needed(self, key: ServiceKey) -> None:
        """It may in, and needs a replica."""
        self._service(key).load.arrivals += 1

    def refused(self, key: ServiceKey | None, code: int, reason: str) -> None:
        """Turned away before any replica was asked. `reason`: one of few fixed words, as `rate_limit_exceeded`."""
        refused = self._service(key or NOBODY).refused
        if (code, reason) not in refused and len(refused) >= REASONS:
            reason = OTHER
        refused[code, reason] = refused.get((code, reason), 0) + 1

    def began(self, key: ServiceKey, revision: str, replica: str) -> None:
        self.series(key, revision, replica).in_flight += 1

    def attempt(self, key: ServiceKey, revision: str, replica: str, outcome: Outcome) -> None:
        """An attempt ends. Errors are judged here, not by what the client got: a retry would hide a bad revision."""
        series = self.series(key, revision, replica)
        series.in_flight -= 1
        series.attempts[outcome] += 1
        if outcome in GOOD:
            series.judged[ERRORS] += 1
        elif outcome in FAULTS:
            series.judge(ERRORS, True)

    def spilled(self, key: ServiceKey, cluster: str, result: Result) -> None:
        """A request that another cluster was sent ends there."""
        spilled = self._service(key).spilled
        spilled[cluster, result] = spilled.get((cluster, result), 0) + 1

    def token_gap(self, key: ServiceKey, revision: str, replica: str, seconds: float, slow: bool) -> None:
        """Between two chunks of a stream; slow: beyond the SLO's tpot."""
        self.series(key, revision, replica).token_gap(seconds, slow)

    def finished(self, record: Record, backend: Backend | None) -> None:
        """A request ends. None: it named no service."""
        key = record.key or NOBODY
        service = self._service(key)
        service.ended += 1
        if record.received:
            service.received += 1
        if record.attempts > 1:
            service.retries += record.attempts - 1
        series = self.series(key, record.revision, record.replica)
        series.codes[record.status] += 1
        series.sent += record.sent
        series.duration += record.duration
        series.revision.queued.observe(record.queued)
        series.revision.duration.observe(record.duration)
        if record.tokens_in:
            series.tokens_in += record.tokens_in
        if record.tokens_out:
            series.tokens_out += record.tokens_out
        if record.broken:
            series.broken += 1
        if backend is not None:
            service.load.end(record, backend)
        if record.first is not None and record.status < 400 and backend is not None and not record.spilled:
            _time(service, series, record, record.first, backend)

    def series(self, key: ServiceKey, revision: str, replica: str) -> ReplicaSeries:
        """The counters of a replica, made where it has none yet. Hold them no longer than a request is under way."""
        name = (key, revision, replica)
        return self.replicas.get(name) or self._made(name)

    def of(self, key: ServiceKey) -> Mapping[ReplicaName, ReplicaSeries]:
        """The counters of a service's replicas."""
        return self._of.get(key, {})

    def look(self) -> None:
        """Begin the series of what is in the table at zero, and drop those of what left it `GONE` seconds ago.

        A counter that a scrape first sees above zero has lost what it counted until then.
        """
        now = self._looked = self._clock()
        table = self.table()
        there = {
            (key, revision.hash, replica.name)
            for key, backend in table.by_key.items()
            for revision in backend.revisions
            for replica in revision.replicas
        }
        for name, series in list(self.replicas.items()):
            nobody = not name[2] and (name[0] in table.by_key or name[0] == NOBODY)
            if name in there or nobody or series.in_flight > 0:
                self._gone.pop(name, None)
            elif now - self._gone.setdefault(name, now) >= GONE:
                del self.replicas[name], self._gone[name], self._of[name[0]][name]
        self._forget_parents(table)
        for key in table.by_key:
            self._service(key)
        for name in there - self.replicas.keys():
            self._made(name)

    def _forget_parents(self, table: Table) -> None:
        """Drop revisions and services that left the table with their last replica."""
        used = {(key, revision) for key, revision, _ in self.replicas}
        used |= {(key, each.hash) for key, backend in table.by_key.items() for each in backend.revisions}
        for name in self.revisions.keys() - used:
            del self.revisions[name]
        for key in [key for key, left in self._of.items() if not left]:
            del self._of[key]
        for key in self.services.keys() - table.by_key.keys() - {key for key, _ in used} - {NOBODY}:
            if self.services[key].ended >= self.services[key].arrivals:
                del self.services[key]

    def _service(self, key: ServiceKey) -> ServiceSeries:
        found = self.services.get(key)
        if found is None:
            found = self.services[key] = ServiceSeries(_labels(namespace=key.namespace, service=key.name))
        return found

    def _made(self, name: ReplicaName) -> ReplicaSeries:
        """New counters. Memory grows here, so here is looked for what can go, scraped or not."""
        if self._clock() - self._looked >= LOOK:
            self.look()
        (namespace, service), hashed, replica = name
        whose = _labels(namespace=namespace, service=service, revision=hashed)
        revision = self.revisions.setdefault(name[:2], RevisionSeries(whose))
        made = self.replicas.setdefault(name, ReplicaSeries(f"{whose},{_labels(replica=replica)}", revision))
        return self._of[name[0]].setdefault(name, made)


def _labels(**values: str) -> str:
    """Labels as the exposition has them, without braces."""
    return ",".join([f'{name}="{value.translate(_ESCAPES)}"' for name, value in values.items()])


_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _time(service: ServiceSeries, series: ReplicaSeries, record: Record, first: float, backend: Backend) -> None:
    """Count the time to the first token, and judge it and the time per token after it.

    What passed before this replica was asked, in the room or with another one that failed, is not its fault and is not
    judged.
    """
    if generated_whole(record, backend):
        return
    series.ttfts += 1
    series.ttft += first
    series.revision.ttft.observe(first)
    ttft, tpot = service.yardsticks
    _judge(series, TTFT, first - record.asked, backend.ttft, ttft, record.revision, backend)
    if record.stream and record.tokens_out is not None and record.tokens_out > 1:
        each = (record.duration - first) / (record.tokens_out - 1)
        _judge(series, TPOT, each, backend.tpot, tpot, record.revision, backend)


def _judge(
    series: ReplicaSeries,
    objective: int,
    seconds: float,
    allowed: float | None,
    usual: Yardstick,
    revision: str,
    backend: Backend,
) -> None:
    """By the SLO; where there is none, by what is usual, while there is something to compare with."""
    if allowed is not None:
        series.judge(objective, seconds > allowed)
        return
    limit = usual.limit([each.hash for each in backend.revisions if each.weight])
    if limit is not None:
        series.compare(objective, seconds > limit)
    if revision == max(backend.revisions, key=lambda each: each.weight, default=NO_REVISION).hash:
        usual.observe(seconds)
