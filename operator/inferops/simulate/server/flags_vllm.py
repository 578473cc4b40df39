"""Flags of `vllm serve` that the simulated engine accepts and that change nothing in it."""

from __future__ import annotations

_VALUES = """
additional-config all2all-backend allowed-headers allowed-local-media-path allowed-media-domains allowed-methods
allowed-origins api-server-count attention-backend chat-template chat-template-content-format code-revision
collect-detailed-traces compilation-config config config-format convert cp-kv-cache-interleave-size cpu-offload-gb
data-parallel-address data-parallel-backend data-parallel-rank data-parallel-rpc-port data-parallel-size
data-parallel-size-local data-parallel-start-rank decode-context-parallel-size default-mm-loras
distributed-executor-backend download-dir ec-transfer-config eplb-config expert-placement-strategy generation-config
h11-max-header-count h11-max-incomplete-event-size hf-config-path hf-overrides hf-token io-processor-plugin
kv-cache-memory-bytes kv-cache-metrics-sample kv-events-config kv-offloading-backend kv-offloading-size
kv-transfer-config limit-mm-per-prompt load-format log-config-file logits-processor-pattern logprobs-mode
long-prefill-token-threshold lora-dtype mamba-block-size mamba-cache-dtype mamba-ssm-cache-dtype master-addr
master-port max-cpu-loras max-log-len max-logprobs max-long-partial-prefills max-lora-rank max-loras
max-num-partial-prefills max-parallel-loading-workers media-io-kwargs middleware mm-encoder-tp-mode
mm-processor-cache-gb mm-processor-kwargs model-impl model-loader-extra-config model-tag node-rank
num-gpu-blocks-override otlp-traces-endpoint override-generation-config override-pooler-config pooler-config
prefill-context-parallel-size prefix-cache-retention-interval prefix-caching-hash-algo profiler-config
pt-load-map-location reasoning-parser reasoning-parser-plugin response-role root-path rope-scaling rope-theta runner
safetensors-load-strategy scheduler-cls scheduling-policy seed show-hidden-metrics-for-version speculative-config
ssl-ca-certs ssl-cert-reqs ssl-certfile ssl-keyfile stream-interval structured-outputs-config swap-space task
tokenizer tokenizer-mode tokenizer-revision tool-call-parser tool-parser-plugin tool-server uds uvicorn-log-level
weight-transfer-config worker-cls worker-extension-cls
"""
_LISTS = "ignore-patterns logits-processors"
_SWITCHES = """
allow-credentials async-scheduling calculate-kv-scales data-parallel-external-lb data-parallel-hybrid-lb
disable-access-log-for-endpoints disable-cascade-attn disable-custom-all-reduce disable-fastapi-docs
disable-hybrid-kv-cache-manager disable-log-stats disable-sliding-window disable-uvicorn-access-log
enable-auto-tool-choice enable-chunked-prefill enable-dbo enable-eplb enable-expert-parallel
enable-force-include-usage enable-log-outputs enable-log-requests enable-lora enable-mfu-metrics enable-mm-embeds
enable-prompt-embeds enable-prompt-tokens-details enable-request-id-headers enable-return-routed-experts
enable-server-load-tracking enable-sleep-mode enable-ssl-refresh enable-tokenizer-info-endpoint enforce-eager
fully-sharded-loras grpc interleave-mm-strings kv-cache-metrics kv-sharing-fast-prefill language-model-only
return-tokens-as-token-ids scheduler-reserve-full-isl skip-mm-profiling skip-tokenizer-init trust-remote-code
trust-request-chat-template use-tqdm-on-load
"""

VALUES = tuple(_VALUES.split())  # with one value
LISTS = tuple(_LISTS.split())  # with one value or more
SWITCHES = tuple(_SWITCHES.split())  # on or off; each has a form that begins with --no-
