"""What is valid and not acted on is told field by field, and of a short spec nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.traffic import GatewayRef
from inferops.core.notacted import LATER, TRAFFIC, not_acted_on
from unit.core.building import seen, service

EXAMPLE: dict[str, Any] = {  # as in the design: everything that a service can say
    "model": {"uri": "hf://meta-llama/Llama-3.3-70B-Instruct", "revision": "6f6073b", "quantization": "fp8"},
    "runtime": {"name": "vllm", "args": ["--enable-prefix-caching"]},
    "accelerators": [{"type": "nvidia-h100-80gb", "count": 4}, {"type": "nvidia-h200", "count": 2, "spot": True}],
    "slo": {"ttft": "800ms", "tpot": "50ms", "errorRate": 0.001},
    "scaling": {"minReplicas": 1, "maxReplicas": 20, "queueDepth": 4, "scaleToZeroAfter": "10m"},
    "rollout": {
        "strategy": "auto",
        "steps": [{"weight": 5, "minDuration": "2m"}, {"weight": 50, "minDuration": "5m"}],
        "analysis": {"metrics": ["errorRate"], "alpha": 0.01, "margin": 0.05, "onNoData": "Hold"},
        "retainPrevious": "24h",
    },
    "placement": {"clusters": {"matchLabels": {"tier": "prod"}}, "minClusters": 2},
    "traffic": {"hostnames": ["llama.example.com"], "queueTimeout": "30s", "maxQueue": 500},
}


def fields(*, held: bool = False, default: GatewayRef | None = None, **spec: Any) -> list[str]:
    world = seen(service(**spec), gateways=("10.0.0.1:8080",) if held else (), default_gateway=default)
    return [told.field for told in not_acted_on(world)]


HOSTS = {"hostnames": ["a.example.com"], "requestTimeout": "5m"}
HELD = {"queueTimeout": "5s", "maxQueue": 9, "maxConcurrency": 4, "sessionHeader": "X-Session-Id"}
KEYS = {"access": {"apiKeysSecret": "keys"}}
NAMED = {"gatewayRef": {"name": "public"}}


def of_traffic(*names: str) -> list[str]:
    return [f"spec.traffic.{name}" for name in names]


@pytest.mark.parametrize(
    ("case", "traffic", "there", "told"),
    [
        ("hosts lead nowhere", HOSTS, {}, of_traffic("hostnames", "requestTimeout")),
        ("hosts by the built-in gateway", HOSTS, {"held": True}, []),
        ("hosts by a Gateway", {**HOSTS, **NAMED}, {}, []),
        ("hosts by the operator's", HOSTS, {"default": GatewayRef(name="public", namespace="infra")}, []),
        ("nobody queues", HELD, {}, of_traffic(*HELD)),
        ("a Gateway does not queue", {**HELD, **NAMED}, {}, of_traffic(*HELD)),
        ("the built-in gateway does", HELD, {"held": True}, []),
        ("without anybody to ask for keys nothing is let through, which Routed tells", KEYS, {}, []),
        ("no route to match by name", {"matchModelName": True}, {"held": True}, of_traffic("matchModelName")),
        ("no route to a pool", {"endpointPicker": {"name": "epp"}}, {}, of_traffic("endpointPicker")),
        ("a pool", {"endpointPicker": {"name": "epp"}, **NAMED}, {}, []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_told_of_traffic(case: str, traffic: dict[str, Any], there: dict[str, Any], told: list[str]) -> None:
    assert fields(traffic=traffic, **there) == told


@pytest.mark.parametrize(
    ("case", "spec", "told"),
    [
        ("nothing of a minimal spec", {}, []),
        ("nothing of what is acted on", {"runtime": EXAMPLE["runtime"], "accelerators": EXAMPLE["accelerators"]}, []),
        ("nothing of a number of replicas", {"scaling": {"replicas": 3, "minReplicas": 2}}, []),
        ("nothing of an outer scaler", {"scaling": {"mode": "external", "replicas": 2, "maxReplicas": 9}}, []),
        ("nothing of a fixed number", {"scaling": {"mode": "fixed", "minReplicas": 2, "maxReplicas": 2}}, []),
        ("nothing of defaults written out", {"rollout": {"retainPrevious": "24h"}, "traffic": {"maxQueue": 500}}, []),
        ("zero replicas by number are acted on", {"scaling": {"replicas": 0, "minReplicas": 0}}, []),
        ("nothing of room to scale", {"scaling": {"maxReplicas": 2}}, []),
        ("nothing of a target", {"scaling": {"mode": "queueDepth", "maxReplicas": 3, "queueDepth": 9}}, []),
        ("nothing of what is promised", {"slo": {"ttft": "1s", "tpot": "50ms", "attainment": 0.999}}, []),
        ("nothing of zero and one", {"scaling": {"minReplicas": 0, "maxReplicas": 1, "scaleToZeroAfter": "5m"}}, []),
        (
            "windows of a fixed number",
            {
                "scaling": {
                    "mode": "fixed",
                    "schedule": [{"cron": "0 8 * * *", "duration": "1h", "minReplicas": 2}],
                }
            },
            ["spec.scaling.schedule"],
        ),
        ("one part of an SLO", {"slo": {"ttft": "1s", "errorRate": 0.1}}, ["spec.slo.errorRate"]),
        ("no steps", {"rollout": {"steps": []}}, []),
        (
            "the whole example",
            EXAMPLE,
            ["spec.slo.errorRate", "spec.traffic.hostnames"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_told(case: str, spec: dict[str, Any], told: list[str]) -> None:
    assert fields(**spec) == told


@pytest.mark.parametrize("field", [field for field, _, _ in (*LATER, *TRAFFIC)])
def test_every_field_exists(field: str) -> None:
    root, *path = field.split(".")
    assert root == "spec"
    model: Any = InferenceServiceSpec
    for part in path:
        assert isinstance(model, type) and issubclass(model, BaseModel)
        known = {field.alias: field.annotation for field in model.model_fields.values()}
        assert part in known
        model = known[part]


def test_each_field_is_told_once_with_what_happens_instead() -> None:
    told = [field for field, _, _ in (*LATER, *TRAFFIC)]
    assert len(told) == len(set(told))
    assert all(("yet" in message or "choose" in message) and len(message) <= 512 for _, _, message in LATER)
