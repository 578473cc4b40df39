"""The command line of `python3 -m sglang.launch_server`: what it means for the simulated engine.

Flags that change nothing in it are taken as they come: SGLang has more than five hundred.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from inferops.simulate.server.failures import StartFailure
from inferops.simulate.server.options import LlmOptions, Refusing, positive

LAUNCHER = "sglang.launch_server"
MEMORY_SHARE = 0.88  # the real engine finds a share by the accelerator; about so much


def parse_sglang(argv: Sequence[str]) -> LlmOptions:
    """Read `argv`, with or without the launcher it begins with. Raises `StartFailure` with code 2."""
    words = list(argv[argv.index(LAUNCHER) + 1 :] if LAUNCHER in argv else argv)
    found, others = _parser().parse_known_args(words)
    if others and not others[0].startswith("--"):
        raise StartFailure(f"sglang serve: error: unrecognized arguments: {others[0]}", code=2)
    chunk, requests = found.chunked_prefill_size, found.max_running_requests
    return LlmOptions(
        model=found.model_path,
        names=(found.served_model_name or found.model_path,),
        host=found.host,
        port=found.port,
        tensor_parallel=found.tp_size,
        pipeline_parallel=found.pp_size,
        max_model_len=found.context_length,
        max_num_seqs=requests,
        token_budget=max(chunk, requests or 0) if chunk > 0 else None,
        utilization=found.mem_fraction_static,
        quantization=found.quantization,
        dtype=found.dtype,
        kv_cache_dtype=found.kv_cache_dtype,
        prefix_caching=not found.disable_radix_cache,
        shutdown_timeout=float("inf"),
        max_queued_requests=found.max_queued_requests,
        api_keys=(found.api_key,) if found.api_key else (),
        adapters=tuple(word.partition("=")[0] for word in found.lora_paths or ()),
        nodes=found.nnodes,
        headless=found.node_rank > 0,
    )


def _parser() -> argparse.ArgumentParser:
    parser = Refusing(prog="sglang serve", usage="sglang serve --model-path MODEL [options]", add_help=False)
    parser.add_argument("--model-path", "--model", required=True)
    parser.add_argument("--served-model-name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=30000)
    parser.add_argument("--tp-size", "--tensor-parallel-size", type=positive, default=1)
    parser.add_argument("--pp-size", "--pipeline-parallel-size", type=positive, default=1)
    parser.add_argument("--nnodes", type=positive, default=1)
    parser.add_argument("--node-rank", type=int, default=0)
    parser.add_argument("--context-length", type=positive)
    parser.add_argument("--max-running-requests", type=positive)
    parser.add_argument("--max-queued-requests", type=positive)
    parser.add_argument("--chunked-prefill-size", type=int, default=0)
    parser.add_argument("--mem-fraction-static", type=float, default=MEMORY_SHARE)
    parser.add_argument("--quantization")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--kv-cache-dtype", default="auto")
    parser.add_argument("--disable-radix-cache", action="store_true")
    parser.add_argument("--api-key")
    parser.add_argument("--lora-paths", nargs="*")
    return parser
