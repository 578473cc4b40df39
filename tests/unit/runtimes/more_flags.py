"""The options of the command lines of SGLang, TensorRT-LLM, TEI and BentoML, and parsers that take them as those do.

Names as of SGLang 0.5.23, TensorRT-LLM 1.3 (`trtllm-serve`), TEI 1.9 (`text-embeddings-router`), BentoML 1.4 (`serve`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

SGLANG_TEXT = """
--device --base-gpu-id --gpu-id-step --random-seed --mlx-enable-sampling --watchdog-timeout --soft-watchdog-timeout
--sleep-on-idle --use-ray --numa-node --gc-threshold --decoupled-spec-bind-endpoint --decoupled-spec-connect-endpoints
--decoupled-spec-rank --decoupled-spec-role --disaggregation-mode --disaggregation-decode-allocation-policy
--disaggregation-transfer-backend --disaggregation-enable-kv-checksum --disaggregation-bootstrap-port
--disaggregation-ib-device --disaggregation-decode-enable-radix-cache --disaggregation-decode-enable-offload-kvcache
--disaggregation-decode-retraction-backup --num-reserved-decode-tokens --disaggregation-decode-extra-slots
--disaggregation-decode-polling-interval --enable-pd-role-switch --optimistic-prefill-attempts --encoder-only
--language-only --language-model-only --encoder-transfer-backend --encoder-urls --encoder-bootstrap-port
--encoder-register-urls --enable-adaptive-dispatch-to-encoder --enable-pdmux --pdmux-config-path --sm-group-num
--disaggregation-decode-host-receive-threshold --enable-fp32-lm-head --enable-tf32-matmul --enable-memory-saver
--enable-weights-cpu-backup --enable-draft-weights-cpu-backup --enable-custom-logit-processor --enable-watermark
--watermark-config --enable-return-hidden-states --return-hidden-states-mode --enable-return-aux-hidden-states
--return-aux-hidden-state-layer-ids --enable-return-routed-experts --enable-return-indexer-topk
--enable-encoder-swa-bounded-replay --enable-decoder-swa-bounded-replay --sampling-mask-max-tokens
--disable-outlines-disk-cache --enable-mis --attention-backend --decode-attention-backend --enable-lean-attention
--enable-nvidia-megakernel --enable-amd-monokernel --prefill-attention-backend --prefill-kv-cache-dequant-dtype
--grammar-backend --fp8-gemm-backend --fp4-gemm-backend --bf16-gemm-backend --dsa-prefill-backend
--dsv4-prefill-backend --dsa-triton-union --dsa-decode-backend --dsv4-attn-backend --dsa-paged-mqa-logits-backend
--dsa-topk-backend --disable-flashinfer-autotune --flashinfer-autotune-skip-ops --triton-attention-reduce-in-fp32
--triton-attention-num-kv-splits --triton-attention-split-tile-size --flashinfer-mla-disable-ragged
--enable-fused-qk-norm-rope --enable-precise-embedding-interpolation --enable-deepseek-v4-fp4-indexer
--enable-dsa-fused-indexer --mamba-backend --mamba-ssm-dtype --mamba-max-states-per-path
--enable-mamba-cache-stochastic-rounding --mamba-cache-philox-rounds --mamba-radix-cache-strategy
--mamba-track-interval --enable-int8-mamba-checkpoint --int8-mamba-ckpt-size --linear-attn-backend
--linear-attn-decode-backend --linear-attn-prefill-backend --linear-attn-verify-backend --enable-linear-replayssm
--linear-replayssm-cache-len --enable-linear-replayssm-spec --cuda-graph-config --cuda-graph-backend-decode
--cuda-graph-backend-prefill --cuda-graph-max-bs-decode --cuda-graph-max-bs-prefill --cuda-graph-max-seq-len-prefill
--cuda-graph-bs-decode --cuda-graph-bs-prefill --cuda-graph-prefill-max-context --context-bucket
--disable-prefill-cuda-graph --disable-decode-cuda-graph --disable-cuda-graph-padding --enable-profile-cuda-graph
--enable-cudagraph-gc --debug-cuda-graph --enable-torch-compile --enable-torch-compile-debug-mode
--torch-compile-max-bs --enable-layerwise-nvtx-marker --enable-nccl-nvls --enable-symm-mem --disable-custom-all-reduce
--enable-mscclpp --enable-torch-symm-mem --enable-scattered-sconv --pre-warm-nccl --boundary-reduction
--enable-quant-communications --enforce-disable-flashinfer-allreduce-fusion --flashinfer-allreduce-fusion-backend
--enable-aiter-allreduce-fusion --disable-aiter-allreduce-fusion-in-prefill --disable-aiter-allreduce-fusion-in-decode
--enable-fused-moe-sum-all-reduce --moe-a2a-backend --enable-w4a4-mxfp4-megamoe --deepep-v2-mode --moe-runner-backend
--flashinfer-mxfp4-moe-precision --deepep-mode --fuseep-mode --deepep-dispatcher-output-dtype
--flashinfer-a2a-dispatch-type --ep-num-redundant-experts --ep-dispatch-algorithm --init-expert-location --enable-eplb
--eplb-algorithm --eplb-rebalance-num-iterations --eplb-rebalance-layers-per-chunk
--eplb-min-rebalancing-utilization-threshold --expert-distribution-recorder-mode
--expert-distribution-recorder-buffer-size --expert-balancedness-report-mode --deepep-config --elastic-ep-backend
--enable-elastic-expert-backup --mooncake-ib-device --enable-waterfill --elastic-ep-join-mode
--elastic-ep-scale-timeout --disable-flashinfer-cutlass-moe-fp4-allgather --disable-shared-experts-fusion
--enforce-shared-experts-fusion --enable-paged-experts --paged-experts-num-resident --kt-weight-path --kt-method
--kt-cpuinfer --kt-threadpool-count --kt-num-gpu-experts --kt-max-deferred-experts-per-token
--enable-two-batch-overlap --enable-single-batch-overlap --tbo-token-distribution-threshold --cpu-offload-gb
--offload-group-size --offload-num-in-group --offload-prefetch-step --offload-mode --ple-offload-embedding
--ple-offload-backend --ple-offload-dir --dllm-algorithm --dllm-algorithm-config --dllm-fdfo
--enable-deterministic-inference --rl-on-policy-target --enable-lora --enable-lora-overlap-loading --max-lora-rank
--lora-target-modules --lora-paths --max-loaded-loras --max-loras-per-batch --lora-eviction-policy --lora-backend
--max-lora-chunk-size --experts-shared-outer-loras --lora-use-virtual-experts --lora-strict-loading
--lora-drain-wait-threshold --radix-eviction-policy --radix-eviction-policy-config --disable-radix-cache
--enable-page-major-kv-layout --enable-unified-memory --enable-session-radix-cache --radix-cache-backend
--enable-hierarchical-cache --enable-hicache --hicache-host-memory-mode --hicache-ratio --hicache-size
--hicache-host-memory-fraction --hicache-write-policy --hicache-io-backend --hicache-mem-layout
--hicache-storage-backend --hicache-storage-prefetch-policy --hicache-storage-backend-extra-config
--hicache-storage-prefetch-retry-poll-interval --hicache-storage-prefetch-retry-max-attempts
--enable-unified-cache-external-linker --unified-cache-external-linker-backend --unified-cache-external-linker-config
--enable-linker-mla-dedup --enable-hisparse --hisparse-config --hierarchical-sparse-attention-extra-config
--enable-lmcache --lmcache-config-file --enable-flexkv --flexkv-config-file --enable-multimodal --mm-attention-backend
--enable-broadcast-mm-inputs-process --enable-prefix-mm-cache --mm-enable-dp-encoder --mm-process-config
--mm-processor-worker-num --mm-io-worker-num --allowed-media-domains --media-url-max-file-size-mb
--mm-preprocess-cache-size-mb --trust-mm-content-hashes --limit-mm-data-per-request --enable-mm-global-cache
--image-processor-backend --mm-global-cache-backend --disable-fast-image-processor --mm-feature-transport --model-path
--model --load-format --model-loader-extra-config --trust-remote-code --context-length --is-embedding --revision
--model-impl --model-config-parser --json-model-override-args --dtype --quantization --quantization-param-path
--kv-cache-dtype --qsa-indexer-dtype --modelopt-quant --modelopt-checkpoint-restore-path
--modelopt-checkpoint-save-path --modelopt-export-path --quantize-and-serve --rl-quant-profile
--startup-weight-load-mode --custom-weight-loader --weight-loader-disable-mmap --weight-loader-prefetch-checkpoints
--weight-loader-prefetch-num-threads --weight-loader-drop-cache-after-load
--remote-instance-weight-loader-seed-instance-ip --remote-instance-weight-loader-seed-instance-service-port
--remote-instance-weight-loader-send-weights-group-ports --remote-instance-weight-loader-backend
--remote-instance-weight-loader-start-seed-via-transfer-engine --engine-info-bootstrap-port --modelexpress-config
--download-dir --model-checksum --delete-ckpt-after-loading --decrypted-config-file --decrypted-draft-config-file
--checkpoint-engine-wait-weights-before-ready --weight-cache-mode --weight-cache-socket --weight-cache-timeout
--log-level --log-level-http --log-requests --log-requests-level --log-requests-format --log-requests-target
--uvicorn-access-log-exclude-prefixes --crash-dump-folder --show-time-cost --enable-metrics --smg-http-sidecar-port
--grpc-http-sidecar-port --enable-mfu-metrics --enable-metrics-for-all-schedulers --load-snapshot-publish-interval
--tokenizer-metrics-custom-labels-header --tokenizer-metrics-allowed-custom-labels --extra-metric-labels
--bucket-time-to-first-token --bucket-inter-token-latency --bucket-e2e-request-latency --prompt-tokens-buckets
--generation-tokens-buckets --gc-warning-threshold-secs --decode-log-interval --enable-request-time-stats-logging
--kv-events-config --load-publish-endpoint --enable-forward-pass-metrics --forward-pass-metrics-worker-id
--forward-pass-metrics-ipc-name --enable-trace --trace-modules --otlp-traces-endpoint --otlp-service-name
--export-metrics-to-file --export-metrics-to-file-dir --kv-canary --kv-canary-sweep-interval
--debug-tensor-dump-output-folder --debug-tensor-dump-layers --debug-tensor-dump-input-file --forward-hooks
--msprobe-dump-config --nccl-port --dist-timeout --dist-init-addr --nccl-init-addr --gated-launch-port --nnodes
--node-rank --tp-size --tensor-parallel-size --dcp-size --decode-context-parallel-size --pp-size
--pipeline-parallel-size --pp-max-micro-batch-size --pp-async-batch-depth --dp-size --data-parallel-size
--attn-dp-size --attention-data-parallel-size --load-balance-method --attn-cp-size --attention-context-parallel-size
--moe-dp-size --moe-data-parallel-size --dwdp-size --dcp-comm-backend --dcp-replicate-q-proj --enable-prefill-cp
--cp-strategy --enable-dsa-cache-layer-split --enable-cp-decode-attn-tp --enable-kv-cache-sharding
--enable-dp-attention-local-control-broadcast --enable-dp-lm-head --enable-tp-lm-head-all-to-all
--enable-attn-tp-input-scattered --enable-shared-experts-attn-tp --shared-experts-tp-size --enable-dense-mlp-attn-tp
--enable-layernorm-sp --enable-megamoe-for-layernorm-sp --disable-attn-tp-gather --enable-p2p-check --ep-size
--expert-parallel-size --ep --moe-dense-tp-size --elastic-ep-join-rank-offset --elastic-ep-initial-size --max-ep-size
--mem-fraction-static --max-running-requests --max-queued-requests --max-total-tokens --chunked-prefill-size
--prefill-decode-interval --prefill-decode-interval-min-bs --enable-dynamic-chunking --max-prefill-tokens
--prefill-max-requests --schedule-policy --enable-priority-scheduling --disable-priority-preemption
--default-priority-value --abort-on-priority-when-disabled --schedule-low-priority-values-first
--priority-scheduling-preemption-threshold --retraction-policy --schedule-conservativeness --page-size
--c128-page-size --swa-full-tokens-ratio --swa-prefix-tails --disable-hybrid-swa-memory
--prefill-only-disable-kv-cache --disable-chunked-prefix-cache --disable-overlap-schedule
--num-continuous-decode-steps --scheduler-recv-interval --enable-mixed-chunk --max-mamba-cache-size
--mamba-full-memory-ratio --enable-prefill-delayer --prefill-delayer-max-delay-passes
--prefill-delayer-token-usage-low-watermark --prefill-delayer-forward-passes-buckets
--prefill-delayer-wait-seconds-buckets --prefill-delayer-queue-min-ratio --prefill-delayer-max-delay-ms
--min-free-slots-delay --enable-response-store --tokenizer-path --tokenizer-mode --tokenizer-backend
--tokenizer-worker-num --detokenizer-worker-num --skip-tokenizer-init --host --port --fastapi-root-path
--enable-http-worker-reuseport --smg-grpc-mode --grpc-mode --grpc-port --grpc-response-timeout-secs --sidecar
--sidecar-args --skip-server-warmup --warmups --enable-http2 --http2-max-concurrent-streams
--http2-initial-connection-window-size --ssl-keyfile --ssl-certfile --ssl-ca-certs --ssl-keyfile-password
--enable-ssl-refresh --api-key --admin-api-key --served-model-name --weight-version --chat-template
--trust-request-chat-template --hf-chat-template-name --completion-template --file-storage-path --enable-cache-report
--return-input-ids --return-output-ids --default-chat-template-kwargs --strip-thinking-cache --enable-strict-thinking
--tool-server --sampling-defaults --asr-max-buffer-seconds --asr-max-concurrent-sessions --preferred-sampling-params
--allow-auto-truncate --stream-interval --batch-notify-size --stream-response-default-include-usage
--incremental-streaming-output --enable-streaming-session --constrained-json-whitespace-pattern
--constrained-json-disable-any-whitespace --constrained-json-max-whitespace-cnt --enable-dynamic-batch-tokenizer
--dynamic-batch-tokenizer-batch-size --dynamic-batch-tokenizer-batch-timeout --enable-tokenizer-batch-encode
--disable-tokenizer-batch-decode --speculative-algorithm --uno-lora-path --speculative-draft-model-path
--speculative-draft-model --speculative-draft-model-revision --speculative-draft-load-format --speculative-num-steps
--speculative-eagle-topk --speculative-num-draft-tokens --speculative-dflash-block-size
--speculative-domino-candidate-pool-size --speculative-dspark-block-size --speculative-dspark-sps-table-path
--speculative-dspark-confidence-sts-path --speculative-dspark-align-verify-tokens-to-graph-tier
--speculative-accept-threshold-single --speculative-accept-threshold-acc --speculative-use-rejection-sampling
--speculative-use-block-verification --speculative-token-map --speculative-attention-mode
--speculative-draft-attention-backend --speculative-dsa-topk-backend --speculative-draft-kv-cache-dtype
--speculative-draft-window-size --speculative-draft-sink-size --speculative-moe-runner-backend
--speculative-moe-a2a-backend --speculative-enable-w4a4-mxfp4-megamoe --speculative-draft-model-quantization
--enable-multi-layer-eagle --speculative-adaptive --speculative-adaptive-config --spec-trace-dir
--speculative-ngram-min-bfs-breadth --speculative-ngram-max-bfs-breadth --speculative-ngram-match-type
--speculative-ngram-max-trie-depth --speculative-ngram-capacity --speculative-ngram-external-corpus-path
--speculative-ngram-external-sam-budget --speculative-ngram-external-corpus-max-tokens
"""

TENSORRT_LLM_TEXT = """
--tokenizer --custom_tokenizer --host --port --backend --custom_module_dirs --log_level --max_beam_width
--max_batch_size --max_num_tokens --max_seq_len --tensor_parallel_size --tp_size --pipeline_parallel_size --pp_size
--context_parallel_size --cp_size --moe_expert_parallel_size --ep_size --moe_cluster_parallel_size --cluster_size
--gpus_per_node --free_gpu_memory_fraction --kv_cache_free_gpu_memory_fraction --num_postprocess_workers
--trust_remote_code --revision --config --extra_llm_api_options --reasoning_parser --tool_parser
--metadata_server_config_file --server_role --fail_fast_on_attention_window_too_large --otlp_traces_endpoint
--disagg_cluster_uri --enable_chunked_prefill --media_io_kwargs --chat_template --served_model_name --set
"""

TEI_TEXT = """
--model-id --revision --tokenization-workers --dtype --served-model-name --pooling --max-concurrent-requests
--max-batch-tokens --max-batch-requests --max-client-batch-size --auto-truncate --default-prompt-name
--default-prompt --dense-path --hf-api-token --hf-token --hostname --port --uds-path --huggingface-hub-cache
--payload-limit --api-key --json-output --disable-spans --otlp-endpoint --otlp-service-name --prometheus-port
--cors-allow-origin
"""

BENTOML_TEXT = """
--development --production --port --host --api-workers --timeout --backlog --reload --working-dir --ssl-certfile
--ssl-keyfile --ssl-keyfile-password --ssl-version --ssl-cert-reqs --ssl-ca-certs --ssl-ciphers --timeout-keep-alive
--timeout-graceful-shutdown --arg --arg-file --env
"""

SGLANG, TENSORRT_LLM, TEI, BENTOML = (text.split() for text in (SGLANG_TEXT, TENSORRT_LLM_TEXT, TEI_TEXT, BENTOML_TEXT))
SWITCHES = {
    "--trust_remote_code",
    "--fail_fast_on_attention_window_too_large",
    "--enable_chunked_prefill",
    "--development",
    "--production",
    "--reload",
    "--json-output",
    "--disable-spans",
}


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def argparse_takes(flags: Sequence[str]) -> Callable[[Sequence[str]], set[str]]:
    """As Python's argparse reads: beginnings of a flag count, words that look like flags are no values."""
    parser = Parser(add_help=False)
    for flag in flags:
        # Everything may have values or none: whether a value is missing is not what is asked here.
        parser.add_argument(flag, dest=flag, nargs="*", action="append")

    def takes(args: Sequence[str]) -> set[str]:
        found, _ = parser.parse_known_args(list(args))
        return {name for name, value in vars(found).items() if value is not None}

    return takes


