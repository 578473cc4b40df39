"""The simulated vLLM over HTTP: its API, its errors, its metrics."""

from __future__ import annotations

import asyncio
import json

import pytest

from inferops.simulate.server.text import OPENING

CHAT = {"model": "llama", "messages": [{"role": "user", "content": "What is a replica?"}]}
TEXT = {"model": "llama", "prompt": "What is a replica?"}


async def metric(session, name: str) -> float:
    """The sum of a metric's samples."""
    async with session.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    starts = name if "{" in name else (name + "{", name + " ")
    values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(starts)]
    assert values, f"no metric {name}"
    return sum(values)


async def events(answer) -> list[str]:
    body = await answer.text()
    assert body.endswith("\n\n")
    return [event.removeprefix("data: ") for event in body.removesuffix("\n\n").split("\n\n")]


async def test_it_says_what_it_serves(launch, client):
    session = client((await launch()).port)
    async with session.get("/health") as answer:
        assert (answer.status, await answer.text()) == (200, "")
    async with session.get("/version") as answer:
        assert (await answer.json())["version"].endswith("simulated")
    async with session.get("/v1/models") as answer:
        (model,) = (await answer.json())["data"]
    assert (model["id"], model["root"], model["max_model_len"]) == ("llama", "meta-llama/Llama-3.1-8B-Instruct", 8192)


async def test_a_chat_is_answered_whole(launch, client):
    session = client((await launch()).port)
    async with session.post("/v1/chat/completions", json={**CHAT, "max_tokens": 12}) as answer:
        assert answer.status == 200
        body = await answer.json()
    (choice,) = body["choices"]
    words = choice["message"]["content"].split()
    assert words[: len(OPENING)] == list(OPENING), "the answer says that it is simulated"
    assert (body["object"], choice["finish_reason"], len(words)) == ("chat.completion", "length", 12)
    usage = body["usage"]
    assert usage["completion_tokens"] == 12
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12


async def test_the_same_prompt_has_the_same_answer_and_its_own_length(launch, client):
    session = client((await launch(time_scale=2000.0)).port)
    bodies = []
    for _ in range(2):
        async with session.post("/v1/chat/completions", json=CHAT) as answer:
            bodies.append(await answer.json())
    assert bodies[0]["choices"] == bodies[1]["choices"]
    assert bodies[0]["choices"][0]["finish_reason"] == "stop"
    async with session.post("/v1/chat/completions", json={**CHAT, "ignore_eos": True, "max_tokens": 500}) as answer:
        assert (await answer.json())["usage"]["completion_tokens"] == 500


async def test_a_chat_is_streamed(launch, client):
    session = client((await launch()).port)
    request = {**CHAT, "max_tokens": 6, "stream": True, "stream_options": {"include_usage": True}}
    async with session.post("/v1/chat/completions", json=request) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        *chunks, done = await events(answer)
    first, *middle, last, usage = map(json.loads, chunks)
    assert done == "[DONE]"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = "".join(chunk["choices"][0]["delta"]["content"] for chunk in [*middle, last])
    assert said == " ".join(OPENING[:6])
    assert (last["choices"][0]["finish_reason"], usage["choices"]) == ("length", [])
    assert usage["usage"]["completion_tokens"] == 6


async def test_a_completion_is_answered_whole_and_streamed(launch, client):
    session = client((await launch()).port)
    async with session.post("/v1/completions", json={**TEXT, "max_tokens": 3}) as answer:
        assert (await answer.json())["choices"][0]["text"] == "This is a"
    async with session.post("/v1/completions", json={**TEXT, "max_tokens": 3, "stream": True}) as answer:
        *chunks, _ = await events(answer)
    assert "".join(json.loads(chunk)["choices"][0]["text"] for chunk in chunks) == "This is a"
    async with session.post("/v1/completions", json={"prompt": [1, 2, 3, 4]}) as answer:
        assert (await answer.json())["usage"] == {"prompt_tokens": 4, "completion_tokens": 16, "total_tokens": 20}


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ({**TEXT, "model": "gpt"}, 404, "NotFoundError", "The model `gpt` does not exist."),
        ({"model": "llama"}, 400, "BadRequestError", "prompt: Field required."),
        ({**TEXT, "max_tokens": -1}, 400, "BadRequestError", "max_tokens: Input should be greater than or equal to 1."),
        ({**TEXT, "n": 2}, 400, "BadRequestError", "n: Input should be 1. The simulated engine gives one answer"),
        ({**TEXT, "max_tokens": 9000}, 400, "BadRequestError", "maximum context length is 8192 tokens"),
        ({"prompt": [0] * 8192}, 400, "BadRequestError", "maximum context length is 8192 tokens, but the prompt has"),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(launch, client, body, status, kind, message):
    session = client((await launch()).port)
    async with session.post("/v1/completions", json=body) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
    assert (error["type"], error["code"]) == (kind, status)
    assert message in error["message"]


