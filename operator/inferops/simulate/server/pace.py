"""The batching in real time: steps, waits until each is over, and tells the requests what they produced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from inferops.simulate.batching import Batch
from inferops.simulate.sequence import Sequence, State, Step
from inferops.simulate.server.failures import Stopped

CATCH_UP_SECONDS = 0.1  # of real time: sleeps are late by a millisecond or so, which must not add up


class Observer(Protocol):
    """Who counts what happens."""

    def stepped(self, step: Step) -> None:
        """A step is over."""

    def ended(self, ticket: Ticket, reason: str) -> None:
        """A request has ended: stop, length, abort or error."""


class Ticket:
    """A request in the engine, for the handler that answers it."""

    def __init__(self, seq: Sequence, reason: str, max_tokens: int, label: str) -> None:
        self.seq = seq
        self.reason = reason  # why it will end if nothing happens: stop or length
        self.max_tokens = max_tokens  # what the request allowed
        self.label = label  # the model, where there are several
        self.produced = 0  # tokens the client may see
        self.failure: Stopped | None = None
        self.changed = asyncio.Event()


class Pace:
    """Runs one batch. `now` gives simulated seconds, of which `scale` pass in one second."""

    def __init__(self, batch: Batch, now: Callable[[], float], scale: float, observer: Observer) -> None:
        self._batch = batch
        self._now = now
        self._scale = scale
        self._observer = observer
        self._tickets: dict[Sequence, Ticket] = {}
        self._current: Step | None = None
        self._end = 0.0  # of the last step
        self._work = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._answering = asyncio.Event()
        self._answering.set()

    @property
    def running(self) -> int:
        """Requests in the batch."""
        return self._current.running if self._current else 0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._batch.waiting

    @property
    def waiting_tokens(self) -> int:
        """Prompt tokens in the queue."""
        return self._batch.waiting_tokens

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use."""
        return self._current.kv_blocks / self._batch.kv.blocks if self._current else 0.0

    def tickets(self) -> Iterator[Ticket]:
        """The requests that have not ended."""
        return iter(tuple(self._tickets.values()))

    def submit(
        self, prompt: int, output: int, prefix: tuple[int, ...], *, reason: str, max_tokens: int, label: str = ""
    ) -> Ticket:
        """Queue a request. Raises `TooLarge`."""
        now = self._now()
        if self._current is not None:  # the batching may lag behind the clock, and time must not go back
            now = min(now, self._end)
        seq = self._batch.add(prompt, output, now, prefix)
        ticket = self._tickets[seq] = Ticket(seq, reason, max_tokens, label)
        self._empty.clear()
        self._work.set()
        return ticket

    async def progress(self, ticket: Ticket, seen: int) -> int:
        """Wait until `ticket` has produced more than `seen` tokens, and say how many. Raises `Stopped`."""
        while ticket.produced <= seen:
            if ticket.failure is not None:
                raise ticket.failure
            ticket.changed.clear()
            await ticket.changed.wait()
        return ticket.produced

    def leave(self, ticket: Ticket) -> None:
        """The client has gone: forget the request, unless it has ended."""
        if self._tickets.pop(ticket.seq, None) is not None:
            self._batch.abort(ticket.seq)
            self._observer.ended(ticket, "abort")
            self._note_empty()

    def fail_all(self, failure: Stopped) -> None:
        """Every request that has not ended fails with `failure`."""
        for ticket in self.tickets():
            del self._tickets[ticket.seq]
            self._batch.abort(ticket.seq)
            ticket.failure = failure
            ticket.changed.set()
            self._observer.ended(ticket, "error")
        self._note_empty()

    def slow(self, factor: float) -> None:
        """Take so many times as long for each step from now on."""
        self._batch.slow(factor)

    def hang(self) -> None:
        """Answer nothing any more."""
        self._answering.clear()

    async def emptied(self) -> None:
        """Wait until no request is left."""
        await self._empty.wait()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            step = self._batch.step(self._start())
            self._current = step
            if step is None:
                self._work.clear()
                await self._work.wait()
                continue
            self._end = step.end
            await asyncio.sleep(max(0.0, (step.end - self._now()) / self._scale))
            await self._answering.wait()
            self._publish(step)

    def _start(self) -> float:
        """When the next step begins: at the end of the last one if it has only just passed, else now."""
        now = max(self._now(), self._end)
        just_passed = self._current is not None and (now - self._end) / self._scale < CATCH_UP_SECONDS
        return self._end if just_passed else now

    def _publish(self, step: Step) -> None:
        self._observer.stepped(step)
        for seq, ticket in tuple(self._tickets.items()):
            produced = self._batch.produced(seq)
            if produced > ticket.produced:
                ticket.produced = produced
                ticket.changed.set()
            if seq.state is State.FINISHED:
                del self._tickets[seq]
                self._observer.ended(ticket, ticket.reason)
        self._note_empty()

    def _note_empty(self) -> None:
        if not self._tickets:
            self._empty.set()
