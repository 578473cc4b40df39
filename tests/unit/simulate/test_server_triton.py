"""The simulated Triton over HTTP: the Open Inference Protocol, generate, metrics."""

from __future__ import annotations

import asyncio
import json

import pytest

VISION = ("tritonserver", "--model-repository=/models/resnet", "--metrics-config=summary_latencies=true")
WRITER = ("tritonserver", "--model-repository=/models/llama-3.1-8b")
TENSOR = {"name": "INPUT0", "shape": [2, 2], "datatype": "FP32", "data": [[1.0, 2], [3, 4.5]]}


async def test_it_says_what_it_serves(launch, client):
    session = client((await launch(*VISION, runtime="triton")).port)
    for path in (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/resnet/ready",
        "/v2/models/resnet/versions/1/ready",
    ):
        async with session.get(path) as answer:
            assert answer.status == 200, path
    async with session.get("/v2") as answer:
        assert (await answer.json())["name"] == "triton"
    async with session.get("/v2/models/resnet") as answer:
        body = await answer.json()
        assert (body["name"], body["platform"], body["inputs"][0]["datatype"]) == ("resnet", "simulated", "FP32")
    async with session.post("/v2/repository/index") as answer:
        assert await answer.json() == [{"name": "resnet", "version": "1", "state": "READY"}]
    async with session.get("/v2/models/other/ready") as answer:
        assert answer.status == 400
    async with session.get("/v2/models/other") as answer:
        assert (answer.status, await answer.json()) == (
            404,
            {"error": "Request for unknown model: 'other' version '1' is not found"},
        )


async def test_infer_gives_the_inputs_back(launch, client):
    session = client((await launch(*VISION, runtime="triton")).port)
    async with session.post("/v2/models/resnet/infer", json={"id": "7", "inputs": [TENSOR]}) as answer:
        assert answer.status == 200
        body = await answer.json()
    assert (body["id"], body["model_name"], body["model_version"]) == ("7", "resnet", "1")
    assert body["outputs"] == [{"name": "OUTPUT0", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2, 3, 4.5]}]
    named = {"inputs": [TENSOR], "outputs": [{"name": "logits"}]}
    async with session.post("/v2/models/resnet/versions/1/infer", json=named) as answer:
        assert (await answer.json())["outputs"][0]["name"] == "logits"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "inputs: Field required"),
        ({"inputs": []}, "inputs: List should have at least 1 item"),
        ({"inputs": [{**TENSOR, "shape": [3]}]}, "input 'INPUT0': shape [3] holds 3 values, the data has 4"),
        ({"inputs": [{**TENSOR, "datatype": "INT8"}]}, "input 'INPUT0': 1.0 is not of datatype INT8"),
        ({"inputs": [{**TENSOR, "datatype": "FLOAT"}]}, "input 'INPUT0': unknown datatype 'FLOAT'"),
        ({"inputs": [{**TENSOR, "datatype": "BYTES"}]}, "is not of datatype BYTES"),
        ({"inputs": [TENSOR], "outputs": [{"name": "a"}, {"name": "b"}]}, "2 outputs are asked for"),
    ],
)
async def test_a_bad_tensor_is_told_what_is_wrong(launch, client, body, message):
    session = client((await launch(*VISION, runtime="triton")).port)
    async with session.post("/v2/models/resnet/infer", json=body) as answer:
        assert answer.status == 400
        assert message in (await answer.json())["error"]


async def test_generate_answers_text_whole_and_in_pieces(launch, client):
    session = client((await launch(*WRITER, runtime="triton")).port)
    async with session.post("/v2/models/llama-3.1-8b/generate", json={"text_input": "Hi", "max_tokens": 4}) as answer:
        assert await answer.json() == {
            "model_name": "llama-3.1-8b",
            "model_version": "1",
            "text_output": "This is a simulated",
        }
    request = {"text_input": "Hi", "parameters": {"max_tokens": 4}}
    async with session.post("/v2/models/llama-3.1-8b/generate_stream", json=request) as answer:
        events = (await answer.text()).removesuffix("\n\n").split("\n\n")
    assert "".join(json.loads(event.removeprefix("data: "))["text_output"] for event in events) == "This is a simulated"
    async with session.post("/v2/models/llama-3.1-8b/generate", json={"text": "Hi"}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "text_input: Field required")


async def test_metrics_stand_on_a_port_of_their_own(launch, client):
    engine = await launch(*VISION, runtime="triton")
    session, metrics = client(engine.port), client(engine.ports["metrics"])
    sent = [session.post("/v2/models/resnet/infer", json={"inputs": [TENSOR]}) for _ in range(10)]
    answers = await asyncio.gather(*sent)
    assert {answer.status for answer in answers} == {200}
    async with metrics.get("/metrics") as answer:
        text = await answer.text()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    labels = '{model="resnet",version="1"}'
    assert values["nv_inference_request_success" + labels] == "10"
    assert values["nv_inference_count" + labels] == "20"
    assert 1 <= int(values["nv_inference_exec_count" + labels]) <= 10
    assert values["nv_inference_pending_request_count" + labels] == "0"
    assert int(values["nv_inference_request_duration_us" + labels]) > 0
    assert values["nv_inference_request_summary_us_count" + labels] == "10"
    assert int(values["nv_cpu_memory_total_bytes"]) > int(values["nv_cpu_memory_used_bytes"]) > 0
