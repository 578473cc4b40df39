"""What was asked of a service as its clients saw it: what scaling goes by. About a microsecond a request.

Requests count that need a replica: one that a key or a limit refuses, or that is broken, says nothing of how many
replicas there should be. A request is too slow where its first token came later than the SLO's ttft, the wait for a
replica included, where its tokens came slower than the SLO's tpot, and where it was turned away for want of room,
whatever the SLO says. What cannot be told is not judged.
"""

from __future__ import annotations

from inferops.gateway.signals.record import Record
from inferops.gateway.table import Backend

QUEUE_FULL, QUEUE_TIMEOUT, ENGINE_FULL = "queue_full", "queue_timeout", "engine_full"  # errors of requests
GUEST_REFUSED = "wait_too_long"  # one that another cluster's gateway passed on, and that counts as asked there
NO_ROOM = frozenset((QUEUE_FULL, QUEUE_TIMEOUT, ENGINE_FULL, GUEST_REFUSED))


class Load:
    """Since the gateway began to count the service. Times at replicas and in the queue are its pool's."""

    __slots__ = (
        "arrivals",
        "counted",
        "ended",
        "firsts",
        "judged",
        "missed",
        "paced",
        "tokens_in",
        "tokens_out",
        "touched",
        "tpot",
        "ttft",
    )

    def __init__(self) -> None:
        self.arrivals = 0
        self.ended = 0  # by replicas
        self.tokens_in = 0
        self.tokens_out = 0
        self.counted = 0  # requests whose tokens are told
        self.ttft = 0.0  # seconds from arrival to first token, of all together
        self.firsts = 0
        self.tpot = 0.0
        self.paced = 0
        self.judged = 0
        self.missed = 0
        self.touched = 0.0  # when a request ended last, in monotonic seconds

    def end(self, record: Record, backend: Backend) -> None:
        """A request ends that named this service."""
        self.touched = record.arrived + record.duration
        if record.spilled:  # another cluster counts it; what it waited here is this one's
            if backend.ttft is not None and record.queued > backend.ttft:
                self.judged += 1
                self.missed += 1
            return
        if record.error in NO_ROOM:
            self.judged += 1
            self.missed += 1
            return
        if not record.attempts:
            if backend.ttft is not None and record.queued > backend.ttft:  # its client gave up
                self.judged += 1
                self.missed += 1
            return
        self.ended += 1
        if record.tokens_in is not None or record.tokens_out is not None:
            self.counted += 1
            self.tokens_in += record.tokens_in or 0
            self.tokens_out += record.tokens_out or 0
        whole = generated_whole(record, backend)
        good = record.status < 400 and not record.broken
        if good and record.first is not None and not whole:
            self.firsts += 1
            self.ttft += record.first
            if record.stream and record.tokens_out is not None and record.tokens_out > 1:
                self.paced += 1
                self.tpot += (record.duration - record.first) / (record.tokens_out - 1)
        slow = _slow(record, backend, whole, good)
        if slow is not None:
            self.judged += 1
            self.missed += slow


def generated_whole(record: Record, backend: Backend) -> bool:
    """Whether its answer was generated and sent as a whole, so that nobody saw the first token.

    What generates no tokens, such as an embedding, is there with its first and last at once."""
    told = record.tokens_out or (record.tokens_in is None and backend.api.dialect == "openai")
    return not record.stream and bool(told)


def _slow(record: Record, backend: Backend, whole: bool, good: bool) -> bool | None:
    """Whether a request that replicas ended was slower than the SLO allows; None: that cannot be told.

    Of a whole answer the first token came after a replica was asked. An answer within the time that both parts of the
    SLO give it may have been too slow in one of them; it is taken not to be."""
    ttft, tpot, first = backend.ttft, backend.tpot, record.first
    if ttft is not None:
        earliest = record.duration if first is None else record.asked if whole else first
        if earliest > ttft:
            return True
    if not good or first is None:
        return None
    gaps = (record.tokens_out or 0) - 1
    if whole:
        if ttft is None:
            return None
        if record.duration <= ttft:
            return False
        return record.duration > ttft + gaps * tpot if tpot is not None and gaps >= 0 else None
    if record.stream and gaps > 0 and tpot is not None:
        return record.duration - first > gaps * tpot
    return None if ttft is None else False
