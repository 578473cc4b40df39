"""The room where requests wait for a replica: bounded, first come first served, each up to its deadline.

Nothing is woken to look for itself: whoever makes room hands what there is to the first in line (`serve`), at once. So
no wake-up can be lost, and nobody who arrives later gets in between. What was handed to a request that was cancelled
in the same moment is given back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from inferops.gateway.balance.level import Level
from inferops.gateway.balance.outcome import NoReplica

Want = TypeVar("Want")
Got = TypeVar("Got")


class _Waiter(Generic[Want, Got]):
    """One request in the room."""

    __slots__ = ("future", "want")

    def __init__(self, want: Want, future: asyncio.Future[Got]) -> None:
        self.want = want
        self.future = future


class Room(Generic[Want, Got]):
    """Requests that want a `Want` and wait for a `Got`."""

    def __init__(
        self, give_back: Callable[[Got], None], turned: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        """`turned` is called when the first begins to wait, and when none waits any more."""
        self.waited = Level(clock())  # request-seconds in here
        self._clock = clock
        self._give_back = give_back
        self._turned = turned
        self._waiters: OrderedDict[_Waiter[Want, Got], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiters)

    async def wait(self, want: Want, seconds: float, late: Callable[[], NoReplica]) -> Got:
        """Wait in line. Raises `late()` after so many seconds, and what `fail` is given."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Got] = loop.create_future()
        waiter = _Waiter(want, future)
        timer = loop.call_later(seconds, self._expire, waiter, late)
        self._waiters[waiter] = None
        self.waited.move(len(self._waiters), self._clock())
        if len(self._waiters) == 1:
            self._turned()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._give_back(future.result())
            raise
        finally:
            timer.cancel()
            self._leave([waiter])

    def serve(self, take: Callable[[Want], Got | None], picky: Callable[[Want], bool]) -> None:
        """Hand out what `take` gives, in order, until it has nothing. One who is picky holds nobody up."""
        gone: list[_Waiter[Want, Got]] = []
        for waiter in self._waiters:
            if waiter.future.done():  # cancelled, and not yet out of the door
                continue
            got = take(waiter.want)
            if got is not None:
                waiter.future.set_result(got)
                gone.append(waiter)
            elif not picky(waiter.want):
                break
        self._leave(gone)

    def fail(self, why: Callable[[], NoReplica]) -> None:
        """Send all away."""
        gone = list(self._waiters)
        for waiter in gone:
            if not waiter.future.done():
                waiter.future.set_exception(why())
        self._leave(gone)

    def _expire(self, waiter: _Waiter[Want, Got], late: Callable[[], NoReplica]) -> None:
        if not waiter.future.done():
            waiter.future.set_exception(late())
            self._leave([waiter])

    def _leave(self, gone: list[_Waiter[Want, Got]]) -> None:
        before = len(self._waiters)
        for waiter in gone:
            self._waiters.pop(waiter, None)
        if before != len(self._waiters):
            self.waited.move(len(self._waiters), self._clock())
        if before and not self._waiters:
            self._turned()
