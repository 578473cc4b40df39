"""Command lines of the real servers: what they mean, and what is refused with which exit code."""

from __future__ import annotations

import pytest

from inferops.catalogue import accelerators
from inferops.core.facts import Precision
from inferops.core.memory import GENEROUS, TIGHT, Limits
from inferops.simulate.model import Accelerator
from inferops.simulate.server.argv_triton import deployment_of as triton_deployment
from inferops.simulate.server.argv_triton import parse_triton
from inferops.simulate.server.argv_vllm import max_model_len, parse_vllm
from inferops.simulate.server.failures import StartFailure
from inferops.simulate.server.options import deployment_of

H100, L4 = (Accelerator(name, accelerators()[name]) for name in ("nvidia-h100-80gb", "nvidia-l4"))


def test_a_whole_vllm_command_line():
    argv = (
        "vllm serve meta-llama/Llama-3.3-70B-Instruct --host=0.0.0.0 --port=8080 --served-model-name chat big "
        "--tensor-parallel-size=4 --shutdown-timeout=120 --revision=6f6073b --max-model-len=16k --max-num-seqs 64 "
        "--quantization=fp8 --load-format=runai_streamer --enable-prefix-caching --kv-cache-dtype fp8_e4m3 "
        "--gpu-memory-utilization 0.9 --download-dir /cache --max-num-queued-reqs 100"
    )
    options = parse_vllm(argv.split(), {})
    assert (options.model, options.names) == ("meta-llama/Llama-3.3-70B-Instruct", ("chat", "big"))
    assert (options.host, options.port, options.shutdown_timeout) == ("0.0.0.0", 8080, 120)
    assert (options.max_model_len, options.max_num_seqs, options.max_queued_requests) == (16_000, 64, 100)
    deployment = deployment_of(options, H100, present=8)
    replica = deployment.replica
    assert (replica.facts.name, replica.accelerators, deployment.guessed) == (options.model, 4, False)
    assert (replica.weights, replica.kv_precision, replica.utilization) == (Precision.FP8, Precision.FP8, 0.9)
    assert (deployment.context, deployment.limits) == (16_000, Limits(tokens=8192, sequences=64))


@pytest.mark.parametrize(
    ("argv", "accelerator", "limits"),
    [
        ("", H100, GENEROUS),
        ("", L4, TIGHT),
        ("--max-num-batched-tokens 2048 --max-num-seqs 256", H100, TIGHT),
        ("--max-num-batched-tokens 128", L4, Limits(tokens=128, sequences=128)),
        ("--max-num-seqs 4096", L4, Limits(tokens=4096, sequences=4096)),
    ],
)
def test_it_batches_as_much_as_it_is_told_or_as_is_usual_on_the_accelerator(argv, accelerator, limits):
    options = parse_vllm(["vllm", "serve", "Qwen/Qwen3-8B", *argv.split()], {})
    assert deployment_of(options, accelerator, 1).limits == limits


@pytest.mark.parametrize(
    "argv",
    [
        "vllm serve M",
        "/usr/local/bin/vllm serve M",
        "serve M",
        "M",
        "--model M",
        "python3 -m vllm.entrypoints.openai.api_server --model M",
    ],
)
def test_a_vllm_command_line_may_begin_anywhere(argv):
    assert parse_vllm(argv.split(), {}).model == "M"


@pytest.mark.parametrize(
    "argv",
    [
        "--tensor_parallel_size 2",
        "-tp 2",
        "--tensor-parallel-size=2",
        "--tensor-par 2",
        "--compilation-config.level 3 -tp 2",
        '--hf-overrides {"a":1} --no-enable-log-requests --async-scheduling --lora-modules a=b c=d -tp 2',
    ],
)
def test_flags_have_many_spellings(argv):
    assert parse_vllm(["vllm", "serve", "M", *argv.split()], {}).tensor_parallel == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--frobnicate", "vllm serve: error: unrecognized arguments: --frobnicate"),
        ("--port eighty", "argument --port: invalid int value: 'eighty'"),
        ("--max-model-len many", "argument --max-model-len: 'many' is not a number of tokens"),
        ("--max-num-seqs 0", "argument --max-num-seqs: 0 must be at least 1"),
        ("--tensor-parallel-size", "argument --tensor-parallel-size/-tp: expected one argument"),
    ],
)
def test_a_bad_vllm_flag_is_exit_code_2(argv, message):
    with pytest.raises(StartFailure) as caught:
        parse_vllm(["vllm", "serve", "M", *argv.split()], {})
    assert caught.value.code == 2
    assert message in str(caught.value)
    assert str(caught.value).startswith("usage: vllm serve")


