"""The options of the engines' command lines, and parsers that take them as the engines' own do.

Names as of vLLM 0.32 (`vllm serve --help=all`) and Triton 2.62 (`tritonserver --help`).
"""

from __future__ import annotations

import argparse
import getopt
import re
from collections.abc import Sequence

from unit.runtimes import more_flags
from unit.runtimes.more_flags import Parser

# Long names, with the short ones beside them.
VLLM_TEXT = """
--model --revision --served-model-name --max-model-len --quantization,-q --hf-token --tokenizer --tokenizer-mode
--tokenizer-revision --code-revision --skip-tokenizer-init --dtype --seed --hf-config-path --hf-overrides
--trust-remote-code --allowed-local-media-path --allowed-media-domains --config-format --convert --runner --model-impl
--enable-prompt-embeds --enable-mm-embeds --enable-sleep-mode --enforce-eager --generation-config
--override-generation-config --io-processor-plugin --logits-processors --logits-processor-pattern --max-logprobs
--logprobs-mode --pooler-config --download-dir --ignore-patterns --load-format --model-loader-extra-config
--pt-load-map-location --safetensors-load-strategy --use-tqdm-on-load --attention-backend --reasoning-parser
--reasoning-parser-plugin --all2all-backend --data-parallel-address,-dpa --data-parallel-backend,-dpb
--data-parallel-size,-dp --data-parallel-size-local,-dpl --data-parallel-rank,-dpn --data-parallel-start-rank,-dpr
--data-parallel-rpc-port,-dpp --data-parallel-external-lb,-dpe --data-parallel-hybrid-lb,-dph
--decode-context-parallel-size,-dcp --prefill-context-parallel-size,-pcp --disable-custom-all-reduce
--distributed-executor-backend --enable-expert-parallel,-ep --enable-eplb --eplb-config --master-addr --master-port
--max-parallel-loading-workers --nnodes,-n --node-rank,-r --pipeline-parallel-size,-pp --tensor-parallel-size,-tp
--worker-cls --worker-extension-cls --block-size --enable-prefix-caching --gpu-memory-utilization --kv-cache-dtype
--kv-cache-memory-bytes --kv-offloading-backend --kv-offloading-size --num-gpu-blocks-override --cpu-offload-gb
--limit-mm-per-prompt --media-io-kwargs --mm-processor-kwargs --mm-processor-cache-gb --skip-mm-profiling
--enable-lora --max-loras --max-lora-rank --max-cpu-loras --lora-modules --lora-dtype --otlp-traces-endpoint
--collect-detailed-traces --kv-cache-metrics --show-hidden-metrics-for-version --async-scheduling
--enable-chunked-prefill --max-num-batched-tokens --max-num-seqs --max-num-queued-reqs --scheduler-cls
--scheduling-policy --stream-interval --cudagraph-capture-sizes --max-cudagraph-capture-size --moe-backend
--additional-config --attention-config,-ac --compilation-config,-cc --ec-transfer-config --kernel-config
--kv-events-config --kv-transfer-config --optimization-level --performance-mode --profiler-config --reasoning-config
--speculative-config,-sc --structured-outputs-config --weight-transfer-config --disable-log-stats
--enable-log-requests --chat-template --chat-template-content-format --trust-request-chat-template
--default-chat-template-kwargs --response-role --return-tokens-as-token-ids --enable-auto-tool-choice
--tool-call-parser --tool-parser-plugin --tool-server --log-config-file --max-log-len --enable-prompt-tokens-details
--enable-server-load-tracking --enable-force-include-usage --enable-log-outputs --host --port --uds
--uvicorn-log-level --disable-uvicorn-access-log --disable-access-log-for-endpoints --allow-credentials
--allowed-origins --allowed-methods --allowed-headers --api-key --ssl-keyfile --ssl-certfile --ssl-ca-certs
--enable-ssl-refresh --ssl-cert-reqs --ssl-ciphers --root-path --middleware --enable-request-id-headers
--disable-fastapi-docs --headless --api-server-count,-asc --config --grpc --shutdown-timeout --numa-bind
"""
VLLM = VLLM_TEXT.split()