async def test_what_is_no_json_is_refused(launch, client):
    session = client((await launch()).port)
    async with session.post("/v1/chat/completions", data=b"{") as answer:
        assert answer.status == 400
        assert "not JSON" in (await answer.json())["error"]["message"]


async def test_api_keys_guard_the_api_and_not_the_health(launch, client):
    session = client((await launch(env={"VLLM_API_KEY": "key"})).port)
    for headers, status in (({}, 401), ({"Authorization": "Bearer no"}, 401), ({"Authorization": "Bearer key"}, 200)):
        async with session.get("/v1/models", headers=headers) as answer:
            assert answer.status == status
    async with session.get("/health") as answer:
        assert answer.status == 200


async def test_metrics_tell_who_runs_and_who_waits(launch, client):
    argv = "M-7b --served-model-name llama --max-num-seqs 2 --max-model-len 2000"
    engine = await launch(*argv.split(), time_scale=1)
    session = client(engine.port)
    long = {**TEXT, "max_tokens": 1500, "ignore_eos": True, "stream": True}
    answers = [await session.post("/v1/completions", json=long) for _ in range(5)]
    async with asyncio.timeout(5):
        while await metric(session, "vllm:num_requests_running") < 2:
            await asyncio.sleep(0.005)
    assert await metric(session, "vllm:num_requests_waiting") == 3
    assert await metric(session, "vllm:kv_cache_usage_perc") > 0
    for answer in answers:
        answer.close()
    async with asyncio.timeout(5):
        while await metric(session, "vllm:num_requests_running") > 0:
            await asyncio.sleep(0.005)
    assert await metric(session, "vllm:num_requests_waiting") == 0
    assert await metric(session, 'vllm:request_success_total{engine="0",finished_reason="abort"') == 5


async def test_metrics_count_what_was_served(launch, client):
    session = client((await launch()).port)
    async with session.post("/v1/completions", json={**TEXT, "max_tokens": 20, "ignore_eos": True}) as answer:
        prompt = (await answer.json())["usage"]["prompt_tokens"]
    async with session.post("/v1/completions", json={**TEXT, "model": "gpt"}) as answer:
        assert answer.status == 404
    assert await metric(session, "vllm:prompt_tokens_total") == prompt
    assert await metric(session, "vllm:generation_tokens_total") == 20
    assert await metric(session, 'vllm:request_success_total{engine="0",finished_reason="length"') == 1
    # Twenty iterations of 6.6 ms: simulated seconds, though they took a hundredth of it.
    assert await metric(session, "vllm:request_inference_time_seconds_sum") >= 20 * 0.0065
    status = 'http_requests_total{handler="/v1/completions",method="POST",status='
    assert await metric(session, status + '"2xx"') == 1
    assert await metric(session, status + '"4xx"') == 1


async def test_a_full_queue_is_refused_at_once(launch, client):
    argv = "M-7b --served-model-name=llama --max-num-seqs=1 --max-num-queued-reqs=1"
    engine = await launch(*argv.split(), time_scale=1)
    session = client(engine.port)
    long = {**TEXT, "max_tokens": 5000, "ignore_eos": True, "stream": True}
    async with session.post("/v1/completions", json=long):
        async with asyncio.timeout(5):
            while await metric(session, "vllm:num_requests_running") < 1:
                await asyncio.sleep(0.005)
        async with session.post("/v1/completions", json=long), session.post("/v1/completions", json=long) as refused:
            assert refused.status == 503
            assert "full" in (await refused.json())["error"]["message"]
    assert await metric(session, 'vllm:admission_rejections_total{model_name="llama",reason="max_num_queued_reqs"') == 1
