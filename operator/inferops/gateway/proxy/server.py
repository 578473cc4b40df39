"""The two ports of a gateway: one for requests, one for its own metrics, health and demand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from inferops.gateway.signals.demand import Demand
from inferops.gateway.signals.exposition import Exposition

BACKLOG = 1024  # connections that may wait to be accepted
KEEP = 620.0  # seconds that an idle client's connection stays: longer than load balancers keep theirs
LINGER = 5.0  # seconds in which the rest of a refused body is read, so that the client sees why
LINE = 16384  # bytes of the request line, and of a header

log = logging.getLogger(__name__)
log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Port:
    """One that requests come in on."""

    number: int
    _listening: asyncio.Server
    _server: web.Server

    def stop_listening(self) -> None:
        """Take no new connections; those that are there stay."""
        self._listening.close()

    async def close(self, patience: float) -> None:
        """Close all connections, after so many seconds also those that are still being answered."""
        self._listening.close()
        self._server.pre_shutdown()  # ends the connections that wait for a request
        await self._server.shutdown(patience)


async def open_port(answer: Answer, address: str, port: int) -> Port:
    """Answer requests with `answer`, which is cancelled when its client goes away. Raises OSError."""
    server = web.Server(
        answer,
        handler_cancellation=True,
        access_log=None,
        logger=log,  # without what is no HTTP: its sender was told, and what it holds is not for logs
        keepalive_timeout=KEEP,
        lingering_time=LINGER,
        auto_decompress=False,
        max_line_size=LINE,
        max_field_size=LINE,
    )
    listening = await asyncio.get_running_loop().create_server(server, address, port, backlog=BACKLOG)
    return Port(listening.sockets[0].getsockname()[1], listening, server)


async def open_metrics(
    exposition: Exposition, demand: Demand, ready: Callable[[], bool], address: str, port: int
) -> tuple[web.AppRunner, int]:
    """Serve /metrics, /demand, /healthz and /readyz until the runner is cleaned up. Raises OSError.

    readyz: requests are routed, and more may come. Returns the port's number too.
    """

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = await exposition.scrape(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(text="not ready\n", status=503)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/demand", demand.handle)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]