TRITON_TEXT = """
id exit-timeout-secs model-store model-repository exit-on-error disable-auto-complete-config strict-readiness
model-control-mode repository-poll-secs load-model model-load-thread-count model-namespacing enable-peer-access
allow-http http-address http-port reuse-http-port http-header-forward-pattern http-thread-count http-max-input-size
http-restricted-api allow-grpc grpc-address grpc-port reuse-grpc-port grpc-header-forward-pattern
grpc-infer-thread-count grpc-use-ssl grpc-use-ssl-mutual grpc-server-cert grpc-server-key grpc-root-cert
grpc-keepalive-time grpc-restricted-protocol log-verbose log-info log-format log-file allow-sagemaker sagemaker-port
sagemaker-safe-port-range allow-vertex-ai vertex-ai-port vertex-ai-default-model allow-metrics allow-gpu-metrics
metrics-address metrics-port metrics-interval-ms metrics-config trace-config cache-config cache-directory rate-limit
rate-limit-resource pinned-memory-pool-byte-size cuda-memory-pool-byte-size buffer-manager-thread-count host-policy
model-load-gpu-limit allow-client-shm backend-directory backend-config repoagent-directory trace-file trace-level
"""
TRITON = TRITON_TEXT.split()

LONG = {
    "vllm": [names.split(",")[0] for names in VLLM],
    "triton": [f"--{name}" for name in TRITON],
    "onnxruntime": [f"--{name}" for name in TRITON],
    "sglang": more_flags.SGLANG,
    "tensorrt-llm": more_flags.TENSORRT_LLM,
    "text-embeddings-inference": more_flags.TEI,
    "bentoml": more_flags.BENTOML,
}
SHORT = [short for names in VLLM for short in names.split(",")[1:]]


def _vllm_parser() -> argparse.ArgumentParser:
    parser = Parser(add_help=False)
    parser.add_argument("model_tag", nargs="?")
    for names in VLLM:
        # Everything may have values or none: whether a value is missing is not what is asked here.
        parser.add_argument(*names.split(","), f"--no-{names.split(',')[0][2:]}", nargs="*", action="append")
    return parser


VLLM_PARSER = _vllm_parser()


def vllm_takes(args: Sequence[str]) -> set[str]:
    """The flags that `vllm serve` would read from `args`, in full. Raises ValueError.

    Like vLLM's parser: underscores before the first dot are dashes, `--flag.key` is a key of the JSON value of
    `--flag`, and the item after it is its value whatever it is.
    """
    words: list[str] = []
    skip = False
    for word in args:
        if skip:
            skip = False
            continue
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            base, dot, key = name.partition(".")
            name = base.replace("_", "-") + dot + key
        if name.startswith("-") and "." in name:
            words += [name.partition(".")[0], "{}"]
            skip = not equals
        else:
            words.append(f"{name}{equals}{value}")
    found, _ = VLLM_PARSER.parse_known_args(["model", *words])
    return {f"--{name.replace('_', '-')}" for name, value in vars(found).items() if value is not None} - {"--model-tag"}


def triton_takes(args: Sequence[str]) -> set[str]:
    """The flags that `tritonserver` would read from `args`, in full. Raises getopt.GetoptError."""
    valued = [f"{name}=" for name in TRITON if name != "disable-auto-complete-config"]
    found, _ = getopt.gnu_getopt(list(args), "", [*valued, "disable-auto-complete-config"])
    return {name for name, _ in found}


TAKES = {
    "vllm": vllm_takes,
    "triton": triton_takes,
    "onnxruntime": triton_takes,
    "sglang": more_flags.SGLANG_TAKES,
    "tensorrt-llm": more_flags.TENSORRT_LLM_TAKES,
    "text-embeddings-inference": more_flags.TEI_TAKES,
    "bentoml": more_flags.BENTOML_TAKES,
}
ERRORS = (ValueError, getopt.GetoptError)


def forbidden(name: str, patterns: Sequence[str]) -> bool:
    """Whether the full name of a flag is among `patterns`, in which * stands for any ending."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) for pattern in patterns)
