"""A Bento as any could be: an echo at every path, with the health checks and the metrics of BentoML 1.4."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from inferops.simulate.server.options import Refusing, positive

SERVICE_SECONDS = 0.02  # that an answer takes
LABELS = ("endpoint", "service_name", "service_version")
OWN = frozenset({"/metrics", "/livez", "/readyz"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class BentoOptions:
    """What the server does, as its command line says it."""

    host: str
    port: int
    drain: float  # seconds


def parse_bento(argv: Sequence[str]) -> BentoOptions:
    """Read what comes after `serve`. Raises `StartFailure` with code 2."""
    words = list(argv[argv.index("serve") + 1 :] if "serve" in argv else argv)
    parser = Refusing(prog="bentoml serve", usage="bentoml serve [options]", allow_abbrev=False, add_help=False)
    parser.add_argument("bento", nargs="?")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", "-p", type=int, default=3000)
    parser.add_argument("--production", action="store_true")
    parser.add_argument("--timeout-graceful-shutdown", type=positive, default=None)
    parser.add_argument("--arg", action="append")
    for name in ("api-workers", "timeout", "backlog", "timeout-keep-alive"):
        parser.add_argument(f"--{name}", type=positive)
    found: argparse.Namespace = parser.parse_args(words)
    return BentoOptions(found.host, found.port, found.timeout_graceful_shutdown or float("inf"))


class BentoApi:
    """The server's API."""

    def __init__(self, scale: float) -> None:
        self._seconds = SERVICE_SECONDS / scale
        self._registry = registry = CollectorRegistry(auto_describe=False)
        answered = (*LABELS, "http_response_code")
        name = "bentoml_service_request"
        self._in_progress = Gauge(f"{name}_in_progress", "Requests in progress.", LABELS, registry=registry)
        self._total = Counter(f"{name}_total", "Requests.", answered, registry=registry)
        self._duration = Histogram(f"{name}_duration_seconds", "Seconds of a request.", answered, registry=registry)

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._count])
        for path in ("/livez", "/readyz"):
            app.router.add_get(path, self._well)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_post("/{path:.*}", self._echo)
        return app

    async def _well(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text="\n")

    async def _show_metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await asyncio.sleep(self._seconds)
        return web.Response(body=body, content_type=request.content_type)

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count every request but those of probes and of whoever reads the metrics."""
        if request.path in OWN:
            return await handler(request)
        labels = (request.path, "simulated", "1")
        begin = time.monotonic()
        with self._in_progress.labels(*labels).track_inprogress():
            response = await handler(request)
        self._total.labels(*labels, str(response.status)).inc()
        self._duration.labels(*labels, str(response.status)).observe(time.monotonic() - begin)
        return response
