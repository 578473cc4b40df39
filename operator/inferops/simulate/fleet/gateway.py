"""The gateway of a simulated service: from a request's arrival to its end.

This is what happens for every request, so that calls are few and the agenda's heap is used as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappush
from math import inf
from typing import Any

from inferops.simulate.fleet.agenda import Agenda
from inferops.simulate.fleet.balance import Balance
from inferops.simulate.fleet.counters import Counters
from inferops.simulate.fleet.replica import Replica, Stage
from inferops.simulate.scaling.scenario import Request, Scenario
from inferops.simulate.sequence import Sequence

KEYS = 2**29 + 1  # of blocks that one session can have; odd, else all sessions would collide in a dict
NO_KEYS: range = range(0)


class Gateway:
    """Requests in the queue and at replicas."""

    def __init__(self, scenario: Scenario, agenda: Agenda, counters: Counters) -> None:
        self.balance = Balance()
        self.open = 0  # requests that have not ended
        self.awake = True  # there are replicas, or some will come
        self.on_wake: Callable[[float], None] = lambda now: None  # a request came and nobody is there
        self.on_idle: Callable[[float], None] | None = None  # the last request ended
        self.on_drained: Callable[[float, Replica], None] = lambda now, replica: None
        self._agenda = agenda
        self._entries, self._order, self._run = agenda.entries, agenda.order, self.run
        self._counters = counters
        self._limit: float = scenario.max_concurrency or inf
        self._block = scenario.engine.block_size
        self._largest = scenario.engine.kv_tokens // self._block * self._block
        self._timeout = scenario.queue_timeout
        self._room = scenario.max_queue
        self._queue: deque[tuple[float, Sequence]] = deque()  # until when, and who
        self._queued = 0.0  # when requests left the queue, less when they came, summed up
        self._busy = 0.0  # when they left replicas, less when they came
        self._at_replicas = 0
        self._watched = False  # an event stands for the first in the queue

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def queued(self, now: float) -> float:
        """Request-seconds in the queue until now."""
        return self._queued + len(self._queue) * now

    def busy(self, now: float) -> float:
        """Request-seconds at replicas until now."""
        return self._busy + self._at_replicas * now

    def arrive(self, request: Request) -> None:
        """A request comes from a client."""
        now, prompt, output, session, shared = request
        self._counters.arrivals += 1
        if session and shared:
            first = session * KEYS
            blocks = (shared if shared < prompt else prompt) // self._block
            seq = Sequence(prompt, output, now, range(first, first + blocks))
        else:
            seq = Sequence(prompt, output, now, NO_KEYS)
        if prompt + output - 1 > self._largest:
            self._counters.refused += 1
            return
        self.open += 1
        balance = self.balance
        if not self._queue and balance.size and balance.least < self._limit:
            self._send(seq, now)
        else:
            self._wait(seq, now)

    def serve(self, now: float) -> None:
        """Send on who waits, as far as there is room."""
        queue, balance = self._queue, self.balance
        while queue and balance.size and balance.least < self._limit:
            _, seq = queue.popleft()
            self._queued += now
            self._send(seq, now)

    def run(self, now: float, replica: Replica) -> None:
        """An engine is due."""
        batch = replica.batch
        if batch.due != now:
            return  # an arrival came in between, or its end
        finished = batch.advance()
        if batch.due != inf:
            heappush(self._entries, (batch.due, next(self._order), self._run, replica))
        if finished:
            self._end(now, replica, finished)

    def lose(self, replica: Replica, now: float) -> None:
        """A replica is gone. Requests of which nothing was seen yet are sent to another, the others are lost."""
        replica.batch.due = inf
        for seq in [*replica.batch.held()]:
            self._at_replicas -= 1
            self._busy += now
            if seq.first_token is None or seq.first_token > now:
                self._retry(seq, now)
            else:
                self._counters.lost += 1
                self._close(1, now)

    def _end(self, now: float, replica: Replica, finished: list[Sequence]) -> None:
        ended = len(finished)
        self._at_replicas -= ended
        self._busy += ended * now
        for seq in finished:
            self._counters.end(seq, replica.delay / 2)  # the way back; the way there it is late already
        if replica.stage is Stage.READY:
            unload = self.balance.unload
            for _ in finished:
                unload(replica)
        else:
            replica.in_flight -= ended
            if not replica.in_flight:
                self.on_drained(now, replica)
        if self._queue:
            self.serve(now)
        self._close(ended, now)

    def _send(self, seq: Sequence, now: float) -> None:
        """To a replica; there has to be one with room."""
        balance, prefix = self.balance, seq.prefix
        replica = balance.pick_for(prefix[0] // KEYS, self._limit) if prefix else balance.pick()
        balance.load(replica)
        self._at_replicas += 1
        self._busy -= now
        if replica.delay:
            self._agenda.put(now + replica.delay / 2, self._arrived, (replica, seq))
        else:
            self._deliver(seq, replica, now)

    def _arrived(self, now: float, what: tuple[Replica, Sequence]) -> None:
        """A request reaches a cluster, where its replica may be gone by then."""
        replica, seq = what
        if replica.stage is not Stage.GONE:
            self._deliver(seq, replica, now)
            return
        self._at_replicas -= 1
        self._busy += now
        self._retry(seq, now)

    def _deliver(self, seq: Sequence, replica: Replica, now: float) -> None:
        batch = replica.batch
        due = batch.due
        batch.put(seq, now)
        if batch.due != due:
            heappush(self._entries, (batch.due, next(self._order), self._run, replica))

    def _wait(self, seq: Sequence, now: float) -> None:
        if not self.awake:
            self.on_wake(now)
        if len(self._queue) >= self._room:
            self._refuse(now)
            return
        self._queue.append((now + self._timeout, seq))
        self._queued -= now
        self._watch()

    def _retry(self, seq: Sequence, now: float) -> None:
        """Send it anew, or let it wait before all others: it has waited already."""
        anew = Sequence(seq.prompt, seq.output, seq.arrived, seq.prefix)
        if self.balance.size and self.balance.least < self._limit:
            self._send(anew, now)
            return
        if not self.awake:
            self.on_wake(now)
        self._queue.appendleft((now + self._timeout, anew))
        self._queued -= now
        self._watch()

    def _watch(self) -> None:
        """Look when the first in the queue has waited too long: once at a time."""
        if self._queue and not self._watched:
            self._watched = True
            self._agenda.put(self._queue[0][0], self._expire)

    def _expire(self, now: float, _: Any) -> None:
        """Turn away who has waited too long."""
        queue, self._watched = self._queue, False
        while queue and queue[0][0] <= now:
            queue.popleft()
            self._queued += now
            self._refuse(now)
        self._watch()

    def _refuse(self, now: float) -> None:
        self._counters.refused += 1
        self._close(1, now)

    def _close(self, requests: int, now: float) -> None:
        self.open -= requests
        if not self.open and self.on_idle is not None:
            self.on_idle(now)
