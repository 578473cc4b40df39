"""How a simulated engine starts and ends: loading, draining, crashing, hanging, and its exit codes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from inferops.simulate.server import Engine
from inferops.simulate.server.engine import visible

LONG = {"prompt": "Once upon a time", "max_tokens": 200, "ignore_eos": True}
TRITON = ("tritonserver", "--model-repository=/models/llama-3.1-8b", "--model-control-mode=none")
LLAMA = ("vllm", "serve", "meta-llama/Llama-3.1-8B", "--max-model-len", "8192")


async def in_flight(session: aiohttp.ClientSession, count: int = 3) -> list[asyncio.Task[tuple[int, dict]]]:
    """Requests that the engine is working on: about 1.5 simulated seconds of work."""

    async def ask() -> tuple[int, dict]:
        async with session.post("/v1/completions", json=LONG) as answer:
            return answer.status, await answer.json()

    tasks = [asyncio.create_task(ask()) for _ in range(count)]
    async with asyncio.timeout(5):
        while f'num_requests_running{{engine="0",model_name="{LLAMA[2]}"}} {count}.0' not in await text(session):
            await asyncio.sleep(0.002)
    return tasks


async def text(session: aiohttp.ClientSession) -> str:
    async with session.get("/metrics") as answer:
        return await answer.text()


@pytest.mark.parametrize(
    ("runtime", "argv", "health"), [("vllm", LLAMA, "/health"), ("triton", TRITON, "/v2/health/live")]
)
async def test_connections_are_refused_until_the_model_is_loaded(launch, client, runtime, argv, health):
    engine = await launch(*argv, runtime=runtime, load_seconds=40, time_scale=100, wait=False)
    session = client(engine.port)
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(health)
    await asyncio.wait_for(engine.ready.wait(), 5)
    async with session.get(health) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("runtime", "argv", "accelerators", "code", "message"),
    [
        ("vllm", "vllm serve M --frobnicate", 1, 2, "unrecognized arguments: --frobnicate"),
        ("vllm", "vllm serve meta-llama/Llama-3.1-8B -tp 4", 2, 1, "available GPUs (2)"),
        ("vllm", "vllm serve meta-llama/Llama-3.3-70B", 1, 1, "CUDA out of memory"),
        ("vllm", "vllm serve Qwen/Qwen2.5-32B -q fp8 --gpu-memory-utilization 0.48", 1, 1, "max seq len 32768 needs"),
        ("triton", "tritonserver", 1, 1, "--model-repository must be specified"),
        ("triton", "tritonserver --model-repository=/models/llama-3.3-70b", 1, 1, "CUDA out of memory"),
    ],
)
async def test_what_cannot_start_exits_and_says_why(launch, runtime, argv, accelerators, code, message):
    engine = await launch(*argv.split(), runtime=runtime, accelerators=accelerators, wait=False)
    assert await asyncio.wait_for(engine.exited, 5) == code
    assert message in "\n".join(engine.log)
    assert not engine.ready.is_set()


async def test_vllm_without_a_timeout_answers_500_at_sigterm(launch, client):
    engine = await launch(*LLAMA, time_scale=1)
    tasks = await in_flight(client(engine.port))
    await engine.terminate()
    for status, body in await asyncio.gather(*tasks):
        assert (status, body["error"]["type"]) == (500, "InternalServerError")
    assert await asyncio.wait_for(engine.exited, 5) == 0


async def test_vllm_with_a_timeout_finishes_and_refuses_meanwhile_with_health_200(launch, client):
    engine = await launch(*LLAMA, "--shutdown-timeout", "20", time_scale=4)
    session = client(engine.port)
    tasks = await in_flight(session)
    await engine.terminate()
    await asyncio.sleep(0.01)
    async with session.get("/health") as answer:
        assert answer.status == 200
    async with session.post("/v1/completions", json=LONG) as answer:
        assert answer.status == 500
    assert [status for status, _ in await asyncio.gather(*tasks)] == [200, 200, 200]
    assert await asyncio.wait_for(engine.exited, 5) == 0
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get("/health")


async def test_vllm_gives_up_when_the_timeout_is_over(launch, client):
    engine = await launch(*LLAMA, "--shutdown-timeout", "0.1", time_scale=1)
    tasks = await in_flight(client(engine.port))
    await engine.terminate()
    assert [status for status, _ in await asyncio.gather(*tasks)] == [500, 500, 500]
    assert await asyncio.wait_for(engine.exited, 5) == 0


async def test_a_stream_that_sigterm_cuts_says_so(launch, client):
    engine = await launch(*LLAMA, time_scale=1)
    async with client(engine.port).post("/v1/completions", json={**LONG, "stream": True}) as answer:
        assert (await answer.content.readline()).startswith(b"data: ")
        await engine.terminate()
        rest = await answer.text()
    assert '"InternalServerError"' in rest
    assert rest.endswith("data: [DONE]\n\n")


async def test_triton_finishes_what_is_in_flight_and_refuses_new_connections(launch, client):
    engine = await launch(*TRITON, runtime="triton", time_scale=4)
    session = client(engine.port)
    generate = {"text_input": "Once upon a time", "max_tokens": 200}

    async def ask() -> int:
        async with session.post("/v2/models/llama-3.1-8b/generate", json=generate) as answer:
            return answer.status

    async with session.post("/v2/models/llama-3.1-8b/generate_stream", json=generate) as stream:
        await stream.content.readline()
        task = asyncio.create_task(ask())
        await asyncio.sleep(0.02)
        await engine.terminate()
        await asyncio.sleep(0.02)
        with pytest.raises(aiohttp.ClientConnectorError):
            await client(engine.port).get("/v2/health/live")
        assert "text_output" in await stream.text()
    assert await task == 200
    assert await asyncio.wait_for(engine.exited, 5) == 0


async def test_triton_that_cannot_finish_exits_with_1(launch, client):
    engine = await launch(*TRITON, "--exit-timeout-secs=0.1", runtime="triton", time_scale=1)
    session = client(engine.port)
    async with session.post("/v2/models/llama-3.1-8b/generate_stream", json={"text_input": "Hi"}) as answer:
        await answer.content.readline()
        engine.hang()
        await engine.terminate()
        assert "error" in await answer.text()
    assert await asyncio.wait_for(engine.exited, 5) == 1


async def test_sigterm_while_loading(launch):
    engine = await launch(load_seconds=1000, time_scale=1, wait=False)
    await engine.terminate()
    assert await asyncio.wait_for(engine.exited, 5) == 143


@pytest.mark.parametrize("draining", [False, True])
async def test_a_crash_cuts_every_connection_and_frees_the_port(launch, client, draining):
    engine = await launch(*LLAMA, "--shutdown-timeout=60", time_scale=1)
    port = engine.port
    tasks = await in_flight(client(port))
    if draining:
        await engine.terminate()
        await asyncio.sleep(0.01)
    engine.crash(137)
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, aiohttp.ClientError)
    assert await asyncio.wait_for(engine.exited, 5) == 137
    again = Engine("vllm", LLAMA, {}, engine._accelerator, 1, load_seconds=0)
    await again.start("127.0.0.1", port)
    again.crash()
    assert await again.exited == 1


async def test_a_hung_engine_looks_healthy_and_answers_nothing(launch, client):
    engine = await launch(*LLAMA)
    session = client(engine.port)
    engine.hang()
    with pytest.raises(TimeoutError):
        await session.post("/v1/completions", json=LONG, timeout=aiohttp.ClientTimeout(total=0.1))
    async with session.get("/health") as answer:
        assert answer.status == 200
    assert "vllm:num_requests_running" in await text(session)


async def test_the_load_takes_as_long_as_its_weights(launch):
    engine = await launch("vllm", "serve", "Qwen/Qwen2.5-0.5B", load_seconds=None, time_scale=200)
    assert engine._now() >= 20 + 0.988 / 0.5, "simulated seconds: to begin with, and for 0.988 GB"


async def test_an_address_that_cannot_be_bound_is_an_error(launch):
    engine = await launch()
    other = Engine("vllm", LLAMA, {}, engine._accelerator, 1)
    with pytest.raises(OSError, match="in use"):
        await other.start("127.0.0.1", engine.port)


@pytest.mark.parametrize(
    ("arguments", "message"), [(("ollama", 1.0), "there are vllm, sglang"), (("vllm", 0), "above 0")]
)
async def test_bad_arguments_are_refused(launch, arguments, message):
    runtime, scale = arguments
    with pytest.raises(ValueError, match=message):
        await launch(runtime=runtime, time_scale=scale)


@pytest.mark.parametrize(("env", "count"), [({}, 4), ("0,1", 2), ("", 0), ("-1", 0)])
def test_cuda_visible_devices_hides_accelerators(env, count):
    assert visible(env if isinstance(env, dict) else {"CUDA_VISIBLE_DEVICES": env}, 4) == count
