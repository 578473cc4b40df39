"""Kopf ends for good on answers that pass: here each of them leads to another try or to a new LIST instead.

It gives up on any ERROR event but 410, on half an event where a connection was closed, on any refusal of a watch or a
LIST but 401, 403 and 429 (a page of a LIST that has expired is a 410), and on those and on 5xx after a minute. Proxies
before an API server do such things, and an outage of etcd may last longer: then all replicas would end at once, and
kubelet's back-off keep them away when it is over.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from collections.abc import AsyncIterator, Iterable, Iterator, MutableMapping
from types import TracebackType
from typing import Any, Self

import aiohttp

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds before kopf lists anew
FIRST_WAITS, LAST_WAIT = (1.0, 1.0, 2.0, 3.0), 5.0  # seconds between tries
ERROR = re.compile(rb'\s*\{\s*"type"\s*:\s*"ERROR"')
# What kopf takes as the sign to list anew.
GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410}}).encode() + b"\n"


class Forever(Iterable[float]):
    """Waits between the tries of a request that kopf retries of itself: 401, 403, 429, 5xx and broken connections."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(FIRST_WAITS, itertools.repeat(LAST_WAIT))


class PatientSession:
    """The part of `aiohttp.ClientSession` that kopf uses."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @property
    def headers(self) -> MutableMapping[str, str]:
        return self._session.headers

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def close(self) -> None:
        await self._session.close()

    async def request(self, method: str, url: str, **options: Any) -> aiohttp.ClientResponse | _Events:
        """Raises aiohttp.ClientPayloadError where a LIST is to begin anew: kopf does so then."""
        response = await self._session.request(method, url, **options)
        watches = "watch" in response.url.query
        if response.status in (401, 403, 429) or response.status >= 500:
            return response
        if response.status < 400:
            return _Events(response) if watches else response
        log.warning("%s %s: %d, beginning anew with a LIST", method, response.url.path, response.status)
        response.release()
        await asyncio.sleep(PAUSE)
        if watches:
            return _Events(None)
        raise aiohttp.ClientPayloadError(f"{method} {response.url.path}: {response.status}")


class _Events:
    """The answer to a watch, in which every ERROR event reads as 410; without `response` it is nothing but that."""

    status = 200

    def __init__(self, response: aiohttp.ClientResponse | None) -> None:
        self._response = response
        self.content = self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """The events, one a line."""
        if self._response is None:
            yield GONE
            return
        rest = b""
        async for chunk in self._response.content.iter_chunked(size):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if ERROR.match(line):
                    log.info("%s: %s", self._response.url.path, line[:300].decode(errors="replace"))
                    await asyncio.sleep(PAUSE)
                    yield GONE
                    return
                yield line + b"\n"

    def close(self) -> None:
        if self._response is not None:
            self._response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.__aexit__(kind, error, trace)
