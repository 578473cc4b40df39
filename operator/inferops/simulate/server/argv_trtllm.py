"""The command line of `trtllm-serve`: what it means for the simulated engine, and what the real one refuses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from inferops.simulate.server.options import LlmOptions, Refusing, positive

# With a value, accepted and without effect.
_VALUES = """
tokenizer custom_tokenizer custom_module_dirs log_level max_beam_width cp_size context_parallel_size ep_size
moe_expert_parallel_size cluster_size moe_cluster_parallel_size gpus_per_node num_postprocess_workers revision config
extra_llm_api_options reasoning_parser tool_parser metadata_server_config_file server_role otlp_traces_endpoint
disagg_cluster_uri media_io_kwargs chat_template set
"""
_SWITCHES = "trust_remote_code fail_fast_on_attention_window_too_large enable_chunked_prefill"


def parse_trtllm(argv: Sequence[str]) -> LlmOptions:
    """Read `argv`, with or without the `trtllm-serve` it begins with. Raises `StartFailure` with code 2."""
    words = list(argv)
    if words and words[0].rsplit("/", 1)[-1] == "trtllm-serve":
        words = words[1:]
    if words and words[0] == "serve":
        words = words[1:]
    found = _parser().parse_args(words)
    tokens, requests = found.max_num_tokens, found.max_batch_size
    return LlmOptions(
        model=found.model,
        names=(found.served_model_name or found.model,),
        host=found.host,
        port=found.port,
        tensor_parallel=found.tp_size,
        pipeline_parallel=found.pp_size,
        max_model_len=found.max_seq_len,
        max_num_seqs=requests,
        token_budget=max(tokens, requests or 0) if tokens else None,
        utilization=found.free_gpu_memory_fraction,
        shutdown_timeout=float("inf"),
    )


def _parser() -> argparse.ArgumentParser:
    parser = Refusing(prog="trtllm-serve", usage="trtllm-serve MODEL [options]", allow_abbrev=False, add_help=False)
    parser.add_argument("model")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--backend", choices=("pytorch", "tensorrt", "trt", "_autodeploy"), default="pytorch")
    parser.add_argument("--served_model_name")
    parser.add_argument("--tp_size", "--tensor_parallel_size", type=positive, default=1)
    parser.add_argument("--pp_size", "--pipeline_parallel_size", type=positive, default=1)
    parser.add_argument("--max_seq_len", type=positive)
    parser.add_argument("--max_batch_size", type=positive)
    parser.add_argument("--max_num_tokens", type=positive)
    parser.add_argument("--free_gpu_memory_fraction", "--kv_cache_free_gpu_memory_fraction", type=float, default=0.9)
    for name in _VALUES.split():
        parser.add_argument(f"--{name}", action="append")
    for name in _SWITCHES.split():
        parser.add_argument(f"--{name}", action="store_true")
    return parser
