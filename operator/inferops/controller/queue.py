"""One queue of keys: a key stands in it once, is worked on by one worker at a time, and backs off by itself.

The same contract as client-go's workqueue, for asyncio. A key that fails waits longer each time and delays
nobody else; an event for it meanwhile does not shorten the wait below what its failures earned.

Two lanes, as in controller-runtime's priority queue: what somebody waits for goes first, and news of what runs
already is caught up with afterwards, though never held up for good.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BASE = 0.2  # seconds
CEILING = 300.0
TURN = 8  # of so many keys given out, one is of the later lane, if there is any


class Closed(Exception):
    """The queue gives out no more keys."""


class Queue(Generic[K]):
    """Keys waiting to be reconciled."""

    def __init__(
        self,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
        urgent: Callable[[K], bool] = lambda _: False,
        *,
        idle: bool = False,
    ) -> None:
        """`idle`: what is added before `begin` is not kept. Nobody works on it, and it may be gone by then."""
        self._clock = clock
        self._jitter = jitter
        self._urgent = urgent  # whether a key that does not fail goes to the first lane
        self._first: deque[K] = deque()
        self._later: deque[K] = deque()
        self._queued: dict[K, bool] = {}  # whether it is in the first lane; in the later one its place may be stale
        self._given = 0
        self._working: set[K] = set()
        self._dirty: set[K] = set()  # added again while being worked on
        self._due: dict[K, float] = {}  # delayed keys and their time
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._changed = asyncio.Event()
        self._idle = idle
        self._closed = False

    def __len__(self) -> int:
        return len(self._queued) + len(self._due)

    @property
    def failing(self) -> int:
        """Keys whose last run failed."""
        return len(self._failures)

    def begin(self, keys: Iterable[K]) -> None:
        """From now on somebody works, on these first."""
        self._idle = False
        for key in keys:
            self.add(key)

    def add(self, key: K, delay: float = 0.0) -> None:
        """Ask for a run of `key`, after `delay` seconds or after its back-off, whichever is later."""
        if self._idle:
            return
        due = max(self._clock() + delay, self._not_before.get(key, float("-inf")))
        if key in self._queued:
            self._enqueue(key)
            return
        if key in self._working and due <= self._clock():
            self._dirty.add(key)
            return
        if due > self._clock():
            if due < self._due.get(key, float("inf")):
                self._due[key] = due
                self._count += 1
                heapq.heappush(self._heap, (due, self._count, key))
                self._changed.set()
            return
        self._due.pop(key, None)
        self._enqueue(key)
        self._changed.set()

    async def get(self) -> K:
        """The next key. It must be given back with `done` or `failed`. Raises Closed after `close`."""
        while True:
            if self._closed:
                raise Closed
            self._promote()
            if self._queued:
                key = self._take()
                self._working.add(key)
                return key
            self._changed.clear()
            wait = self._heap[0][0] - self._clock() if self._heap else None
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """The run of `key` went well: its failures are forgotten."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._release(key)

    def failed(self, key: K, at_least: float = 0.0, at_most: float = CEILING) -> float:
        """The run of `key` failed: run it again after a back-off, which `at_most` bounds, and after at least `at_least`
        seconds. Returns the wait."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait: float = max(at_least, min(BASE * 2 ** min(failures - 1, 20), at_most) * (0.75 + self._jitter() / 2))
        self._not_before[key] = self._clock() + wait
        self._dirty.discard(key)
        self._due.pop(key, None)  # what was asked for meanwhile waits as well
        self._release(key)
        self.add(key)
        return wait

    def close(self) -> None:
        """Give out no more keys; those being worked on may finish."""
        self._closed = True
        self._changed.set()

    def forget(self, key: K) -> None:
        """The object of `key` is gone: nothing about it is remembered."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._due.pop(key, None)

    def _release(self, key: K) -> None:
        self._working.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def _enqueue(self, key: K) -> None:
        """Put a key into its lane; one that is queued already may only move from the later one to the first."""
        first = key not in self._failures and self._urgent(key)
        if key not in self._queued or (first and not self._queued[key]):
            self._queued[key] = first
            (self._first if first else self._later).append(key)

    def _take(self) -> K:
        """The next of the keys that are queued, of which there is at least one."""
        self._given += 1
        turn = self._given % TURN == 0
        lanes = (self._later, self._first) if turn else (self._first, self._later)
        for lane in lanes:
            while lane:
                key = lane.popleft()
                if self._queued.get(key) is (lane is self._first):
                    del self._queued[key]
                    return key
        raise AssertionError("every key that is queued stands in its lane")

    def _promote(self) -> None:
        """Move delayed keys whose time has come to the ready ones."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue  # superseded
            del self._due[key]
            if key in self._working:
                self._dirty.add(key)
            else:
                self._enqueue(key)
