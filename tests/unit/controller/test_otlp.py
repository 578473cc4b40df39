"""Traces: a reconcile with its phases and requests at a real OTLP/HTTP receiver, and none of its troubles in ours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness import environ
from inferops.catalogue import accelerators, runtimes
from inferops.cli.run import endpoint_in
from inferops.controller import otlp
from inferops.controller.apply import Applier
from inferops.controller.events import Recorder
from inferops.controller.otlp import NotInstalled, Sender, traced
from inferops.controller.queue import Queue
from inferops.controller.reconcile import Reconciler
from inferops.controller.store import Key, Store
from inferops.controller.telemetry import Metrics
from inferops.controller.workers import work
from inferops.kube import tracing
from inferops.kube.client import Client
from inferops.kube.doing import now_doing
from inferops.kube.kinds import INFERENCE_SERVICE
from unit.controller.building import service

LLAMA = Key("InferenceService", "chat", "llama")


class Collector:
    """An OTLP/HTTP receiver. What came stands in `spans`."""

    def __init__(self, status: int = 200) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.paths: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.paths.add(self.path)
                if status == 200:
                    for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                        outer.resources.append({each.key: each.value.string_value for each in of.resource.attributes})
                        outer.spans += [span for scope in of.scope_spans for span in scope.spans]
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Collector]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()
        thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def reconciled(raw: dict[str, Any]) -> tuple[list[str], Metrics]:
    """One reconcile of a service by a worker, against an API server that takes everything."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        if request.method == "GET":
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
        body = await request.json()
        body["metadata"] |= {"uid": "uid-new", "resourceVersion": "7"}
        return web.json_response(body, status=201)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = Client(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    store, queue = Store(accelerators(), runtimes()), Queue[Key](asyncio.get_running_loop().time)
    store.put(INFERENCE_SERVICE, raw)
    applier = Applier(client, store, lambda key: None, {})
    reconciler = Reconciler(store, applier, Recorder(client, now), now)
    metrics = Metrics()
    queue.add(LLAMA)
    worker = asyncio.create_task(work(queue, reconciler, metrics, asyncio.Lock()))
    while not metrics.registry.get_sample_value("inferops_reconcile_duration_seconds_count"):
        assert not worker.done(), worker.exception()
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    queue.close()
    await worker
    await client.close()
    await runner.cleanup()
    return asked, metrics


def now() -> datetime:
    return datetime(2025, 11, 3, 12, 0, tzinfo=UTC)


async def test_a_reconcile_is_a_trace_with_its_phases_and_requests() -> None:
    with Collector().running() as collector:
        lost: list[int] = []
        with traced(collector.url, lost.append):
            asked, _ = await reconciled(service(generation=3))
        spans = {span.name: span for span in collector.spans}
        assert asked and collector.paths == {"/v1/traces"} and lost == []
        root = spans["reconcile"]
        assert {"observe", "decide", "apply", "kube apply"} <= spans.keys()
        assert len({span.trace_id for span in collector.spans}) == 1 and not root.parent_span_id
        for phase in ("observe", "decide", "apply"):
            assert spans[phase].parent_span_id == root.span_id
            assert root.start_time_unix_nano <= spans[phase].start_time_unix_nano
            assert spans[phase].end_time_unix_nano <= root.end_time_unix_nano
        told = attributes(root)
        assert told["k8s.namespace.name"] == "chat" and told["inferops.name"] == "llama"
        assert told["inferops.kind"] == "InferenceService" and told["inferops.generation"] == "3"
        assert told["inferops.result"] == "ok" and root.status.code == 0
        call = attributes(spans["kube apply"])
        assert call["inferops.verb"] == "apply" and call["http.response.status_code"] == 201
        assert collector.resources[0]["service.name"] == "inferops"


async def test_what_fails_is_told_as_such_and_its_lines_have_the_trace() -> None:
    with Collector().running() as collector, traced(collector.url, lambda lost: None):
        with tracing.root("reconcile", name="llama") as span:
            span.tell(result="bug")
        from inferops.kube.doing import doing

        with doing(name="llama"), tracing.root("reconcile"):
            trace = now_doing()["trace"]
        with tracing.part("alone") as nothing:  # a request outside of all that is traced, such as for the lease
            assert nothing is tracing.NOTHING
        cast(Any, tracing._tracer).close()
        first, second = collector.spans
        assert first.status.code == 2 and second.trace_id.hex() == trace and second.trace_id != first.trace_id


async def test_a_collector_that_refuses_or_is_away_disturbs_nothing_and_the_loss_is_counted() -> None:
    with Collector(status=400).running() as collector:
        metrics = Metrics()
        with traced(collector.url, metrics.lost_spans):
            asked, _ = await reconciled(service())
        assert asked and metrics.registry.get_sample_value("inferops_trace_spans_dropped_total") >= 5


class Slow:
    """An exporter that hangs until it is let go, or breaks."""

    def __init__(self) -> None:
        self.go, self.sent = threading.Event(), 0

    def export(self, spans: Sequence[Any]) -> Any:
        self.go.wait(5)
        self.sent += len(spans)
        raise RuntimeError("the exporter breaks")

    def shutdown(self) -> None:
        pass


def test_no_more_wait_than_may_and_nobody_waits_for_the_exporter() -> None:
    lost: list[int] = []
    slow = Slow()
    sender = Sender(slow, lost.append, waiting=10)
    began = time.monotonic()
    for _ in range(otlp.BATCH + 100):
        sender.on_end(cast(Any, object()))
    assert time.monotonic() - began < 1 and sum(lost) >= 1
    slow.go.set()
    sender.shutdown()
    assert sum(lost) == otlp.BATCH + 100 and slow.sent < sum(lost)


def test_without_a_collector_a_span_costs_less_than_a_microsecond() -> None:
    def spanned() -> None:
        with tracing.part("decide"):
            pass

    def timed() -> float:
        return timeit.timeit(spanned, number=20_000) / 20_000

    assert min(timed() for _ in range(5)) < 1e-6


def test_without_its_packages_the_option_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(NotInstalled, match=r"pip install 'inferops\[otel\]'"), traced("http://collector:4318", print):
        raise AssertionError("there is nobody to trace")
    assert tracing._tracer is None


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    code = "import sys, inferops.cli.run; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environ(), capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("text", ["collector:4318", "grpc://collector:4317", "http://u:p@collector", "http://c?x=1"])
def test_what_is_no_collector_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError, match="for example http://collector") as refused:
        endpoint_in(text)
    assert "u:p" not in str(refused.value) and endpoint_in("http://c:4318") and endpoint_in("") == ""
