"""The command line of `vllm serve`: what it means for the simulated engine, and what the real one refuses."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import cache

from inferops.simulate.model import Deployment
from inferops.simulate.server.failures import StartFailure
from inferops.simulate.server.flags_vllm import LISTS, SWITCHES, VALUES
from inferops.simulate.server.options import LlmOptions, Refusing, positive

DEFAULT_MODEL = "Qwen/Qwen3-0.6B"
LAUNCHERS = (
    ("vllm", "serve"),
    ("serve",),
    ("python", "-m", "vllm.entrypoints.openai.api_server"),
    ("python3", "-m", "vllm.entrypoints.openai.api_server"),
)


def parse_vllm(argv: Sequence[str], env: Mapping[str, str]) -> LlmOptions:
    """Read `argv`, with or without the `vllm serve` it begins with. Raises `StartFailure` with code 2."""
    found = _parser().parse_args(_normal(argv))
    model = found.model_positional or found.model or DEFAULT_MODEL
    keys = found.api_key or ([env["VLLM_API_KEY"]] if env.get("VLLM_API_KEY") else [])
    return LlmOptions(
        model=model,
        names=tuple(found.served_model_name or [model]),
        host=found.host or "0.0.0.0",
        port=found.port,
        tensor_parallel=found.tensor_parallel_size,
        pipeline_parallel=found.pipeline_parallel_size,
        max_model_len=found.max_model_len,
        max_num_seqs=found.max_num_seqs,
        token_budget=found.max_num_batched_tokens,
        utilization=found.gpu_memory_utilization,
        quantization=found.quantization,
        dtype=found.dtype,
        kv_cache_dtype=found.kv_cache_dtype,
        block_size=found.block_size,
        prefix_caching=found.enable_prefix_caching,
        shutdown_timeout=found.shutdown_timeout,
        max_queued_requests=found.max_num_queued_reqs,
        max_queued_tokens=found.max_num_queued_tokens,
        api_keys=tuple(keys),
        adapters=tuple(adapter_name(word) for word in found.lora_modules or ()),
        nodes=found.nnodes,
        headless=found.headless,
    )


def adapter_name(word: str) -> str:
    """The name of an adapter, given as NAME=PATH or as JSON. Raises `StartFailure` on anything else."""
    if word.startswith("{"):
        try:
            return str(json.loads(word)["name"])
        except (ValueError, KeyError, TypeError):
            pass
    name, equals, path = word.partition("=")
    if not (name and equals and path) or word.startswith("{"):
        raise StartFailure(f"vllm serve: error: argument --lora-modules: invalid adapter: {word!r}", code=2)
    return name


def max_model_len(options: LlmOptions, deployment: Deployment, env: Mapping[str, str]) -> int:
    """Tokens of the longest prompt and answer. Raises `StartFailure` when it is more than the model was made for."""
    asked, made_for = options.max_model_len, deployment.replica.facts.context
    if asked is None:
        return made_for
    if asked > made_for and not deployment.guessed and env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") != "1":
        raise StartFailure(
            f"ValueError: User-specified max_model_len ({asked}) is greater than the derived max_model_len "
            f"({made_for}). Set VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 to allow it."
        )
    return asked


@cache
def _parser() -> argparse.ArgumentParser:
    parser = Refusing(prog="vllm serve", usage="vllm serve [model_tag] [options]", add_help=False)
    parser.add_argument("model_positional", metavar="model_tag", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--revision")
    parser.add_argument("--tensor-parallel-size", "-tp", type=positive, default=1)
    parser.add_argument("--pipeline-parallel-size", "-pp", type=positive, default=1)
    parser.add_argument("--max-model-len", type=_length, default=None)
    parser.add_argument("--max-num-seqs", type=positive)
    parser.add_argument("--max-num-batched-tokens", type=_tokens, default=None)
    parser.add_argument("--gpu-memory-utilization", type=float, default=0.92)
    parser.add_argument("--quantization", "-q")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--kv-cache-dtype", default="auto")
    parser.add_argument("--block-size", type=positive, default=16)
    parser.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--shutdown-timeout", type=float, default=0.0)
    parser.add_argument("--max-num-queued-reqs", type=positive)
    parser.add_argument("--max-num-queued-tokens", type=positive)
    parser.add_argument("--api-key", nargs="+")
    parser.add_argument("--lora-modules", nargs="+")
    parser.add_argument("--nnodes", "-n", type=positive, default=1)
    parser.add_argument("--headless", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("-O", "--optimization-level")
    for name in VALUES:
        parser.add_argument(f"--{name}")
    for name in LISTS:
        parser.add_argument(f"--{name}", nargs="+")
    for name in SWITCHES:
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    return parser


def _normal(argv: Sequence[str]) -> list[str]:
    """Without the launcher; flags with dashes, and without the path into a JSON value (`--flag.key value`)."""
    words = list(argv)
    for launcher in LAUNCHERS:
        head = [words[0].rsplit("/", 1)[-1], *words[1 : len(launcher)]] if words else []
        if tuple(head) == launcher:
            words = words[len(launcher) :]
            break
    return [_flag(word) if word.startswith("--") else word for word in words]


def _flag(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.split(".", 1)[0].replace("_", "-") + equals + value


def _tokens(text: str) -> int:
    """A number of tokens: 16384, 16k (thousands) or 16K (of 1024)."""
    units = {"k": 10**3, "K": 2**10, "m": 10**6, "M": 2**20}
    unit = units.get(text[-1:], 1)
    try:
        value = int(float(text[:-1]) * unit) if unit > 1 else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value


def _length(text: str) -> int | None:
    """As `_tokens`; `auto` and -1: what the model was made for."""
    return None if text in ("auto", "-1") else _tokens(text)
