"""Spans to a collector over OTLP/HTTP. What cannot be sent is dropped and counted, and disturbs nothing.

The packages of OpenTelemetry are imported only where an endpoint is given: `pip install 'inferops[otel]'`.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

from inferops.kube.doing import note
from inferops.kube.tracing import NOTHING, Span, trace_by

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import ReadableSpan

log = logging.getLogger(__name__)

WAITING = 4096  # spans at most that wait to be sent; of more the newest are dropped
BATCH = 512
EVERY = 1.0  # seconds between two batches, unless one is full
TIMEOUT = 5.0  # seconds for one batch, further tries of the exporter's included
LAST = 2.0  # seconds at the end for what still waits


class NotInstalled(Exception):
    """The packages of OpenTelemetry are not there."""


class Exporter(Protocol):
    """Who sends spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> Any: ...

    def shutdown(self) -> Any: ...


class Sender:
    """Hands over ended spans to an exporter, in a thread of its own; a span processor of OpenTelemetry's SDK."""

    def __init__(self, exporter: Exporter, dropped: Callable[[int], None], waiting: int = WAITING) -> None:
        """`dropped`: told how many spans were lost."""
        self._exporter, self._dropped = exporter, dropped
        self._waiting: queue.Queue[ReadableSpan] = queue.Queue(waiting)
        self._ended, self._due = threading.Event(), threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing is told of a span before it ends."""

    def _on_ending(self, span: Any) -> None:
        """As the SDK asks for."""

    def on_end(self, span: ReadableSpan) -> None:
        try:
            self._waiting.put_nowait(span)
        except queue.Full:
            self._dropped(1)
            return
        if self._waiting.qsize() >= BATCH:
            self._due.set()

    def shutdown(self) -> None:
        """Send what still waits, for a moment."""
        self._ended.set()
        self._due.set()
        self._thread.join(LAST)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Have what waits sent. Returns whether nothing waits any more."""
        self._due.set()
        ends = time.monotonic() + timeout_millis / 1000
        while not self._waiting.empty() and time.monotonic() < ends:
            time.sleep(0.01)
        return self._waiting.empty()

    def _run(self) -> None:
        while True:
            ended = self._ended.is_set()
            if not ended:
                self._due.wait(EVERY)
                self._due.clear()
            while batch := self._batch():
                self._send(batch)
            if ended:
                self._exporter.shutdown()
                return

    def _batch(self) -> list[ReadableSpan]:
        found: list[ReadableSpan] = []
        while len(found) < BATCH:
            try:
                found.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return found

    def _send(self, batch: list[ReadableSpan]) -> None:
        try:
            sent = self._exporter.export(batch).value == 0
        except Exception as error:  # whatever the exporter does, it must not end this thread
            log.debug("spans: %s", type(error).__name__)
            sent = False
        if not sent:
            self._dropped(len(batch))
        if sent == self._failing:  # said once, and not for each batch
            log.log(*((logging.INFO, "spans are sent again") if sent else (logging.WARNING, "spans cannot be sent")))
        self._failing = not sent


class _OpenSpan:
    """A span of OpenTelemetry's as ours."""

    __slots__ = ("_failed", "_span")

    def __init__(self, span: trace.Span, failed: trace.StatusCode) -> None:
        self._span, self._failed = span, failed

    def tell(self, **attributes: str | int) -> None:
        for name, value in attributes.items():
            self._span.set_attribute(_called(name), value)
            if name == "result" and value != "ok":
                self._span.set_status(self._failed)


class OpenTracer:
    """Makes spans of OpenTelemetry's SDK."""

    def __init__(self, processor: Any, **resource: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        about = {"service.name": "inferops", "service.version": _version(), **resource}
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("inferops")

    def root(self, name: str, attributes: dict[str, str | int]) -> AbstractContextManager[Span]:
        return self._span(name, attributes, alone=True)

    def part(self, name: str, attributes: dict[str, str | int]) -> AbstractContextManager[Span]:
        from opentelemetry import trace

        return self._span(name, attributes) if trace.get_current_span().is_recording() else NOTHING

    def close(self) -> None:
        """Send what still waits, for a moment."""
        self._provider.shutdown()

    @contextmanager
    def _span(self, name: str, attributes: dict[str, str | int], *, alone: bool = False) -> Iterator[Span]:
        from opentelemetry.context import Context
        from opentelemetry.trace import StatusCode, format_trace_id

        called = {_called(each): value for each, value in attributes.items()}
        context = Context() if alone else None
        with self._tracer.start_as_current_span(name, context, attributes=called) as span:
            if alone:
                note(trace=format_trace_id(span.get_span_context().trace_id))
            yield _OpenSpan(span, StatusCode.ERROR)


def tracer_to(endpoint: str, dropped: Callable[[int], None]) -> OpenTracer:
    """Spans to the collector at `endpoint`, a base URL such as http://collector:4318. Raises NotInstalled."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise NotInstalled(f"--otlp-endpoint needs OpenTelemetry: pip install 'inferops[otel]' ({error})") from error
    # The exporter's own words for each failure, with a stack: one of ours is enough.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    path = endpoint.rstrip("/")
    url = path if path.endswith("/v1/traces") else f"{path}/v1/traces"
    instance = os.environ.get("POD_NAME") or socket.gethostname()
    return OpenTracer(
        Sender(OTLPSpanExporter(endpoint=url, timeout=TIMEOUT), dropped), **{"service.instance.id": instance}
    )


def _called(name: str) -> str:
    """What our attributes are called outside; those that OpenTelemetry has names for by these."""
    known = {"namespace": "k8s.namespace.name", "code": "http.response.status_code", "host": "server.address"}
    return known.get(name, f"inferops.{name}")


def _version() -> str:
    try:
        return version("inferops")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"


@contextmanager
def traced(endpoint: str, dropped: Callable[[int], None]) -> Iterator[None]:
    """A block whose spans go to the collector at `endpoint`; where it is empty, there are none. Raises NotInstalled."""
    if not endpoint:
        yield
        return
    tracer = tracer_to(endpoint, dropped)
    trace_by(tracer)
    try:
        yield
    finally:
        trace_by(None)
        tracer.close()
