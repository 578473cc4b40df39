"""Whether a member may be asked: not for a while after it failed several times in a row, then once, to see.

So one that is gone costs little, and one that comes back is not met by everybody at the same moment. An answer that
refuses (401, 403, 404, 409, 410, 429) is no failure: the API server is there. `Breaker` is pure: time and chance are
arguments. `Guarded` is a client that keeps to it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from inferops.kube.client import CIRCUIT_OPEN, KubeError, Reader
from inferops.kube.kinds import Kind
from inferops.kube.mirror import Following
from inferops.kube.owned import Object

FAILURES = 3  # in a row
PAUSE = 1.0  # seconds, the first one; each further one is twice as long
PAUSE_MAX = 30.0
WAIT_MAX = 60.0  # seconds for which a member that asks for it is left alone
OPEN = CIRCUIT_OPEN

T = TypeVar("T")


class Breaker:
    """The state of one member. Times are seconds of any clock that does not go back.

    Closed: requests are sent. Open, after `failures` in a row: none is, until a pause is over. Half open: one is, and
    tells; if it fails, the next pause is twice as long.
    """

    def __init__(self, failures: int = FAILURES, jitter: Callable[[], float] = random.random) -> None:
        """`jitter`: numbers in [0, 1)."""
        self._limit, self._jitter = failures, jitter
        self._failed = 0  # in a row, while closed
        self._pauses = 0  # in a row
        self._open: float | None = None  # the end of the pause; None: closed
        self._wait: float | None = None  # when it wants to be asked again
        self._trial = False  # whether the request that tells is under way

    @property
    def closed(self) -> bool:
        return self._open is None

    def until(self) -> float | None:
        """The end of the pause, which may be past if nobody asked since. None: nothing holds a request back."""
        return max((each for each in (self._open, self._wait) if each is not None), default=None)

    def allow(self, now: float, *, trial: bool = True) -> bool:
        """Whether a request may be sent now. One that is sent while half open is the trial, of which the end must be
        told; `trial` False is for requests that take too long to be one."""
        if self._wait is not None and now < self._wait:
            return False
        self._wait = None
        if self._open is None:
            return True
        if now < self._open or self._trial or not trial:
            return False
        self._trial = True
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._failed = self._pauses = 0
        self._open, self._trial = None, False

    def failed(self, now: float) -> None:
        """It did not answer, or with an error of its own. While open without a trial that is nothing new."""
        if self._open is None:
            self._failed += 1
            if self._failed < self._limit:
                return
        elif not self._trial:
            return
        pause = min(PAUSE * 2.0 ** min(self._pauses, 10), PAUSE_MAX)
        self._open = now + pause * (0.5 + self._jitter())
        self._pauses += 1
        self._failed, self._trial = 0, False

    def abandoned(self) -> None:
        """The trial ended without telling anything: another one may."""
        self._trial = False

    def wait(self, now: float, seconds: float) -> None:
        """It asks to be left alone for so long (Retry-After), of which WAIT_MAX are granted."""
        self._wait = max(self._wait or now, now + min(max(seconds, 0.0), WAIT_MAX))


def judge(breaker: Breaker, error: KubeError, now: float) -> None:
    """Tell the breaker what an error says of the member."""
    if error.status == 0 or error.status >= 500:
        breaker.failed(now)
    else:
        breaker.succeeded()
    if error.retry_after:
        breaker.wait(now, error.retry_after)


class Calls(Following, Reader, Protocol):
    """The calls of a client that are guarded."""

    async def offers(self, kind: Kind) -> bool: ...

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object: ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None: ...


class Guarded:
    """A client that asks nothing while the breaker is open: it raises KubeError with status 0 and reason CircuitOpen.

    `clock` is the breaker's; left out: the event loop's.
    """

    def __init__(self, client: Calls, breaker: Breaker, clock: Callable[[], float] | None = None) -> None:
        self._client, self._breaker = client, breaker
        self._now = clock or (lambda: asyncio.get_running_loop().time())

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        return await self._ask(f"get {kind.kind} {namespace}/{name}", lambda: self._client.get(kind, namespace, name))

    async def offers(self, kind: Kind) -> bool:
        """Whether the cluster has this kind."""
        return await self._ask(f"discover {kind.kind}", lambda: self._client.offers(kind))

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        """Server-side apply. Without `force` a field that another manager set otherwise is a conflict (409)."""
        doing = f"apply {kind.kind} {desired['metadata'].get('namespace', '')}/{desired['metadata']['name']}"
        return await self._ask(doing, lambda: self._client.apply(kind, desired, force=force, subresource=subresource))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete the object that has this uid. Gone already is fine."""
        doing = f"delete {kind.kind} {namespace}/{name}"
        await self._ask(doing, lambda: self._client.delete(kind, namespace, name, uid))

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        """All objects of a kind, page by page, each of which is a request."""
        told = self._client.pages(kind, selector, namespace=namespace, metadata_only=metadata_only)
        while True:
            try:
                page = await self._ask(f"list {kind.kind} all", told.__anext__)
            except StopAsyncIteration:
                return
            yield page

    async def follow(
        self, kind: Kind, selector: str, version: int, timeout: float, *, namespace: str = ""
    ) -> AsyncIterator[tuple[str, Object]]:
        """What happens to the objects of a kind. Never the trial, since a watch may be silent for as long as it runs;
        nor does what it still tells prove that requests are answered again."""
        if not self._breaker.allow(self._now(), trial=False):
            raise self._refused(f"watch {kind.kind}")
        told = self._client.follow(kind, selector, version, timeout, namespace=namespace)
        try:
            async for event in told:
                if self._breaker.closed:
                    self._breaker.succeeded()
                yield event
        except KubeError as error:
            if self._breaker.closed:
                judge(self._breaker, error, self._now())
            raise

    async def _ask(self, doing: str, request: Callable[[], Awaitable[T]]) -> T:
        trial = not self._breaker.closed
        if not self._breaker.allow(self._now()):
            raise self._refused(doing)
        try:
            answer = await request()
        except KubeError as error:
            if trial or self._breaker.closed or 0 < error.status < 500:  # else it was sent before the pause began
                judge(self._breaker, error, self._now())
            raise
        except BaseException:  # it was cancelled, or there was no request
            if trial:
                self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return answer

    def _refused(self, doing: str) -> KubeError:
        left = max(0.0, (self._breaker.until() or 0.0) - self._now())
        if left:
            return KubeError(doing, 0, OPEN, f"the cluster is not asked for another {left:.1f} s", left)
        return KubeError(doing, 0, OPEN, "the cluster is not asked until one request has shown that it answers again")
