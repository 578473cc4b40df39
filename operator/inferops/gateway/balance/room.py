"""The room where requests wait for a replica: bounded, first come first served, each up to its deadline.

Nothing is woken to look for itself: whoever makes room hands what there is to the first in line (`serve`), at once. So
no wake-up can be lost, and nobody who arrives later gets in between. What was handed to a request that was cancelled
in the same moment is given back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from inferops.gateway.balance.level import Level
from inferops.gateway.balance.outcome import NoReplica

Want = TypeVar("Want")
Got = TypeVar("Got")


class _Waiter(Generic[Want, Got]):
    """One request in the room."""

    __slots__ = ("future", "since", "timer", "want")

    def __init__(self, want: Want, future: asyncio.Future[Got], since: float) -> None:
        self.want = want
        self.future = future
        self.since = since
        self.timer: asyncio.TimerHandle | None = None  # of its next look


@dataclass(frozen=True, slots=True)
class Look:
    """What one who waits looks at from time to time: whether to go."""

    first: float  # seconds
    every: float
    why: Callable[[], NoReplica | None]  # None: it goes on waiting


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

    async def wait(
        self,
        want: Want,
        seconds: float,
        late: Callable[[], NoReplica],
        since: float | None = None,
        look: Look | None = None,
    ) -> Got:
        """Wait in line. Raises `late()` after so many seconds, and what `fail` is given, or what a look says.

        `since`: when it came, of one that left for a moment and takes its place again.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Got] = loop.create_future()
        now = self._clock()
        waiter = _Waiter(want, future, now if since is None else since)
        timer = loop.call_later(seconds, self._expire, waiter, late)
        if look is not None:
            waiter.timer = loop.call_later(look.first, self._look, waiter, look)
        self._join(waiter)
        self.waited.move(len(self._waiters), now)
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
            if waiter.timer is not None:
                waiter.timer.cancel()
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

    def _join(self, waiter: _Waiter[Want, Got]) -> None:
        """Before those who came later."""
        waiters = self._waiters
        behind = []
        for other in reversed(waiters):
            if other.since <= waiter.since:
                break
            behind.append(other)
        waiters[waiter] = None
        for other in reversed(behind):
            waiters.move_to_end(other)

    def _look(self, waiter: _Waiter[Want, Got], look: Look) -> None:
        if waiter.future.done():
            return
        if (why := look.why()) is None:
            waiter.timer = asyncio.get_running_loop().call_later(look.every, self._look, waiter, look)
        else:
            waiter.future.set_exception(why)
            self._leave([waiter])

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