@pytest.mark.parametrize(
    ("argv", "present", "message"),
    [
        ("-tp 4", 2, "World size (4) is larger than the number of available GPUs (2)"),
        ("-tp 3", 8, "attention heads (32) must be divisible by tensor parallel size (3)"),
        ("--gpu-memory-utilization 1.2", 1, "gpu_memory_utilization (1.2) must lie between 0 and 1"),
        (
            "--max-num-batched-tokens 64 --max-num-seqs 256",
            1,
            "max_num_batched_tokens (64) must be greater than or equal to max_num_seqs",
        ),
    ],
)
def test_what_vllm_cannot_do_is_exit_code_1(argv, present, message):
    options = parse_vllm(["vllm", "serve", "meta-llama/Llama-3.1-8B", *argv.split()], {})
    with pytest.raises(StartFailure) as caught:
        deployment_of(options, H100, present)
    assert caught.value.code == 1
    assert message in str(caught.value)


def test_a_context_longer_than_the_model_is_refused_unless_allowed():
    argv = ["vllm", "serve", "Qwen/Qwen2.5-7B", "--max-model-len", "64K"]
    options = parse_vllm(argv, {})
    deployment = deployment_of(options, H100, 1)
    with pytest.raises(
        StartFailure, match=r"max_model_len \(65536\) is greater than the derived max_model_len \(32768\)"
    ):
        max_model_len(options, deployment, {})
    assert max_model_len(options, deployment, {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}) == 65_536
    assert max_model_len(parse_vllm(argv[:3], {}), deployment, {}) == 32_768


def test_a_model_on_a_volume_is_known_by_the_name_it_is_served_by():
    options = parse_vllm(["vllm", "serve", "/mnt/models", "--served-model-name=llama-3.3-70b-instruct"], {})
    assert deployment_of(options, H100, 1).replica.facts.name == "llama-3.3-70b-instruct"


def test_api_keys_come_from_the_environment_too():
    assert parse_vllm(["M"], {"VLLM_API_KEY": "secret"}).api_keys == ("secret",)


def test_a_whole_triton_command_line():
    argv = (
        "/opt/nvidia/nvidia_entrypoint.sh tritonserver --model-repository=s3://bucket/models/resnet --http-port=8000 "
        "--grpc-port=8001 --metrics-port=8002 --allow-http=true --allow-grpc=true --allow-metrics=true "
        "--strict-readiness=true --exit-timeout-secs=60 --metrics-config summary_latencies=true --log-verbose=1"
    )
    options = parse_triton(argv.split())
    assert options.models == ("resnet",)
    assert (options.http_port, options.metrics_port, options.exit_timeout) == (8000, 8002, 60)
    assert options.metrics and options.summaries


def test_triton_serves_the_models_it_is_told_to_load_or_finds(tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "ranker").mkdir()
    (tmp_path / "README").write_text("no model")
    assert parse_triton([f"--model-repository={tmp_path}"]).models == ("encoder", "ranker")
    explicit = "--model-repository=/models --model-control-mode=explicit --load-model=a --load-model b"
    assert parse_triton(explicit.split()).models == ("a", "b")
    assert parse_triton(["--model-repository=/mnt/models/"]).models == ("models",)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("tritonserver", "--model-repository must be specified"),
        ("tritonserver --model-repository=/m --frobnicate=1", "unrecognized arguments: --frobnicate=1"),
    ],
)
def test_a_bad_triton_command_line_is_exit_code_1(argv, message):
    with pytest.raises(StartFailure) as caught:
        parse_triton(argv.split())
    assert caught.value.code == 1
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "present", "spread", "billions"),
    [
        ("resnet", 4, 1, 0.025),
        ("resnet", 0, 1, 0.025),
        ("llama-3.1-8b", 4, 4, 8.03),
        ("llama-3.1-8b", 3, 1, 8.03),
        ("writer-7b", 2, 2, 7.24),  # the nearest of the table
        ("bge-large-en-v1.5", 4, 1, 0.334),
    ],
)
def test_triton_spreads_language_models_over_the_accelerators(name, present, spread, billions):
    deployment = triton_deployment(name, H100, present)
    assert deployment.replica.tensor_parallel == spread
    assert deployment.replica.facts.params == pytest.approx(billions * 1e9, rel=0.002)
