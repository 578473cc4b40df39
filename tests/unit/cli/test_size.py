"""`inferops size` and `inferops render` as they are typed."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from typer.testing import CliRunner

from inferops.cli.main import app

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}
ACCELERATOR = """
apiVersion: serving.inferops.dev/v1alpha1
kind: Accelerator
metadata: {name: ours-x1}
spec:
  nodeLabels: [{key: example.com/gpu, values: [x1]}]
  memoryGiB: 200
  bandwidthGBps: 9000
  tflops: {bf16: 3000, fp8: 6000}
  price: {usdPerHour: 0.01, date: "2026-11-21"}
"""
SERVICE = """
apiVersion: serving.inferops.dev/v1alpha1
kind: InferenceService
metadata: {name: chat}
spec:
  model: {uri: "hf://acme/own-1b", config: {name: shape}}
  slo: {tpot: 50ms}
"""


def run(*words: str, code: int = 0, text: str | None = None) -> str:
    result = CliRunner().invoke(app, list(words), input=text)
    assert result.exit_code == code, result.output
    return result.output


def test_the_options_come_cheapest_first_with_their_figures() -> None:
    lines = run("size", "hf://meta-llama/Llama-3.3-70B-Instruct", "--slo", "ttft=800ms,tpot=50ms", "--all").splitlines()
    assert lines[0].startswith("hf://meta-llama/Llama-3.3-70B-Instruct") or "Llama-3.3-70B" in lines[0]
    assert "141 GB of weights, 327,680 B of KV cache a token" in lines[0]
    start = next(number for number, line in enumerate(lines) if line.startswith("accelerators"))
    end = next(number for number, line in enumerate(lines) if line.startswith("will not do"))
    costs = [float(line.split()[-2]) for line in lines[start + 1 : end]]
    assert len(costs) > 10 and costs == sorted(costs)
    assert all("exceed" in line or "holds" in line or "slow" in line or "cannot" in line for line in lines[end + 1 :])


def test_json_holds_the_same_answer() -> None:
    found = json.loads(run("size", "Qwen3-8B", "--gpu", "h100", "--context", "8192", "--json"))
    assert found["model"]["kv_bytes_per_token"] == 147_456
    assert found["ask"]["context"] == 8192
    assert {option["shape"]["accelerator"] for option in found["options"]} >= {"nvidia-h100-80gb"}
    assert all("h100" in option["shape"]["accelerator"] for option in (*found["options"], *found["rejected"]))
    prices = [option["usd_per_hour"] for option in found["options"]]
    assert prices == sorted(prices)


def test_a_config_and_accelerators_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "gpus.yaml").write_text(ACCELERATOR)
    found = json.loads(run("size", str(tmp_path / "config.json"), "-f", str(tmp_path / "gpus.yaml"), "--json"))
    assert found["options"][0]["shape"]["accelerator"] == "ours-x1"
    assert found["model"]["params"] == pytest.approx(1.5e9, rel=0.02)


def test_nothing_fits_ends_with_1_and_says_why() -> None:
    assert "does not fit" in run("size", "DeepSeek-V3", "--gpu", "nvidia-l4", code=1)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["a/Llama-3.3-70B-Instrukt", "--hub", "off"], ["nothing is known of", "--config", "mean meta-llama/"]),
        (["Qwen3-8B", "--gpu", "tpu"], ["--gpu 'tpu': there are", "nvidia-l4"]),
        (["Qwen3-8B", "--slo", "fast"], ["--slo 'fast'", "ttft=800ms"]),
        (["Qwen3-8B", "--slo", "tpot=0ms"], ["--slo 'tpot=0ms'"]),
        (["Qwen3-8B", "--quantization", "q4"], ["--quantization 'q4'", "fp8"]),
        (["Qwen3-8B", "--runtime", "triton"], ["--runtime 'triton'", "vllm"]),
        (["Qwen3-8B", "-f", "/does/not/exist.yaml"], ["/does/not/exist.yaml"]),
        (["/does/not/exist.json"], ["/does/not/exist.json"]),
    ],
)
def test_what_cannot_be_asked_says_what_can(words: list[str], parts: list[str]) -> None:
    output = run("size", *words, code=2)
    assert output.startswith("inferops size: ")
    for part in parts:
        assert part in output


@pytest.mark.parametrize("content", ["no json", "[1]", "{}", '{"hidden_size": "big"}'])
def test_a_config_that_is_none_is_an_error_and_no_traceback(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    assert run("size", str(tmp_path / "config.json"), code=2).startswith("inferops size: ")


def test_render_chooses_as_the_operator_would_from_a_config_in_the_file() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shape"}}
    shape = yaml.safe_dump({**config, "data": {"config.json": json.dumps(CONFIG)}})
    objects = list(yaml.safe_load_all(run("render", "-", text="\n---\n".join([SERVICE, ACCELERATOR, shape]))))
    record = next(one for one in objects if one["kind"] == "ControllerRevision")
    assert record["data"]["spec"]["accelerator"]["type"] == "ours-x1"
    without = CliRunner().invoke(app, ["render", "-"], input=SERVICE)
    assert without.exit_code == 1
    assert "chat: spec.accelerators: none can be chosen" in without.output
    broken = CliRunner().invoke(app, ["render", "-"], input=SERVICE + "---\n" + shape.replace("hidden_size", "hidden"))
    assert broken.exit_code == 1
    assert "spec.model.config: ConfigMap shape, key config.json" in broken.output


def test_a_hub_is_asked_for_what_is_not_built_in() -> None:
    asked: list[str] = []

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            there = self.path.endswith("/resolve/main/config.json") and "/acme/own" in self.path
            self.send_response(200 if there else 404)
            self.end_headers()
            self.wfile.write(json.dumps(CONFIG).encode() if there else b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        hub = f"http://127.0.0.1:{server.server_port}"
        found = json.loads(run("size", "hf://acme/own", "--hub", hub, "--json"))
        missing = run("size", "acme/gone", "--hub", hub, code=2)
        server.shutdown()
    assert found["model"]["params"] == pytest.approx(1.5e9, rel=0.02)
    assert asked[0] == "/acme/own/resolve/main/config.json"
    assert "acme/gone" in missing and "--config" in missing


def test_the_sample_that_lists_no_accelerators_renders_what_size_ranks_first() -> None:
    sample = Path(__file__).parents[3] / "manifests" / "samples" / "qwen-by-slo.yaml"
    record = next(yaml.safe_load_all(run("render", str(sample))))
    words = "--slo ttft=1s,tpot=40ms --context 32768 --quantization auto --concurrency 32 --prompt 2000 --output 300"
    first = json.loads(run("size", "hf://Qwen/Qwen3-32B", *words.split(), "--json"))["options"][0]
    chosen = record["data"]["spec"]
    assert chosen["accelerator"]["type"] == first["shape"]["accelerator"]
    assert chosen["accelerator"]["count"] == first["shape"]["tensor_parallel"] * first["shape"]["pipeline_parallel"]
    assert chosen["model"].get("quantization") == (None if first["shape"]["precision"] == "bf16" else "fp8")
