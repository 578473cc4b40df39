"""Ends what takes too long, with one timer for all requests: a timer each costs more than everything here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum

from inferops.gateway.proxy.errors import TIMEOUT, UNAVAILABLE, UPSTREAM, ApiError

LOOK_EVERY = 0.25  # seconds: how late a deadline may be


class Why(StrEnum):
    """Why a request was ended by us."""

    TIMEOUT = "timeout"  # it took longer than it may
    HUNG = "hung"  # its replica hangs
    ENDING = "ending"  # the gateway ends


ERRORS = {
    Why.TIMEOUT: (504, TIMEOUT, "took longer than it may; ask for fewer tokens, or raise spec.traffic.requestTimeout"),
    Why.HUNG: (504, UPSTREAM, "went to a replica that stopped answering; send it again"),
    Why.ENDING: (503, UNAVAILABLE, "was cut off, since this gateway ends; send it again"),
}


class Deadline:
    """Of the request that a task answers."""

    __slots__ = ("_all", "_task", "at", "why")

    def __init__(self, among: set[Deadline], at: float, task: asyncio.Task[None]) -> None:
        self.at = at
        self.why: Why | None = None
        self._all = among
        self._task = task
        among.add(self)

    def expire(self, why: Why) -> None:
        """Cancel the task, unless that was done already."""
        if self.why is None and self in self._all:
            self.why = why
            self._task.cancel()

    def caught(self) -> Why | None:
        """After a CancelledError: why we cancelled, which is taken back with that; None: somebody else did."""
        why, self.why = self.why, None
        if why is not None:
            self._task.uncancel()
        return why

    def end(self) -> None:
        """The request has ended; nothing is cancelled any more."""
        self._all.discard(self)


class Deadlines:
    """Those of all requests."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: set[Deadline] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, seconds: float, task: asyncio.Task[None]) -> Deadline:
        """A deadline for `task`, or for what it waits for. `end` it."""
        return Deadline(self._running, self._clock() + seconds, task)

    def check(self) -> None:
        """Cancel what is past its time. To be called every `LOOK_EVERY`."""
        now = self._clock()
        for one in [one for one in self._running if one.at <= now]:
            one.expire(Why.TIMEOUT)

    def expire_all(self, why: Why) -> None:
        for one in list(self._running):
            one.expire(why)


def error_of(why: Why) -> ApiError:
    status, type_, message = ERRORS[why]
    retry_after = None if why is Why.TIMEOUT else 1.0
    return ApiError(status, type_, f"the request {message}", code=f"request_{why}", retry_after=retry_after)