def click_takes(flags: Sequence[str]) -> Callable[[Sequence[str]], set[str]]:
    """As click reads: flags in full, and the word after one is its value, whatever it is."""
    options = [
        click.Option([f"--{flag[2:]}", f"v{index}"], is_flag=flag in SWITCHES, multiple=flag not in SWITCHES)
        for index, flag in enumerate(flags)
    ]
    command = click.Command("serve", params=[*options, click.Argument(["rest"], nargs=-1)], add_help_option=False)

    def takes(args: Sequence[str]) -> set[str]:
        try:
            with command.make_context("serve", list(args)) as context:
                return {flags[int(name[1:])] for name, value in context.params.items() if name != "rest" and value}
        except click.ClickException as refused:
            raise ValueError(str(refused)) from refused

    return takes


def clap_takes(flags: Sequence[str]) -> Callable[[Sequence[str]], set[str]]:
    """As Rust's clap reads: flags in full, of which each may stand once and want a value that is no flag."""

    def takes(args: Sequence[str]) -> set[str]:
        found: list[str] = []
        for word in args:
            name = word.partition("=")[0]
            if word.startswith("-"):
                found.append(name)
            elif not found:
                raise ValueError(word)
        if unknown := [name for name in found if name not in flags]:
            raise ValueError(f"unexpected argument {unknown[0]}")
        return set(found)

    return takes


SGLANG_TAKES = argparse_takes(SGLANG)
TENSORRT_LLM_TAKES = click_takes(TENSORRT_LLM)
TEI_TAKES = clap_takes(TEI)
BENTOML_TAKES = click_takes(BENTOML)
