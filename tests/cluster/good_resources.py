"""Resources that must be accepted, by pydantic and by the API server alike, and the means to make others of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

GONE = object()  # as a value of a change: the field is taken away

MINIMAL = """
apiVersion: serving.inferops.dev/v1alpha1
kind: InferenceService
metadata: {name: minimal}
spec:
  model:
    uri: hf://Qwen/Qwen3-8B
"""
FULL = """
apiVersion: serving.inferops.dev/v1alpha1
kind: InferenceService
metadata: {name: llama-70b}
spec:
  model:
    uri: hf://meta-llama/Llama-3.3-70B-Instruct
    revision: 6f6073b
    quantization: fp8
    maxModelLen: 16384
    credentialsSecret: hf-token
    config: {name: llama-shapes, key: llama-70b.json}
    adapters:
    - {name: sql, uri: hf://example/llama-70b-sql, rank: 64}
    - {name: legal/v2, uri: pvc://adapters/legal/v2/}
  runtime:
    name: vllm
    args: ["--enable-prefix-caching"]
    env:
    - {name: VLLM_LOGGING_LEVEL, value: INFO}
    - {name: API_KEY, valueFromSecret: {name: llama-keys, key: api.key}}
    resources: {cpu: "16", memory: 128Gi}
  accelerators:
  - {type: nvidia-h100-80gb, count: 4}
  - {type: nvidia-h200, count: 2, spot: true}
  slo: {ttft: 800ms, tpot: 50ms, errorRate: 0.001}
  scaling: {minReplicas: 1, maxReplicas: 20, queueDepth: 4, scaleToZeroAfter: 10m}
  rollout:
    strategy: auto
    steps: [{weight: 5, minDuration: 2m}, {weight: 25, minDuration: 5m}, {weight: 50, minDuration: 5m}]
    analysis: {metrics: [errorRate, ttft, tpot], alpha: 0.01, margin: 0.05, onNoData: Hold}
    clusters: {waves: [[canary-eu], [eu-1, us-1]], bake: 1h}
    retainPrevious: 24h
  placement:
    clusters:
      matchLabels: {tier: prod}
      matchExpressions: [{key: example.com/region, operator: In, values: [eu, us]}]
    minClusters: 2
  traffic:
    hostnames: [llama.example.com, "*.models.example.com"]
    gatewayRef: {name: public, namespace: gateways, sectionName: https}
    matchModelName: true
    queueTimeout: 30s
    maxQueue: 500
    maxConcurrency: 64
    requestTimeout: 90m
    sessionHeader: X-Session-Id
    spillover:
    - {name: eu-1, url: "https://gateway.eu.example.com"}
    - {name: us-1, url: "http://[2001:db8::1]:8080"}
    access:
      apiKeysSecret: llama-keys
      requestsPerMinute: 60
      clients: [{name: batch, requestsPerMinute: 600, tokensPerMinute: 5000000}]
"""
RUNTIME = """
apiVersion: serving.inferops.dev/v1alpha1
kind: ServingRuntime
metadata: {name: vllm-ours}
spec:
  engine: vllm
  image: example.com/team/vllm:v0.32.0@sha256:0000000000000000000000000000000000000000000000000000000000000000
  imagePullSecrets: [pull]
  command: ["vllm", "serve"]
  args: ["--max-num-seqs", "64", "--compilation-config={\\"level\\": 3}"]
  userArgs: {allow: ["--max-*", "--enable-prefix-caching"], deny: ["--max-log-len"]}
  probes: {startup: {periodSeconds: 20}}
  drain: {timeoutSeconds: 300}
  resources: {cpu: 500m}
  podLabels: {team: chat}
  priorityClassName: serving
"""
ACCELERATOR = """
apiVersion: serving.inferops.dev/v1alpha1
kind: Accelerator
metadata: {name: nvidia-h100-mig-1g.10gb}
spec:
  nodeLabels:
  - {key: nvidia.com/gpu.product, values: [NVIDIA-H100-80GB-HBM3-MIG-1g.10gb]}
  resourceName: nvidia.com/mig-1g.10gb
  slice: true
  memoryGiB: 9.75
  bandwidthGBps: 420
  tflops: {bf16: 141, fp8: 282}
  price: {usdPerHour: 0.5, date: "2025-11-03"}
"""
CLUSTER = """
apiVersion: serving.inferops.dev/v1alpha1
kind: InferenceCluster
metadata: {name: eu-1, labels: {tier: prod}}
spec:
  access: {kubeconfigSecret: {name: eu-1, key: kubeconfig}}
  region: eu-west-1
  prices: [{accelerator: nvidia-h200, usdPerHour: 3.5, spotUsdPerHour: 1.2}]
  namespaces: [chat, search]
  growth:
    - {accelerator: nvidia-h200, maxNodes: 16, acceleratorsPerNode: 8}
    - {accelerator: nvidia-h200, spot: true, maxNodes: 16, acceleratorsPerNode: 8, provisioning: 5m}
  tolerations: [{key: dedicated, operator: Equal, value: inference, effect: NoSchedule}]
"""
SOURCES = (
    "s3://models/llama/3.3",
    "gs://models.example.com/llama_3=3/",
    "pvc://claim-1/models/llama",
    "pvc://claim-1",
    "oci://registry.example.com:5000/models/llama:3.3",
    "oci://example.com/llama@sha256:" + "0" * 64,
)

OFFICE = {"name": "office", "cron": "0 8 * * MON-FRI", "duration": "10h", "timeZone": "Europe/Berlin", "minReplicas": 4}
SALE = {
    "cron": "*/30 0,12 1-7 JAN,JUN 5L",
    "duration": "1h30m",
    "timeZone": "America/Argentina/Buenos_Aires",
    "minReplicas": 0,
}
SCALING = {
    "scheduled": {"mode": "schedule", "schedule": [OFFICE, SALE]},
    "scheduled-beside-demand": {"maxReplicas": 4, "schedule": [OFFICE]},
    "limited": {
        "maxReplicas": 20,
        "scaleUp": {"replicas": 4, "percent": 100, "period": "30s"},
        "scaleDown": {"limit": {"replicas": 1}, "after": "10m"},
    },
    "slow-to-shrink": {"maxReplicas": 20, "scaleUp": {"percent": 50}, "scaleDown": {"after": "0s"}},
    "by-queue": {"mode": "queueDepth", "maxReplicas": 8, "queueDepth": 2},
    "others-scale-it": {"mode": "external", "replicas": 3, "maxReplicas": 8},
}

SERVICE_KIND = "InferenceService"
RUNTIME_KIND = "ServingRuntime"
ACCELERATOR_KIND = "Accelerator"
CLUSTER_KIND = "InferenceCluster"
_BASES: dict[str, dict[str, Any]] = {
    SERVICE_KIND: yaml.safe_load(MINIMAL),
    RUNTIME_KIND: yaml.safe_load(RUNTIME),
    ACCELERATOR_KIND: yaml.safe_load(ACCELERATOR),
    CLUSTER_KIND: yaml.safe_load(CLUSTER),
}


def resource(kind: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A good resource of `kind` with the name `name` and each dotted path of `changes` set to its value."""
    made = copy.deepcopy(_BASES[kind])
    for path, value in {"metadata.name": name, **changes}.items():
        *way, last = path.split(".")
        place = made
        for step in way:
            place = place.setdefault(step, {})
        if value is GONE:
            del place[last]
        else:
            place[last] = value
    return made


GOOD: tuple[dict[str, Any], ...] = (
    *(yaml.safe_load(text) for text in (MINIMAL, FULL, RUNTIME, ACCELERATOR, CLUSTER)),
    *(resource(SERVICE_KIND, f"source-{n}", {"spec.model.uri": uri}) for n, uri in enumerate(SOURCES)),
    resource(SERVICE_KIND, "cpu-as-a-number", {"spec.runtime.resources": {"cpu": 8}}),
    resource(SERVICE_KIND, "nulls-are-left-out", {"spec.slo": None, "spec.model.revision": None}),
    resource(SERVICE_KIND, "no-canary", {"spec.rollout.steps": []}),
    resource(SERVICE_KIND, "a" * 50, {}),
    resource(SERVICE_KIND, "no-waiting", {"spec.traffic": {"maxQueue": 0, "queueTimeout": "0s"}}),
    # No cluster is named, so the built-in gateway passes nothing on.
    resource(SERVICE_KIND, "a-picker", {"spec.traffic": {"endpointPicker": {"name": "picker"}, "spillover": []}}),
    resource(SERVICE_KIND, "exported", {"spec.traffic": {"export": True}, "spec.tolerations": [{"key": "reserved"}]}),
    *(resource(SERVICE_KIND, name, {"spec.scaling": scaling}) for name, scaling in SCALING.items()),
    resource(
        SERVICE_KIND,
        "by-latency",
        {"spec.scaling": {"mode": "latency", "maxReplicas": 8}, "spec.slo": {"tpot": "50ms", "attainment": 0.995}},
    ),
    resource(RUNTIME_KIND, "only-the-engine", {"spec": {"engine": "triton"}}),
    resource(CLUSTER_KIND, "the-hub", {"spec": {"access": {"hub": True}}}),
)
