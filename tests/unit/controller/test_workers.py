"""The workers in virtual time: whatever a key does, it is given back, and the next gets its turn."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest

from inferops.api.conditions import Reason
from inferops.controller.apply import Refused
from inferops.controller.queue import Queue
from inferops.controller.reconcile import Reconciler
from inferops.controller.store import Key
from inferops.controller.telemetry import Metrics
from inferops.controller.workers import OUTAGE_WAIT, RECONCILE_TIMEOUT, REFUSED_WAIT, work
from inferops.core.engine import Obstacle
from inferops.kube.client import Fenced, KubeError
from unit.kube.virtualtime import now, run

Outcome = BaseException | bool | float | Callable[[], bool]  # what is raised or returned; or how long it takes
LLAMA, QWEN = (Key("InferenceService", "chat", name) for name in ("llama", "qwen"))
REFUSED = Refused(Obstacle(Reason.NAME_CONFLICT, "metadata.name: taken"))


class Scripted:
    """Reconciles by the script: one outcome a run, then all is well."""

    def __init__(self, **outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes
        self.runs: list[tuple[float, str]] = []

    async def reconcile(self, key: Key) -> bool:
        self.runs.append((round(now(), 3), key.name))
        script = self.outcomes.get(key.name, [])
        outcome = script.pop(0) if script else True
        if isinstance(outcome, bool):
            return outcome
        if isinstance(outcome, BaseException):
            raise outcome
        if callable(outcome):
            return outcome()
        await asyncio.sleep(outcome)
        return True


class Bench:
    """Some workers on a queue."""

    def __init__(self, script: Scripted, workers: int = 1) -> None:
        self.script = script
        self.metrics = Metrics()
        self.queue: Queue[Key] = Queue(now, lambda: 0.5)
        reconciler = cast(Reconciler, script)
        told = self.queue, reconciler, self.metrics, asyncio.Lock()
        self.workers = [asyncio.ensure_future(work(*told)) for _ in range(workers)]

    async def end(self) -> None:
        self.queue.close()
        await asyncio.gather(*self.workers)

    def results(self) -> Counter[str]:
        [metric] = self.metrics.reconciles.collect()
        found = metric.samples
        return Counter({each.labels["result"]: int(each.value) for each in found if each.name.endswith("_total")})

    def runs(self, name: str) -> list[float]:
        return [when for when, ran in self.script.runs if ran == name]


def played(script: Scripted, then: Callable[[Bench], Any], *, seconds: float = 200, workers: int = 1) -> None:
    async def main() -> None:
        bench = Bench(script, workers)
        bench.queue.add(LLAMA)
        bench.queue.add(QWEN)
        await asyncio.sleep(seconds)
        then(bench)
        await bench.end()

    run(main())


@pytest.mark.parametrize(
    ("case", "outcome", "again", "result"),
    [
        ("a refusal waits for people", REFUSED, REFUSED_WAIT, "refused"),
        ("a server that fails", KubeError("get", 500, "InternalError", "x"), 0.2, "error"),
        ("a server that asks to wait", KubeError("get", 429, "TooManyRequests", "x", retry_after=7), 7.0, "error"),
        ("no answer", KubeError("get", 0, "TimeoutError", "x"), 0.2, "error"),
        ("a conflict", KubeError("apply", 409, "Conflict", "x"), 0.2, "error"),
        ("a lease that was lost", Fenced("apply"), 0.2, "error"),
        ("an error of our own", ZeroDivisionError("x"), 0.2, "bug"),
        ("a time-out", TimeoutError(), 0.2, "error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failure_is_tried_again_and_delays_nobody(case: str, outcome: Outcome, again: float, result: str) -> None:
    def then(bench: Bench) -> None:
        assert bench.runs("llama") == [0.0, again]
        assert bench.runs("qwen") == [0.0]
        assert bench.results() == {result: 1, "ok": 2}
        assert bench.queue.failing == 0

    played(Scripted(llama=[outcome]), then)


def test_a_poisoned_key_backs_off_and_the_others_run_on() -> None:
    def then(bench: Bench) -> None:
        waits = [later - earlier for earlier, later in zip(bench.runs("llama"), bench.runs("llama")[1:], strict=False)]
        assert waits == pytest.approx([min(0.2 * 2**number, 300) for number in range(len(waits))], abs=0.002)
        assert bench.queue.failing == 1

    played(Scripted(llama=[ValueError("poison")] * 99), then, seconds=2000)


def test_a_reconcile_that_hangs_is_ended_and_its_worker_goes_on() -> None:
    def then(bench: Bench) -> None:
        assert bench.runs("qwen") == [RECONCILE_TIMEOUT]
        assert bench.runs("llama") == [0.0, RECONCILE_TIMEOUT + 0.2]
        assert bench.results() == {"error": 1, "ok": 2}

    played(Scripted(llama=[1e6]), then)


def test_what_is_gone_is_forgotten() -> None:
    def then(bench: Bench) -> None:
        assert (len(bench.queue), bench.queue.failing) == (0, 0)
        assert bench.runs("llama") == [0.0, 0.2]

    played(Scripted(llama=[ValueError("x"), False]), then)


def test_a_later_time_that_was_asked_for_is_forgotten_with_it() -> None:
    async def main() -> None:
        def is_gone() -> bool:
            bench.queue.add(LLAMA, 30)
            return False

        bench = Bench(Scripted(llama=[is_gone]))
        bench.queue.add(LLAMA)
        await asyncio.sleep(100)
        assert bench.runs("llama") == [0.0]
        await bench.end()

    run(main())


def test_several_workers_share_the_work() -> None:
    def then(bench: Bench) -> None:
        assert bench.runs("llama") == bench.runs("qwen") == [0.0]

    played(Scripted(llama=[5.0], qwen=[5.0]), then, workers=2)


def test_a_worker_that_is_cancelled_gives_its_key_back() -> None:
    async def main() -> None:
        bench = Bench(Scripted(llama=[50.0]))
        bench.queue.add(LLAMA)
        await asyncio.sleep(1)
        bench.queue.add(LLAMA)
        bench.workers[0].cancel()
        await asyncio.gather(*bench.workers, return_exceptions=True)
        assert bench.workers[0].cancelled()
        assert len(bench.queue) == 1
        assert await bench.queue.get() == LLAMA

    run(main())


def test_a_closed_queue_lets_the_work_under_way_finish() -> None:
    async def main() -> None:
        bench = Bench(Scripted(llama=[5.0]))
        bench.queue.add(LLAMA)
        bench.queue.add(QWEN)
        await asyncio.sleep(1)
        await bench.end()
        assert now() == 5
        assert bench.runs("qwen") == []

    run(main())


def test_a_log_line_names_the_key_and_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        played(Scripted(llama=[REFUSED]), lambda bench: None)
    [line] = caplog.messages
    assert line == "InferenceService chat/llama: metadata.name: taken; again in 5 s"


@pytest.mark.parametrize("workers", [1, 32])
def test_reconciles_that_wait_for_nothing_leave_others_their_turn(workers: int) -> None:
    async def scene() -> None:
        script = Scripted()
        bench = Bench(script, workers)
        for number in range(50):
            bench.queue.add(Key("InferenceService", "chat", f"model-{number}"))
        while len(script.runs) < 50:
            before = len(script.runs)
            await asyncio.sleep(0)
            assert len(script.runs) <= before + 1
        await bench.end()

    run(scene())


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_after_an_outage_nobody_waits_for_minutes(status: int) -> None:
    """It lasted ten minutes, in which waits would have doubled to five."""

    async def play() -> list[float]:
        def away() -> bool:
            if now() - began < 600:
                raise KubeError("listing", status, "Away", "made by a test")
            return True

        began = now()
        bench = Bench(Scripted(llama=[away] * 1000))
        bench.queue.add(LLAMA)
        await asyncio.sleep(600 + 1.25 * OUTAGE_WAIT)
        await bench.end()
        return bench.runs("llama")

    runs = run(play())
    assert runs[-1] - runs[0] >= 600, "it ran again soon after the outage"
    assert len(runs) <= 600 / (0.75 * OUTAGE_WAIT) + 10, "and was no busy loop meanwhile"
