"""What servers expose of which no output is on file: metric names and types, as their sources declare them."""

from __future__ import annotations

EXPOSED: dict[str, dict[str, str]] = {
    "sglang": {  # 0.5.23, metrics_collector.py
        "sglang:num_running_reqs": "gauge",
        "sglang:num_queue_reqs": "gauge",
        "sglang:token_usage": "gauge",
        "sglang:time_to_first_token_seconds": "histogram",
        "sglang:request_time_per_output_token_seconds": "histogram",
        "sglang:inter_token_latency_seconds": "histogram",
        "sglang:e2e_request_latency_seconds": "histogram",
        "sglang:queue_time_seconds": "histogram",
        "sglang:num_requests_total": "counter",
        "sglang:num_aborted_requests_total": "counter",
        "sglang:prompt_tokens_total": "counter",
        "sglang:generation_tokens_total": "counter",
    },
    "tensorrt-llm": {  # 1.3, metrics/collector.py
        "trtllm_num_requests_running": "gauge",
        "trtllm_num_requests_waiting": "gauge",
        "trtllm_kv_cache_utilization": "gauge",
        "trtllm_time_to_first_token_seconds": "histogram",
        "trtllm_time_per_output_token_seconds": "histogram",
        "trtllm_e2e_request_latency_seconds": "histogram",
        "trtllm_request_queue_time_seconds": "histogram",
        "trtllm_request_success_total": "counter",
        "trtllm_request_error_total": "counter",
        "trtllm_prompt_tokens_total": "counter",
        "trtllm_generation_tokens_total": "counter",
    },
    "text-embeddings-inference": {  # 1.9, core/src/queue.rs and router/src
        "te_queue_size": "gauge",
        "te_request_duration": "histogram",
        "te_request_queue_duration": "histogram",
        "te_request_success": "counter",
        "te_request_failure": "counter",
    },
    "bentoml": {  # 1.4, server/http/instruments.py
        "bentoml_service_request_in_progress": "gauge",
        "bentoml_service_request_duration_seconds": "histogram",
        "bentoml_service_request_total": "counter",
    },
}
