"""Answers `kubectl logs` for the pods of one node, at the address and port where kubelet would.

The API server shows its client certificate and does not check the node's, as in a cluster whose kubelets sign their
own; so the agent's client certificate serves well enough here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiohttp import web

from nodeagent.client import Access, server_context
from nodeagent.pod import ServedPod
from nodeagent.registration import KUBELET_PORT

POLL = 0.2  # seconds between looks at a log that is followed
Finder = Callable[[str, str], ServedPod | None]  # namespace and name to pod


class LogServer:
    """Serves logs on `address` while it is started."""

    def __init__(self, access: Access, address: str, find: Finder) -> None:
        self._access = access
        self._address = address
        self._find = find
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Without a client certificate there is nothing to serve TLS with, and no logs."""
        context = server_context(self._access)
        if context is None:
            return
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, KUBELET_PORT, ssl_context=context).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        pod = self._find(request.match_info["namespace"], request.match_info["pod"])
        try:
            life = pod.life(request.match_info["container"]) if pod else None
        except KeyError:
            life = None
        if life is None:
            raise web.HTTPNotFound(text="there is no such container on this node")
        query = request.query
        log = life.previous_log if query.get("previous") == "true" else life.log
        tail = int(query.get("tailLines") or len(log))
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        sent = max(len(log) - tail, 0)
        sent += await _write(response, list(log)[sent:])
        with suppress(ConnectionResetError):
            while query.get("follow") == "true" and life.log is log and life.runs:
                await asyncio.sleep(POLL)
                sent += await _write(response, list(log)[sent:])
        return response


async def _write(response: web.StreamResponse, lines: Sequence[str]) -> int:
    if lines:
        await response.write("".join(f"{line}\n" for line in lines).encode())
    return len(lines)
