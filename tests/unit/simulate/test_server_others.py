"""The simulated servers besides vLLM and Triton over HTTP: what they answer, expose and refuse, and how they end."""

from __future__ import annotations

import asyncio
import math

import aiohttp
import pytest

from inferops.runtimes import ENGINES
from inferops.simulate.server.argv_sglang import parse_sglang
from inferops.simulate.server.argv_tei import parse_tei
from inferops.simulate.server.argv_trtllm import parse_trtllm
from inferops.simulate.server.failures import StartFailure

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
SGLANG = ("python3", "-m", "sglang.launch_server", f"--model-path={MODEL}", "--served-model-name=llama", "--tp-size=1")
TENSORRT_LLM = ("trtllm-serve", MODEL, "--backend=pytorch", "--served_model_name=llama", "--max_seq_len=8192")
TEI = ("text-embeddings-router", "--model-id=BAAI/bge-large-en-v1.5", "--served-model-name=bge", "--port=8080")
BENTO = ("serve", "--host=0.0.0.0", "--port=3000", "--production", "--timeout-graceful-shutdown=60")
RUNTIMES = {"sglang": SGLANG, "tensorrt-llm": TENSORRT_LLM, "text-embeddings-inference": TEI, "bentoml": BENTO}
LANGUAGE = {name: RUNTIMES[name] for name in ("sglang", "tensorrt-llm")}
CHAT = {"model": "llama", "messages": [{"role": "user", "content": "What is a replica?"}], "max_tokens": 5}
LONG = {"model": "llama", "prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True}


async def work(session: aiohttp.ClientSession, runtime: str) -> None:
    """One request that succeeds."""
    path, body = {
        "sglang": ("/v1/chat/completions", CHAT),
        "tensorrt-llm": ("/v1/chat/completions", CHAT),
        "text-embeddings-inference": ("/embed", {"inputs": "What is a replica?"}),
        "bentoml": ("/classify", {"text": "hello"}),
    }[runtime]
    async with session.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()


async def exposed(session: aiohttp.ClientSession, runtime: str) -> str:
    async with session.get(ENGINES[runtime].metrics.endpoint.path) as answer:
        assert answer.status == 200
        return await answer.text()


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_its_probes_succeed_and_it_exposes_what_the_operator_reads(launch, client, runtime):
    session = client((await launch(*RUNTIMES[runtime], runtime=runtime)).port)
    engine = ENGINES[runtime]
    for endpoint in (engine.startup, engine.readiness, engine.liveness):
        async with session.get(endpoint.path) as answer:
            assert answer.status == 200
    await work(session, runtime)
    text = await exposed(session, runtime)
    metrics = engine.metrics
    names = [getattr(metrics, name) for name in metrics.__dataclass_fields__ if name not in ("endpoint", "failed")]
    for name in filter(None, names):
        lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ", f"{name}_count"))]
        assert lines, f"no {name}"
    succeeded = [line for line in text.splitlines() if line.startswith(metrics.succeeded + "{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in succeeded) == 1


@pytest.mark.parametrize("runtime", LANGUAGE)
async def test_it_speaks_the_openai_api(launch, client, runtime):
    session = client((await launch(*RUNTIMES[runtime], runtime=runtime)).port)
    async with session.post("/v1/chat/completions", json=CHAT) as answer:
        body = await answer.json()
    assert (body["model"], body["usage"]["completion_tokens"]) == ("llama", 5)
    async with session.get("/v1/models") as answer:
        assert [card["id"] for card in (await answer.json())["data"]] == ["llama"]
    async with session.post("/v1/completions", json={**LONG, "model": "other"}) as answer:
        assert answer.status == 404


async def test_sglang_drains_behind_a_503(launch, client):
    engine = await launch(*SGLANG, runtime="sglang", time_scale=20.0)
    session = client(engine.port)
    asking = asyncio.create_task(session.post("/v1/completions", json=LONG))
    async with asyncio.timeout(5):
        while "sglang:num_running_reqs" not in (text := await exposed(session, "sglang")) or "} 1.0" not in text:
            await asyncio.sleep(0.005)
    await engine.terminate()
    await asyncio.sleep(0)
    async with session.get("/health") as answer:
        assert answer.status == 503
    assert (await asking).status == 200
    assert await asyncio.wait_for(engine.exited, 5) == 0


@pytest.mark.parametrize("runtime", ["tensorrt-llm", "text-embeddings-inference", "bentoml"])
async def test_sigterm_closes_the_port_and_ends_it_well(launch, client, runtime):
    engine = await launch(*RUNTIMES[runtime], runtime=runtime)
    session = client(engine.port)
    await work(session, runtime)
    await engine.terminate()
    assert await asyncio.wait_for(engine.exited, 5) == 0
    with pytest.raises(aiohttp.ClientConnectionError):
        await session.get("/health")


async def test_embeddings_are_unit_vectors_that_depend_on_the_text(launch, client):
    session = client((await launch(*TEI, runtime="text-embeddings-inference")).port)
    async with session.post("/embed", json={"inputs": ["one", "two", "one"]}) as answer:
        one, two, again = await answer.json()
    assert one == again != two
    assert math.isclose(sum(value * value for value in one), 1.0)
    async with session.post("/v1/embeddings", json={"model": "bge", "input": "one"}) as answer:
        body = await answer.json()
    assert (body["data"][0]["embedding"], body["model"]) == (one, "bge")
    assert body["usage"]["prompt_tokens"] == 1


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"inputs": ["x"] * 33}, 422, "batch_size"),
        ({"inputs": ""}, 413, "empty"),
        ({}, 422, None),
    ],
)
async def test_embeddings_are_refused_with_a_reason(launch, client, body, status, kind):
    session = client((await launch(*TEI, runtime="text-embeddings-inference")).port)
    async with session.post("/embed", json=body) as answer:
        assert answer.status == status
        assert "error" in await answer.json()
    assert kind is None or f'te_request_failure{{err="{kind}"}} 1' in await exposed(
        session, "text-embeddings-inference"
    )


