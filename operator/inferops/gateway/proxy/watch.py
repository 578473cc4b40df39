"""Looks after the gateways of other clusters while they owe answers: one that hangs takes requests and says nothing.

A whole answer may take minutes, so silence alone tells nothing. A cluster from which nothing came for SUSPECT seconds,
though it has requests, is asked whether it lives; where no answer of any kind comes, its requests are given up: they go
elsewhere, or end with an error where their client has something of them already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.health import ASSURED, SUSPECT
from inferops.gateway.balance.probing import LIMIT, LOOK_EVERY
from inferops.gateway.balance.targets import Target
from inferops.gateway.proxy.upstream import Broken, Unreached, Upstream

QUESTION = "GET /v2/health/live HTTP/1.1\r\nHost: {host}\r\n\r\n"  # which a gateway answers by itself


class Watch:
    """Looks after the targets of all services."""

    def __init__(self, fleet: Fleet, upstream: Upstream, clock: Callable[[], float], limit: float = LIMIT) -> None:
        """`limit`: seconds for an answer."""
        self._fleet, self._upstream, self._clock, self._limit = fleet, upstream, clock, limit
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                self.look()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            for task in self._tasks:
                task.cancel()

    def look(self) -> None:
        """Have those asked that owe a sign of life."""
        now = self._clock()
        for pool in self._fleet.pools():
            for target in pool.overflow.targets or ():
                if target.held and now - target.quiet >= SUSPECT and not target.asked:
                    target.asked = True
                    task = asyncio.create_task(self._ask(target))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def _ask(self, target: Target) -> None:
        quiet = target.quiet
        try:
            alive = await self._lives(target.cluster.url)
        finally:
            target.asked = False
        now = self._clock()
        if alive:
            target.quiet = max(target.quiet, now + ASSURED - SUSPECT)
        elif target.quiet == quiet:
            target.give_up(now)

    async def _lives(self, url: str) -> bool:
        head = QUESTION.format(host=url.partition("://")[2]).encode()
        try:
            async with asyncio.timeout(self._limit):
                answer = await self._upstream.send(url, head, b"")
                while await answer.piece():
                    pass
                answer.close()
        except (TimeoutError, Unreached, Broken):
            return False
        return True
