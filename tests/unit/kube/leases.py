"""An API server with one Lease, in virtual time, and lines to it that fail in every way a network can."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from inferops.kube.client import KubeError
from inferops.kube.kinds import LEASE, Kind
from inferops.kube.owned import Object


@dataclass
class Server:
    """What the API server holds. Writes are serialized and checked against the resource version."""

    lease: Object | None = None
    version: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def read(self) -> Object | None:
        return copy.deepcopy(self.lease)

    def write(self, desired: Object) -> Object:
        meta = desired["metadata"]
        held = (self.lease or {}).get("metadata", {})
        if meta.get("uid") != held.get("uid") or meta.get("resourceVersion") != held.get("resourceVersion"):
            raise refused(409)
        self.version += 1
        born = {"uid": meta.get("uid", f"uid-{self.version}"), "resourceVersion": str(self.version)}
        self._put({**desired, "metadata": {**meta, **born}})
        return copy.deepcopy(self.lease or {})

    def delete(self) -> None:
        self._put(None)

    def steal(self, holder: str) -> None:
        """Somebody writes another holder into it."""
        assert self.lease is not None
        self.version += 1
        spec = {**self.lease["spec"], "holderIdentity": holder}
        self._put({**self.lease, "spec": spec, "metadata": {"uid": "uid", "resourceVersion": str(self.version)}})

    def _put(self, lease: Object | None) -> None:
        self.lease = lease
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease is not None else ""


def refused(status: int) -> KubeError:
    return KubeError("apply Lease", status, "Refused" if status else "TimeoutError", "as the test has it")


class Fault(Enum):
    """What happens to one request."""

    NONE = "it is answered"
    SLOW = "it is answered after a while"
    ERROR = "the server fails"
    LOST = "it never arrives"
    NO_ANSWER = "it is done and its answer is lost"
    LATE = "it is done long after the client gave up"


@dataclass
class Line:
    """A client's connection: `faults` befall its requests one after the other, then none."""

    server: Server
    faults: Iterable[Fault] = ()
    silent: bool = False  # watches deliver nothing
    down: bool = False  # from now on
    delay: float = 0.01
    timeout: float = 5.0  # of a request
    late: float = 20.0
    requests: int = 0
    knows: bool = False  # has read a lease

    def __post_init__(self) -> None:
        self._faults = iter(self.faults)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        assert kind is LEASE
        return await self._request(self.server.read)  # type: ignore[no-any-return]

    async def create(self, kind: Kind, desired: Object) -> Object:
        assert "resourceVersion" not in desired["metadata"]
        return await self._request(lambda: self.server.write(desired))  # type: ignore[no-any-return]

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        assert force and desired["metadata"]["resourceVersion"]
        return await self._request(lambda: self.server.write(desired))  # type: ignore[no-any-return]

    async def watch(self, kind: Kind, namespace: str, name: str, timeout: float) -> AsyncIterator[Object]:
        if self.down:
            return
        try:
            async with asyncio.timeout(timeout):
                while True:
                    changed = self.server.changed
                    if self.server.lease is not None and not self.silent:
                        yield self.server.read() or {}
                    await changed.wait()
                    await asyncio.sleep(self.delay)
        except TimeoutError:
            return

    def pages(self, *_: Any, **__: Any) -> AsyncIterator[tuple[list[Object], int]]:
        raise AssertionError("an election lists nothing")

    async def delete(self, *_: Any) -> None:
        raise AssertionError("an election deletes nothing")

    async def _request(self, operation: Any) -> Any:
        self.requests += 1
        fault = Fault.LOST if self.down else next(self._faults, Fault.NONE)
        await asyncio.sleep(1.5 if fault is Fault.SLOW else self.delay)
        if fault is Fault.ERROR:
            raise refused(500)
        if fault in (Fault.NONE, Fault.SLOW):
            result = operation()
            await asyncio.sleep(self.delay)
            self.knows = self.knows or result is not None
            return result
        if fault is Fault.NO_ANSWER:
            self._do(operation)
        if fault is Fault.LATE:
            asyncio.get_running_loop().call_later(self.late, self._do, operation)
        await asyncio.sleep(self.timeout)
        raise refused(0)

    @staticmethod
    def _do(operation: Any) -> None:
        try:
            operation()
        except KubeError:
            return  # nobody hears of it
