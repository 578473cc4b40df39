"""Speaks to one API server as the user of a kubeconfig: requests with plain dicts, retried while it is safe."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import yaml

CONNECTIONS = 32  # enough to keep two cores of API server busy
ATTEMPTS = 6
FIRST_RETRY = 0.1  # seconds, doubled with each attempt
RETRIED = frozenset({429, 500, 502, 503, 504})

Json = dict[str, Any]
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


class ApiError(Exception):
    """The API server refused a request; `status` is the HTTP code."""

    def __init__(self, verb: str, path: str, status: int, message: str) -> None:
        super().__init__(f"{verb} {path}: {status} {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an API server: its URL, whom it trusts and who asks."""

    server: str
    tls: ssl.SSLContext | None = None
    identity: bytes | None = None  # the client certificate and its key, as PEM
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The host of the server's URL."""
        return urlsplit(self.server).hostname or ""


def load_kubeconfig(path: str | Path, context: str | None = None) -> Access:
    """Access as `context` of the kubeconfig at `path` says; its current context when left out.

    Certificates, keys and tokens may be given as data or as files. Raises ValueError on a missing entry.
    """
    config = yaml.safe_load(Path(path).read_text())
    chosen = _entry(config, "contexts", context or config.get("current-context", ""), path)["context"]
    cluster = _entry(config, "clusters", chosen["cluster"], path)["cluster"]
    user = _entry(config, "users", chosen["user"], path)["user"]
    token = user.get("token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    server, identity = cluster["server"], _identity(user)
    tls = _tls(cluster, identity) if server.startswith("https") else None
    return Access(server, tls, identity, headers)


def server_context(access: Access) -> ssl.SSLContext | None:
    """TLS for a server that shows the client certificate of `access`; None when there is none."""
    if access.identity is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, access.identity)
    return context


def _entry(config: Json, kind: str, name: str, path: str | Path) -> Json:
    for entry in config.get(kind) or []:
        if entry["name"] == name:
            return dict(entry)
    raise ValueError(f"{path}: {kind}: no entry {name!r}; add it or choose another context")


def _tls(cluster: Json, identity: bytes | None) -> ssl.SSLContext:
    authority = _material(cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if identity:
        _load(context, identity)
    return context


def _identity(user: Json) -> bytes | None:
    certificate, key = _material(user, "client-certificate"), _material(user, "client-key")
    return certificate + b"\n" + key if certificate and key else None


def _load(context: ssl.SSLContext, identity: bytes) -> None:
    with tempfile.NamedTemporaryFile() as chain:  # the ssl module reads a certificate from a file only
        chain.write(identity)
        chain.flush()
        context.load_cert_chain(chain.name)


def _material(entry: Json, name: str) -> bytes | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    if file := entry.get(name):
        return Path(file).read_bytes()
    return None


class Client:
    """Requests to one API server. Answers are parsed JSON; refusals raise ApiError."""

    def __init__(self, access: Access) -> None:
        self.access = access
        connector = aiohttp.TCPConnector(ssl=access.tls or True, limit=CONNECTIONS)
        self._session = aiohttp.ClientSession(access.server, headers=dict(access.headers), connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(self, path: str, **params: str) -> Json:
        """Read an object or a list."""
        return await self._request("GET", path, params=params)

    async def create(self, path: str, body: Json) -> Json:
        """Create an object."""
        return await self._request("POST", path, body)

    async def patch(self, path: str, body: Json, kind: str = STRATEGIC) -> Json:
        """Patch an object; `kind` is the patch's content type."""
        return await self._request("PATCH", path, body, kind=kind)

    async def delete(self, path: str, body: Json | None = None) -> None:
        """Delete an object, with DeleteOptions as `body`. One that is gone already counts as deleted."""
        try:
            await self._request("DELETE", path, body)
        except ApiError as error:
            if error.status != 404:
                raise

    @asynccontextmanager
    async def stream(self, path: str, params: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a watch. Raises ApiError when it is refused."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=330)
        async with self._session.get(path, params=params, timeout=timeout) as response:
            if response.status >= 400:
                raise ApiError("WATCH", path, response.status, await response.text())
            yield response

    async def _request(
        self,
        verb: str,
        path: str,
        body: Json | None = None,
        *,
        params: Mapping[str, str] | None = None,
        kind: str = "application/json",
    ) -> Json:
        for attempt in range(ATTEMPTS):
            try:
                return await self._once(verb, path, body, params, kind)
            except (aiohttp.ClientConnectionError, TimeoutError, ApiError) as error:
                passing = not isinstance(error, ApiError) or error.status in RETRIED
                if not passing or attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(FIRST_RETRY * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(self, verb: str, path: str, body: Json | None, params: Mapping[str, str] | None, kind: str) -> Json:
        timeout = aiohttp.ClientTimeout(total=30)
        headers = {"Content-Type": kind} if body is not None else None
        async with self._session.request(
            verb, path, json=body, params=params, headers=headers, timeout=timeout
        ) as response:
            answer: Json = await response.json(content_type=None)
            if response.status >= 400:
                raise ApiError(verb, path, response.status, str(answer.get("message", answer)))
            return answer
