"""The workers: they take keys off the queue, reconcile them, and give them back with their back-off."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid

from inferops.controller.apply import Refused
from inferops.controller.queue import CEILING, Closed, Queue
from inferops.controller.reconcile import Reconciler
from inferops.controller.store import Key
from inferops.controller.telemetry import Metrics
from inferops.kube.client import Fenced, KubeError
from inferops.kube.doing import doing
from inferops.kube.tracing import root

log = logging.getLogger(__name__)

RECONCILE_TIMEOUT = 60.0  # seconds; one poisoned resource holds a worker no longer than this
OUTAGE_WAIT = 30.0  # at most, but for chance, while the API server does not answer or is overloaded
REFUSED_WAIT = 5.0  # at least so long until what the API server refused is tried again


async def work(queue: Queue[Key], reconciler: Reconciler, metrics: Metrics, turn: asyncio.Lock) -> None:
    """Reconcile one key after the other until the queue is closed. Whatever a key does, the next gets its turn.

    `turn`: of all workers of the queue. Only who has it begins, and one does in each turn of the event loop: were all
    to decide in the same one, nobody else would have his in between, not even who renews the lease.
    """
    while True:
        try:
            key = await queue.get()
        except Closed:
            return
        with (
            doing(**key._asdict(), reconcile=uuid.uuid4().hex[:12]) as what,
            root("reconcile", **key._asdict()) as span,
        ):
            result = await _work_on(key, queue, reconciler, metrics, turn)
            span.tell(result=result, **{each: what[each] for each in ("generation", "revision") if each in what})


async def _work_on(key: Key, queue: Queue[Key], reconciler: Reconciler, metrics: Metrics, turn: asyncio.Lock) -> str:
    """One reconcile and what comes of it. Returns how it went."""
    started = time.monotonic()
    result = "ok"
    try:
        async with turn:
            await asyncio.sleep(0)
        started = time.monotonic()
        async with asyncio.timeout(RECONCILE_TIMEOUT):
            if not await reconciler.reconcile(key):
                queue.forget(key)
        queue.done(key)
        metrics.succeeded.set_to_current_time()
    except asyncio.CancelledError:
        queue.done(key)
        raise
    except Refused as refused:
        result = "refused"
        wait = queue.failed(key, at_least=REFUSED_WAIT)
        log.warning("%s %s/%s: %s; again in %.0f s", *key, refused, wait)
    except (KubeError, Fenced, TimeoutError) as error:
        result = "error"
        # Where it is not the key's own fault, what has begun to work again is not left waiting for minutes.
        final = isinstance(error, KubeError) and error.final
        most = CEILING if final or isinstance(error, TimeoutError) else OUTAGE_WAIT
        wait = queue.failed(key, getattr(error, "retry_after", None) or 0.0, most)
        log.warning("%s %s/%s: %s; again in %.1f s", *key, error or "timed out", wait)
    except Exception:  # a resource that breaks our own code must not break the others'
        result = "bug"
        wait = queue.failed(key)
        log.exception("%s %s/%s: unexpected error; again in %.1f s", *key, wait)
    finally:
        metrics.reconciles.labels(key.kind, result).inc()
        metrics.duration.observe(time.monotonic() - started)
    return result
