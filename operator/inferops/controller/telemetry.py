"""The operator's own health and metrics over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

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
    tasks: Gauge = field(init=False)
    stored: Gauge = field(init=False)

    def __post_init__(self) -> None:
        own = self.registry
        self.reconciles = Counter(
            "inferops_reconciles", "Reconciles by kind and result.", ["kind", "result"], registry=own
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
        ProcessCollector(registry=own)

    def observe_request(self, verb: str, kind: Kind, code: str) -> None:
        self.requests.labels(verb, kind.kind, code).inc()


async def serve(
    metrics: Metrics, address: str, port: int, healthy: Callable[[], bool], ready: Callable[[], bool]
) -> web.AppRunner:
    """Serve until the runner that is returned is cleaned up.

    healthz: the process makes progress. readyz: its caches are primed; a waiting replica is ready too.
    """

    def answer(check: Callable[[], bool]) -> Callable[[web.Request], object]:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(text="ok\n") if check() else web.Response(text="not ok\n", status=503)

        return handler

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", answer(healthy))  # type: ignore[arg-type]
    app.router.add_get("/readyz", answer(ready))  # type: ignore[arg-type]
    app.router.add_get("/metrics", exposition)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
