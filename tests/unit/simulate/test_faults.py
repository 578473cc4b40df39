"""Simulated engines that are told to be bad: each fault does what it says, and nothing happens to those without one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.base import EnvVar
from inferops.catalogue import models
from inferops.core.replica import Replica
from inferops.runtimes.environment import refused
from inferops.simulate.batching import Batch
from inferops.simulate.sequence import State
from inferops.simulate.server.failures import StartFailure
from inferops.simulate.server.faults import VARIABLE, Faults, read_faults
from inferops.simulate.timing import Chunk, iteration_time

from .conftest import H100

LLAMA = Replica(models()["meta-llama/Llama-3.1-8B-Instruct"], H100.spec)
SGLANG = ("python3", "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B")
ASK = {"prompt": "Once upon a time", "max_tokens": 20, "ignore_eos": True}


def fault(text: str) -> dict[str, str]:
    return {VARIABLE: text}


def test_an_environment_without_the_variable_asks_for_nothing():
    assert read_faults({"ENGINE_FAULT": "errors=1"}) == read_faults(fault(" , ")) == Faults()


def test_faults_may_come_together():
    faults = read_faults(fault("errors=0.3, slow=3,oom-after=5,load-crash,never-ready"))
    assert faults == Faults(errors=0.3, slow=3.0, oom_after=5.0, load_code=1, never_ready=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slowly", "there are load-crash, load-oom, never-ready and, with =NUMBER, errors, slow"),
        ("never-ready=1", "there are"),
        ("errors", "write errors=NUMBER"),
        ("errors=1.5", "at most 1"),
        ("errors=-1", "above 0"),
        ("slow=0", "above 0"),
        ("hang-after=inf", "above 0"),
        ("slow=2,slow=3", "twice"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_variable_named(text, message):
    with pytest.raises(StartFailure, match=message) as refusal:
        read_faults(fault(text))
    assert refusal.value.code == 2 and VARIABLE in str(refusal.value)


async def test_an_engine_told_nonsense_does_not_start(launch):
    engine = await launch(env=fault("slowly"), wait=False)
    assert await asyncio.wait_for(engine.exited, 5) == 2
    assert VARIABLE in engine.log[0]


def test_users_may_set_it():
    assert refused([EnvVar(name=VARIABLE, value="errors=1")], [], []) is None


@pytest.mark.parametrize(
    ("runtime", "argv", "path", "body", "metrics"),
    [
        ("vllm", (), "/v1/completions", ASK, 'http_requests_total{handler="/v1/completions",method="POST"'),
        (
            "sglang",
            ("python3", "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B"),
            "/v1/completions",
            ASK,
            "",
        ),
        ("bentoml", ("bentoml", "serve"), "/predict", {}, 'bentoml_service_request_total{endpoint="/predict"'),
    ],
)
async def test_a_share_of_requests_fails_and_is_counted(launch, client, runtime, argv, path, body, metrics):
    engine = await launch(*argv, runtime=runtime, env=fault("errors=0.3"), time_scale=1000)
    session = client(engine.port)

    async def ask() -> int:
        async with session.post(path, json=body) as answer:
            await answer.read()
            return answer.status

    statuses = [await ask() for _ in range(100)]
    assert set(statuses) == {200, 500} and 20 <= statuses.count(500) <= 40
    async with session.get("/metrics") as answer:
        text = await answer.text()
    assert answer.status == 200, "what is no request never fails"
    told = [line for line in text.splitlines() if metrics and line.startswith(metrics)]
    failed = [line for line in told if '"5xx"' in line or '"500"' in line]
    assert not metrics or [float(line.split()[-1]) for line in failed] == [statuses.count(500)]


async def test_the_same_requests_fail_in_each_process(launch, client):
    async def statuses() -> list[int]:
        engine = await launch(env=fault("errors=0.5"), time_scale=1000)
        found = []
        for _ in range(20):
            async with client(engine.port).post("/v1/completions", json=ASK) as answer:
                found.append(answer.status)
        return found

    assert await statuses() == await statuses()


async def test_all_fail_where_all_are_to(launch, client):
    engine = await launch(env=fault("errors=1"))
    async with client(engine.port).post("/v1/completions", json={**ASK, "stream": True}) as answer:
        assert (answer.status, (await answer.json())["error"]["type"]) == (500, "InternalServerError")


@given(st.floats(0.1, 100), st.integers(0, 64), st.integers(0, 8192), st.integers(0, 4096))
def test_each_iteration_takes_so_many_times_as_long(factor, decoding, context, prompt):
    usual = iteration_time(LLAMA)
    slow = usual.slowed(factor)
    chunks = [Chunk(prompt, 0)] if prompt else []
    asked = (decoding, decoding * context)
    assert slow.of(*asked, chunks) == pytest.approx(factor * usual.of(*asked, chunks))
    growth, steady = usual.growth(*asked)
    assert slow.growth(*asked) == (pytest.approx(factor * growth), steady)


def test_so_does_a_batch():
    def seconds(factor: float) -> float:
        batch, now = Batch(iteration_time(LLAMA), 100_000), 0.0
        batch.slow(factor)
        asked = batch.add(500, 20, now)
        while asked.state is not State.FINISHED:
            step = batch.step(now)
            assert step is not None
            now = step.end
        return now

    assert seconds(3.0) == pytest.approx(3 * seconds(1.0))


async def test_a_slow_engine_tells_of_it_in_its_metrics(launch, client):
    engine = await launch(env=fault("slow=30"), time_scale=1000)
    session = client(engine.port)
    async with session.post("/v1/completions", json=ASK) as answer:
        assert answer.status == 200
    async with session.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    [decoded] = [line for line in lines if line.startswith("vllm:request_decode_time_seconds_sum")]
    assert float(decoded.split()[-1]) >= 30 * 19 * iteration_time(LLAMA).of(1, 5)


@pytest.mark.parametrize(("text", "code"), [("load-crash", 1), ("load-oom", 137)])
async def test_a_load_that_ends_badly(launch, text, code):
    engine = await launch(env=fault(text), wait=False)
    assert await asyncio.wait_for(engine.exited, 5) == code
    assert not engine.ready.is_set()


@pytest.mark.parametrize(("text", "code"), [("crash-after=2", 1), ("oom-after=2", 137)])
async def test_an_engine_that_ends_some_time_after_it_was_ready(launch, text, code):
    engine = await launch(env=fault(text))
    assert await asyncio.wait_for(engine.exited, 5) == code
    assert engine.ready.is_set() and engine._now() >= 2


async def test_one_that_loads_for_ever_and_ends_when_it_is_told(launch):
    engine = await launch(env=fault("never-ready"), time_scale=1e6, wait=False)
    async with asyncio.timeout(5):
        while engine._built is None:
            await asyncio.sleep(0)
    await asyncio.sleep(0.05)  # for 50,000 s of its own
    assert not engine.ready.is_set() and not engine.exited.done()
    await engine.terminate()
    assert await asyncio.wait_for(engine.exited, 5) == 143


async def test_one_that_hangs_after_a_while(launch, client):
    engine = await launch(env=fault("hang-after=0"))
    async with asyncio.timeout(5):
        while "simulated: the engine hangs" not in engine.log:
            await asyncio.sleep(0)
    session = client(engine.port)
    asked = asyncio.create_task(session.post("/v1/completions", json=ASK))
    async with session.get("/health") as answer:
        assert answer.status == 200
    done, _ = await asyncio.wait([asked], timeout=0.1)
    assert not done
    asked.cancel()


async def test_what_ended_before_its_fault_came_ends_once(launch):
    engine = await launch(env=fault("crash-after=1000"), time_scale=1)
    await engine.terminate()
    assert await asyncio.wait_for(engine.exited, 5) == 0
    assert all(handle.cancelled() for handle in engine._due)
