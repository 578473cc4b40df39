"""The operator's own health and metrics over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from inferops.core import tallies
from inferops.kube.kinds import Kind


@dataclass(slots=True)
class Metrics:
    """What the operator says of itself. Labels are bounded: no name of a user's resource is one."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    reconciles: Counter = field(init=False)
    duration: Histogram = field(init=False)
    requests: Counter = field(init=False)
    depth: Gauge = field(init=False)
    failing: Gauge = field(init=False)
    leader: Gauge = field(init=False)
    gateways: Gauge = field(init=False)
    dropped: Counter = field(init=False)
    notified: Counter = field(init=False)
    succeeded: Gauge = field(init=False)
    lost: Counter = field(init=False)
    decided: dict[tallies.Family, Counter] = field(init=False)
    tasks: Gauge = field(init=False)
    stored: Gauge = field(init=False)

    def __post_init__(self) -> None:
        own = self.registry
        self.reconciles = Counter(
            "inferops_reconciles",
            "Reconciles by kind and result: ok, refused (by the API server), error (no answer), bug (of ours).",
            ["kind", "result"],
            registry=own,
        )
        self.duration = Histogram(
            "inferops_reconcile_duration_seconds",
            "How long a reconcile takes, its requests included.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=own,
        )
        self.requests = Counter(
            "inferops_kube_requests",
            "Requests to the API server by verb, kind and status code (0: no answer).",
            ["verb", "kind", "code"],
            registry=own,
        )
        self.depth = Gauge("inferops_queue_depth", "Keys waiting to be reconciled.", registry=own)
        self.failing = Gauge("inferops_queue_failing", "Keys whose last reconcile failed.", registry=own)
        self.leader = Gauge("inferops_leader", "1 while this replica holds the lease.", registry=own)
        self.gateways = Gauge(
            "inferops_gateways",
            "Replicas of the built-in gateway that are ready, and that tell.",
            ["state"],
            registry=own,
        )
        self.dropped = Counter(
            "inferops_demand_dropped",
            "What gateways told and nobody could read, by line, service, load and replica.",
            ["what"],
            registry=own,
        )
        self.notified = Counter(
            "inferops_notifications",
            "Messages about rollouts by form of the receiver and result: sent, failed, dropped.",
            ["form", "result"],
            registry=own,
        )
        self.tasks = Gauge("inferops_asyncio_tasks", "Tasks of the event loop that have not ended.", registry=own)
        self.stored = Gauge(
            "inferops_stored_objects", "Objects that are kept in memory, by kind.", ["kind"], registry=own
        )
        self.succeeded = Gauge(
            "inferops_last_successful_reconcile_timestamp_seconds",
            "When a reconcile last went well; 0: none has since this process began.",
            registry=own,
        )
        self.lost = Counter(
            "inferops_trace_spans_dropped", "Spans of traces that the collector did not take.", registry=own
        )
        self.decided = {each: Counter(each.name, each.help, each.labels, registry=own) for each in tallies.FAMILIES}
        for family, counter in self.decided.items():
            for known in family.known:
                counter.labels(known)
        build = Gauge("inferops_build_info", "The version that runs.", ["version", "python_version"], registry=own)
        build.labels(_version(), platform.python_version()).set(1)
        ProcessCollector(registry=own)

    def count(self, decided: Iterable[tallies.Tally]) -> None:
        """Take in what was decided and written."""
        for family, labels in decided:
            self.decided[family].labels(*labels).inc()

    def lost_spans(self, number: int) -> None:
        self.lost.inc(number)

    def observe_request(self, verb: str, kind: Kind, code: str) -> None:
        self.requests.labels(verb, kind.kind, code).inc()


def _version() -> str:
    try:
        return version("inferops")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"


async def serve(
    scrape: Callable[[str], Awaitable[tuple[bytes, str]]],
    address: str,
    port: int,
    healthy: Callable[[], bool],
    ready: Callable[[], bool],
) -> web.AppRunner:
    """Serve until the runner that is returned is cleaned up.

    scrape: the body of /metrics and its content type, by the Accept header.
    healthz: the process makes progress. readyz: its caches are primed; a waiting replica is ready too.
    """

    def answer(check: Callable[[], bool]) -> Callable[[web.Request], object]:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(text="ok\n") if check() else web.Response(text="not ok\n", status=503)

        return handler

    async def exposition(request: web.Request) -> web.Response:
        body, content_type = await scrape(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/healthz", answer(healthy))  # type: ignore[arg-type]
    app.router.add_get("/readyz", answer(ready))  # type: ignore[arg-type]
    app.router.add_get("/metrics", exposition)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