async def test_more_requests_than_it_takes_are_refused(launch, client):
    engine = await launch(*TEI, "--max-concurrent-requests=2", runtime="text-embeddings-inference", time_scale=1.0)
    session = client(engine.port)
    asked = [session.post("/embed", json={"inputs": "word " * 400}) for _ in range(8)]
    statuses = [answer.status for answer in await asyncio.gather(*asked)]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 2


async def test_a_bento_echoes(launch, client):
    session = client((await launch(*BENTO, runtime="bentoml")).port)
    async with session.post("/summarize", json={"text": "hello"}) as answer:
        assert await answer.json() == {"text": "hello"}


async def test_adapters_are_models_of_their_own(launch, client):
    argv = (
        "vllm",
        "serve",
        MODEL,
        "--served-model-name=llama",
        "--enable-lora",
        "--lora-modules",
        "sql=/mnt/a",
        "tone=o/t",
    )
    session = client((await launch(*argv)).port)
    async with session.get("/v1/models") as answer:
        cards = (await answer.json())["data"]
    assert [(card["id"], card["parent"]) for card in cards] == [("llama", None), ("sql", "llama"), ("tone", "llama")]
    async with session.post("/v1/chat/completions", json={**CHAT, "model": "sql"}) as answer:
        assert (await answer.json())["model"] == "sql"


async def test_a_worker_of_a_replica_on_several_nodes_serves_nothing(launch):
    argv = ("vllm", "serve", MODEL, "--tensor-parallel-size=2", "--nnodes=2", "--node-rank=1", "--headless")
    worker = await launch(*argv)
    assert worker.ports == {}
    await worker.terminate()
    assert await asyncio.wait_for(worker.exited, 5) == 0


def test_command_lines_are_read_as_the_servers_do():
    options = parse_sglang([*SGLANG, "--context-length=4096", "--enable-metrics", "--lora-paths", "a=x", "b=y"])
    assert (options.model, options.names, options.port) == (MODEL, ("llama",), 30000)
    assert (options.max_model_len, options.adapters) == (4096, ("a", "b"))
    trt = parse_trtllm(
        [
            "/usr/bin/trtllm-serve",
            "serve",
            *TENSORRT_LLM[1:],
            "--tp_size=4",
            "--kv_cache_free_gpu_memory_fraction",
            "0.8",
        ]
    )
    assert (trt.tensor_parallel, trt.max_model_len, trt.utilization) == (4, 8192, 0.8)
    assert parse_tei(TEI[1:]).name == "bge"


@pytest.mark.parametrize(
    ("runtime", "argv", "message"),
    [
        ("sglang", ["--port=1"], "the following arguments are required: --model-path"),
        ("sglang", ["--model-path=m", "stray"], "unrecognized arguments: stray"),
        ("tensorrt-llm", ["m", "--tp-size=1"], "unrecognized arguments: --tp-size=1"),
        ("tensorrt-llm", ["m", "--backend=cpp"], "invalid choice: 'cpp'"),
        ("text-embeddings-inference", ["--model-id=m", "--max-len=8"], "unrecognized arguments: --max-len=8"),
    ],
)
def test_a_bad_command_line_is_exit_code_2(runtime, argv, message):
    parse = {"sglang": parse_sglang, "tensorrt-llm": parse_trtllm, "text-embeddings-inference": parse_tei}[runtime]
    with pytest.raises(StartFailure) as caught:
        parse(argv)
    assert caught.value.code == 2
    assert message in str(caught.value)
