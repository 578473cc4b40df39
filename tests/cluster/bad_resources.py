"""Resources that must be refused, by pydantic and by the API server alike.

Each is a good one with one change, and names the field and the part of the remedy that both refusals hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.bad_gates import GATES
from cluster.bad_scaling import SCALING
from cluster.bad_traffic import TRAFFIC
from cluster.good_resources import ACCELERATOR_KIND, CLUSTER_KIND, GONE, RUNTIME_KIND, SERVICE_KIND, resource


@dataclass(frozen=True)
class Bad:
    """A bad resource: both refusals name `field` and hold `remedy`."""

    case: str
    kind: str
    changes: Mapping[str, Any]
    field: str
    remedy: str

    @property
    def resource(self) -> dict[str, Any]:
        return resource(self.kind, re.sub("[^a-z0-9]+", "-", self.case.lower()), self.changes)


def _service(case: str, field: str, value: Any, remedy: str) -> Bad:
    return Bad(case, SERVICE_KIND, {field: value}, field, remedy)


A, B = "nvidia-h200", "nvidia-h100-80gb"

BAD: tuple[Bad, ...] = (
    _service("no model", "spec.model", GONE, "equired"),
    Bad("no uri", SERVICE_KIND, {"spec.model": {"name": "x"}}, "spec.model.uri", "equired"),
    _service("uri without a scheme", "spec.model.uri", "Qwen/Qwen3-8B", "must be hf://ORG/MODEL, s3://BUCKET/PATH"),
    _service("uri of the web", "spec.model.uri", "https://example.com/model", "must be hf://ORG/MODEL"),
    _service("uri with an option", "spec.model.uri", "s3://models/llama?region=eu", "must be hf://ORG/MODEL"),
    _service("uri with a line break", "spec.model.uri", "hf://Qwen/Qwen3-8B\n", "must be hf://ORG/MODEL"),
    Bad(
        "uri out of its folder",
        SERVICE_KIND,
        {"spec.model.uri": "pvc://claim/a/../../etc"},
        "spec.model.uri",
        "name the folder itself",
    ),
    _service("uri too long", "spec.model.uri", "s3://models/" + "a" * 512, "512"),
    Bad(
        "revision of a folder",
        SERVICE_KIND,
        {"spec.model.uri": "s3://models/llama", "spec.model.revision": "main"},
        "spec.model.revision",
        "only an hf:// model has revisions",
    ),
    _service("revision with a blank", "spec.model.revision", "my branch", "must be a commit, branch or tag"),
    _service("config without a name", "spec.model.config", {"key": "config.json"}, "equired"),
    _service("config with a path", "spec.model.config", {"name": "shapes", "key": "a/b.json"}, "a key of a ConfigMap"),
    _service("unknown quantization", "spec.model.quantization", "int3", "nvfp4"),
    _service("context of nothing", "spec.model.maxModelLen", 0, "greater than or equal to 1"),
    _service("context as a word", "spec.model.maxModelLen", "16k", "integer"),
    _service("secret by a path", "spec.model.credentialsSecret", "../hf-token", "must be an object's name"),
    _service("model name with a blank", "spec.model.name", "my model", "must be a model's name"),
    _service("adapter without a uri", "spec.model.adapters", [{"name": "sql"}], "equired"),
    _service(
        "adapter of the web", "spec.model.adapters", [{"name": "sql", "uri": "https://a/b"}], "must be hf://ORG/MODEL"
    ),
    _service(
        "adapter out of its folder",
        "spec.model.adapters",
        [{"name": "sql", "uri": "pvc://a/../b"}],
        "name the folder itself",
    ),
    _service(
        "adapter with a blank", "spec.model.adapters", [{"name": "my sql", "uri": "hf://a/b"}], "must be a model's name"
    ),
    _service(
        "adapter of no rank",
        "spec.model.adapters",
        [{"name": "sql", "uri": "hf://a/b", "rank": 0}],
        "greater than or equal to 1",
    ),
    _service(
        "two adapters of one name",
        "spec.model.adapters",
        [{"name": "sql", "uri": "hf://a/b"}, {"name": "sql", "uri": "hf://a/c"}],
        "Duplicate value",
    ),
    _service(
        "too many adapters",
        "spec.model.adapters",
        [{"name": f"a{number}", "uri": "hf://a/b"} for number in range(33)],
        "32",
    ),
    Bad(
        "adapter with the model's name",
        SERVICE_KIND,
        {"spec.model.name": "sql", "spec.model.adapters": [{"name": "sql", "uri": "hf://a/b"}]},
        "spec.model.adapters",
        "an adapter has the model's own name; rename one of them",
    ),
    _service(
        "adapter-with-the-services-name",
        "spec.model.adapters",
        [{"name": "adapter-with-the-services-name", "uri": "hf://a/b"}],
        "an adapter has the name of the service, which is the model's own; rename it or set model.name",
    ),
    Bad(
        "two words in one argument",
        SERVICE_KIND,
        {"spec.runtime.args": ["--max-num-seqs 64"]},
        "spec.runtime.args[0]",
        "must be one word: write '--max-num-seqs', '64'",
    ),
    Bad(
        "env without a value",
        SERVICE_KIND,
        {"spec.runtime.env": [{"name": "A"}]},
        "spec.runtime.env[0]",
        "give exactly one of value and valueFromSecret",
    ),
    Bad(
        "env given twice",
        SERVICE_KIND,
        {"spec.runtime.env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        "spec.runtime.env",
        "Duplicate value",
    ),
    Bad(
        "env with a dash",
        SERVICE_KIND,
        {"spec.runtime.env": [{"name": "LOG-LEVEL", "value": "1"}]},
        "spec.runtime.env[0].name",
        "must be a variable's name",
    ),
    _service("memory without a unit", "spec.runtime.resources.memory", "64", "with its unit, for example 64Gi"),
    _service("memory in gigabytes", "spec.runtime.resources.memory", "64GB", "with its unit, for example 64Gi"),
    _service("cpu in words", "spec.runtime.resources.cpu", "8 cores", "must be a number of CPUs"),
    _service("cpu below nothing", "spec.runtime.resources.cpu", -1, "must be a number of CPUs"),
    Bad(
        "accelerator by its product",
        SERVICE_KIND,
        {"spec.accelerators": [{"type": "NVIDIA H100"}]},
        "spec.accelerators[0].type",
        "must be an object's name: lower-case letters",
    ),
    Bad(
        "no accelerators in a replica",
        SERVICE_KIND,
        {"spec.accelerators": [{"type": A, "count": 0}]},
        "spec.accelerators[0].count",
        "greater than or equal to 1",
    ),
    Bad(
        "uneven shares of a replica",
        SERVICE_KIND,
        {"spec.accelerators": [{"type": A, "count": 8}, {"type": A, "count": 16, "nodes": 3}]},
        "spec.accelerators[1].nodes",
        "must divide count",
    ),
    Bad(
        "the same accelerators twice",
        SERVICE_KIND,
        {"spec.accelerators": [{"type": A}, {"type": A, "count": 1}]},
        "spec.accelerators",
        "the same choice stands twice; remove one of them",
    ),
    _service(
        "too many accelerators", "spec.accelerators", [{"type": B, "count": n + 1} for n in range(9)], "at most 8"
    ),
    _service("ttft without a unit", "spec.slo.ttft", "800", "must be a duration, for example 800ms"),
    _service("ttft as a number", "spec.slo.ttft", 800, "string"),
    _service("ttft of a fraction", "spec.slo.ttft", "0.8s", "must be a duration, for example 800ms"),
    _service("tpot of nothing", "spec.slo.tpot", "0ms", "must be longer than 0"),
    _service("error rate in percent", "spec.slo.errorRate", 5, "less than or equal to 1"),
    Bad(
        "steps that go down",
        SERVICE_KIND,
        {"spec.rollout.steps": [{"weight": 50}, {"weight": 5}]},
        "spec.rollout.steps",
        "weights must increase from step to step; sort them",
    ),
    Bad(
        "steps that stand still",
        SERVICE_KIND,
        {"spec.rollout.steps": [{"weight": 5}, {"weight": 5}]},
        "spec.rollout.steps",
        "weights must increase",
    ),
    Bad(
        "a step of all traffic",
        SERVICE_KIND,
        {"spec.rollout.steps": [{"weight": 100}]},
        "spec.rollout.steps[0].weight",
        "less than or equal to 99",
    ),
    _service("analysis without metrics", "spec.rollout.analysis.metrics", [], "at least 1 item"),
    Bad(
        "an unknown metric",
        SERVICE_KIND,
        {"spec.rollout.analysis.metrics": ["itl"]},
        "spec.rollout.analysis.metrics[0]",
        "errorRate",
    ),
    _service("a metric twice", "spec.rollout.analysis.metrics", ["ttft", "ttft"], "Duplicate value"),
    _service("alpha of nothing", "spec.rollout.analysis.alpha", 0, "greater than 0"),
    _service("an unknown strategy", "spec.rollout.strategy", "canary", "surge"),
    Bad(
        "several clusters of one",
        SERVICE_KIND,
        {"spec.placement.minClusters": 2},
        "spec.placement.minClusters",
        "needs placement.clusters",
    ),
    Bad(
        "a cluster in two waves",
        SERVICE_KIND,
        {"spec.rollout.clusters": {"waves": [["eu", "us"], ["ap", "eu"]]}},
        "spec.rollout.clusters.waves",
        "a cluster stands in two waves; keep its name in one of them",
    ),
    Bad(
        "a cluster twice in a wave",
        SERVICE_KIND,
        {"spec.rollout.clusters": {"waves": [["eu", "eu"]]}},
        "spec.rollout.clusters.waves[0]",
        "Duplicate value",
    ),
    Bad(
        "a wave without clusters",
        SERVICE_KIND,
        {"spec.rollout.clusters": {"waves": [["eu"], []]}},
        "spec.rollout.clusters.waves[1]",
        "at least 1 item",
    ),
    Bad(
        "no waves",
        SERVICE_KIND,
        {"spec.rollout.clusters": {"waves": []}},
        "spec.rollout.clusters.waves",
        "at least 1 item",
    ),
    Bad(
        "In without values",
        SERVICE_KIND,
        {"spec.placement.clusters": {"matchExpressions": [{"key": "tier", "operator": "In"}]}},
        "spec.placement.clusters.matchExpressions[0].values",
        "In and NotIn need at least one value",
    ),
    *(Bad(case, SERVICE_KIND, *told) for case, *told in (*SCALING, *TRAFFIC, *GATES)),
    Bad("a name too long", SERVICE_KIND, {"metadata.name": "a" * 51}, "metadata.name", "at most 50 characters"),
    Bad("a name from a digit", SERVICE_KIND, {"metadata.name": "7b"}, "metadata.name", "a letter at its start"),
    Bad("a name with a dot", SERVICE_KIND, {"metadata.name": "llama-3.3"}, "metadata.name", "digits and '-'"),
    Bad("an unknown engine", RUNTIME_KIND, {"spec.engine": "tgi"}, "spec.engine", "triton"),
    Bad(
        "the tag latest",
        RUNTIME_KIND,
        {"spec.image": "vllm/vllm-openai:latest"},
        "spec.image",
        "name a version or a digest",
    ),
    Bad("an image with a scheme", RUNTIME_KIND, {"spec.image": "docker:// x"}, "spec.image", "must be an image"),
    Bad(
        "a bare flag", RUNTIME_KIND, {"spec.userArgs.deny": ["max"]}, "spec.userArgs.deny[0]", "must be a flag such as"
    ),
    Bad("a size without a unit", RUNTIME_KIND, {"spec.sharedMemory": "16"}, "spec.sharedMemory", "for example 64Gi"),
    Bad("the user root", RUNTIME_KIND, {"spec.runAsUser": 0}, "spec.runAsUser", "greater than or equal to 1"),
    Bad("no labels of nodes", ACCELERATOR_KIND, {"spec.nodeLabels": []}, "spec.nodeLabels", "at least 1 item"),
    Bad("no memory", ACCELERATOR_KIND, {"spec.memoryGiB": 0}, "spec.memoryGiB", "greater than 0"),
    Bad("a bare resource", ACCELERATOR_KIND, {"spec.resourceName": "gpu"}, "spec.resourceName", "nvidia.com/gpu"),
    Bad("a price of some day", ACCELERATOR_KIND, {"spec.price.date": "Nov 2025"}, "spec.price.date", "YYYY-MM-DD"),
    Bad(
        "two ways to a cluster",
        CLUSTER_KIND,
        {"spec.access": {"hub": True, "clusterProfile": {"name": "eu-1"}}},
        "spec.access",
        "give exactly one of kubeconfigSecret, clusterProfile",
    ),
    Bad("no way to a cluster", CLUSTER_KIND, {"spec.access": {}}, "spec.access", "give exactly one of"),
    Bad(
        "a price twice",
        CLUSTER_KIND,
        {"spec.prices": [{"accelerator": A, "usdPerHour": 1}, {"accelerator": A, "usdPerHour": 2}]},
        "spec.prices",
        "Duplicate value",
    ),
    Bad(
        "growth of an accelerator twice",
        CLUSTER_KIND,
        {"spec.growth": [{"accelerator": A, "maxNodes": each, "acceleratorsPerNode": 8} for each in (2, 4)]},
        "spec.growth",
        "add up maxNodes",
    ),
    Bad("a region in words", CLUSTER_KIND, {"spec.region": "EU West"}, "spec.region", "must be a label's value"),
    Bad(
        "a namespace by pattern", CLUSTER_KIND, {"spec.namespaces": ["team-*"]}, "spec.namespaces[0]", "must be a name"
    ),
    Bad(
        "accelerator without arithmetic",
        ACCELERATOR_KIND,
        {"spec.tflops": {}},
        "spec.tflops.bf16",
        "at least one precision is needed",
    ),
)
