"""What scales services of mode external: an HPA and a KEDA ScaledObject as their APIs have them, or what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from inferops.cli.main import app
from inferops.cli.render import BadInput
from inferops.cli.scaler import Wish, scalers
from inferops.gateway.signals.exposition import FAMILIES, PREFIX
from inferops.render.scaler import IN_FLIGHT

URL = "http://prometheus:9090"
KEDA, HPA = Wish("keda", URL), Wish("hpa")
SPEC: dict[str, Any] = {
    "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
    "accelerators": [{"type": "nvidia-h100-80gb"}],
    "scaling": {"mode": "external", "minReplicas": 2, "maxReplicas": 8},
}


def text(**changes: Any) -> str:
    """A service of mode external; changes of its scaling are merged, others replace."""
    scaling = {**SPEC["scaling"], **changes.pop("scaling", {})}
    spec = {**SPEC, **changes, "scaling": {key: value for key, value in scaling.items() if value is not None}}
    head = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService", "metadata": {"name": "chat"}}
    return yaml.safe_dump({**head, "spec": spec})


def rendered(wish: Wish, **changes: Any) -> dict[str, Any]:
    [found] = scalers(text(**changes), "prod", wish)
    return found


def test_both_scale_the_service_itself_within_its_bounds_and_belong_to_nobody() -> None:
    hpa, keda = rendered(HPA), rendered(KEDA)
    reference = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService", "name": "chat"}
    assert hpa["spec"]["scaleTargetRef"] == keda["spec"]["scaleTargetRef"] == reference
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (2, 8)
    assert (keda["spec"]["minReplicaCount"], keda["spec"]["maxReplicaCount"]) == (2, 8)
    for each in (hpa, keda):
        assert each["metadata"] == {"name": "chat", "namespace": "prod", "labels": {"app.kubernetes.io/name": "chat"}}


def test_requests_are_counted_by_the_gateway_which_tells_them_by_that_name() -> None:
    told = {PREFIX + family.name: family.kind for family in FAMILIES}
    assert told[IN_FLIGHT] == "gauge"
    [metric] = rendered(HPA, traffic={"maxConcurrency": 24})["spec"]["metrics"]
    assert metric["external"]["metric"] == {"name": IN_FLIGHT, "selector": {"matchLabels": {"service": "chat"}}}
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "24"}
    [trigger] = rendered(KEDA, traffic={"maxConcurrency": 24})["spec"]["triggers"]
    assert trigger["metadata"]["query"] == f'sum({IN_FLIGHT}{{namespace="prod",service="chat"}})'
    assert trigger["metadata"]["threshold"] == "24" and trigger["metricType"] == "AverageValue"
    assert trigger["metadata"]["ignoreNullValues"] == "false", "what is missing is not nothing"


@pytest.mark.parametrize(
    ("runtime", "running", "waiting"),
    [
        ("vllm", "vllm:num_requests_running", "vllm:num_requests_waiting"),
        ("sglang", "sglang:num_running_reqs", "sglang:num_queue_reqs"),
        ("tensorrt-llm", "trtllm_num_requests_running", "trtllm_num_requests_waiting"),
        ("bentoml", "bentoml_service_request_in_progress", None),
    ],
)
def test_by_the_engine_where_requests_pass_the_gateway_by(runtime: str, running: str, waiting: str | None) -> None:
    changes: dict[str, Any] = {
        "runtime": {"name": runtime},
        "traffic": {"gatewayRef": {"name": "public", "namespace": "infra"}, "maxConcurrency": 24},
        "scaling": {"queueDepth": 3},
    }
    if runtime == "bentoml":
        changes["model"] = {"uri": "oci://registry.example.com/bento:v1"}
    [trigger] = rendered(KEDA, **changes)["spec"]["triggers"]
    pods = '{namespace="prod",pod=~"chat-[0-9a-f]{10}-.+"}'
    assert trigger["metadata"]["query"] == " + ".join(f"sum({name}{pods})" for name in (running, waiting) if name)
    metrics = [metric["pods"] for metric in rendered(HPA, **changes)["spec"]["metrics"]]
    found = {metric["metric"]["name"]: metric["target"]["averageValue"] for metric in metrics}
    assert found == {running: "24", **({waiting: "3"} if waiting else {})}
    by_wish = rendered(Wish("hpa", counted="gateway"), **changes)["spec"]["metrics"]
    assert [metric["type"] for metric in by_wish] == ["External"]


def test_a_replica_is_planned_as_much_as_keeps_the_slo_and_no_more_than_it_is_sent() -> None:
    def each(**changes: Any) -> int:
        return int(rendered(KEDA, **changes)["spec"]["triggers"][0]["metadata"]["threshold"])

    strict, loose = each(slo={"tpot": "12ms"}), each(slo={"tpot": "50ms"})
    assert 1 <= strict < loose
    assert each(slo={"tpot": "50ms"}, traffic={"maxConcurrency": loose + 5}) == loose
    assert each(slo={"tpot": "50ms"}, traffic={"maxConcurrency": 7}) == 7


def test_limits_and_patience_are_those_of_the_spec() -> None:
    limits = {
        "scaleUp": {"replicas": 4, "percent": 100, "period": "30s"},
        "scaleDown": {"limit": {"replicas": 1, "period": "1500ms"}, "after": "10m"},
    }
    behavior = rendered(HPA, scaling=limits)["spec"]["behavior"]
    assert behavior["scaleUp"] == {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 30},
            {"type": "Percent", "value": 100, "periodSeconds": 30},
        ],
    }
    assert behavior["scaleDown"] == {
        "stabilizationWindowSeconds": 600,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}],
    }
    keda = rendered(KEDA, scaling=limits)["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    assert keda == {"behavior": behavior}
    usual = rendered(HPA)["spec"]["behavior"]
    assert usual["scaleUp"]["policies"] == [{"type": "Pods", "value": 8, "periodSeconds": 15}], (
        "as many as may be, at once"
    )
    assert usual["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_keda_goes_to_zero_and_looks_more_often_there() -> None:
    spec = rendered(KEDA, scaling={"minReplicas": 0, "scaleToZeroAfter": "90s"})["spec"]
    assert (spec["minReplicaCount"], spec["cooldownPeriod"], spec["pollingInterval"]) == (0, 90, 5)
    spec = rendered(KEDA)["spec"]
    assert (spec["cooldownPeriod"], spec["pollingInterval"]) == (300, 15)


UNSIZED: dict[str, Any] = {"model": {"uri": "pvc://models/ours"}}
GATEWAY = {"gatewayRef": {"name": "public", "namespace": "infra"}, "maxConcurrency": 24}
MISSING: list[tuple[str, Wish, dict[str, Any], list[str]]] = [
    ("another mode", HPA, {"scaling": {"mode": None}}, ["chat: spec.scaling.mode: auto", "write mode: external"]),
    ("no maximum", KEDA, {"scaling": {"maxReplicas": None}}, ["spec.scaling.maxReplicas: say how many replicas KEDA"]),
    ("zero by an HPA", HPA, {"scaling": {"minReplicas": 0}}, ["spec.scaling.minReplicas", "--scaler keda"]),
    ("a long period", HPA, {"scaling": {"scaleUp": {"percent": 9, "period": "31m"}}}, ["scaleUp.period: 31m", "30m"]),
    ("a long step down", KEDA, {"scaling": {"scaleDown": {"limit": {"percent": 9, "period": "1h"}}}},
     ["spec.scaling.scaleDown.limit.period: 1h"]),
    ("much patience", KEDA, {"scaling": {"scaleDown": {"after": "61m"}}}, ["spec.scaling.scaleDown.after: 61m", "1h"]),
    ("all at once", HPA, {"scaling": {"mode": None, "minReplicas": 0, "maxReplicas": None}},
     ["spec.scaling.mode", "spec.scaling.maxReplicas", "spec.scaling.minReplicas"]),
    ("no Prometheus", Wish("keda"), {}, ["--prometheus: KEDA asks one", "for example http://"]),
    ("a login for all to read", Wish("keda", "http://me:secret@prometheus:9090"), {}, ["--prometheus", "TriggerAuth"]),
    ("a model that nobody knows", HPA, UNSIZED, ["spec.traffic.maxConcurrency", "example 64", "sizing cannot tell"]),
    ("an engine that counts nothing", KEDA, {"runtime": {"name": "triton"}, "traffic": GATEWAY, **UNSIZED},
     ["spec.runtime.name: triton does not tell", "--counted gateway"]),
    ("a service that is no good", HPA, {"accelerators": [{"type": "tpu"}]}, ["spec.accelerators[0].type"]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "wish", "changes", "parts"), MISSING, ids=[case for case, *_ in MISSING])
def test_what_is_missing_is_said_by_field(case: str, wish: Wish, changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        rendered(wish, **changes)
    for part in parts:
        assert part in str(refused.value)
    assert "secret" not in str(refused.value)


def test_services_that_the_operator_scales_are_left_out_beside_external_ones() -> None:
    both = text() + "---\n" + text(scaling={"mode": "auto"}).replace("name: chat", "name: ours")
    assert [each["metadata"]["name"] for each in scalers(both, "prod", KEDA)] == ["chat"]


# The fields of keda.sh/v1alpha1 that are used, by their types, as its reference has them.
BEHAVIOR = {
    "stabilizationWindowSeconds": int,
    "selectPolicy": str,
    "policies": [{"type": str, "value": int, "periodSeconds": int}],
}
SCALED_OBJECT = {
    "scaleTargetRef": {"apiVersion": str, "kind": str, "name": str},
    "minReplicaCount": int,
    "maxReplicaCount": int,
    "pollingInterval": int,
    "cooldownPeriod": int,
    "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": BEHAVIOR, "scaleDown": BEHAVIOR}}},
    "triggers": [
        {
            "type": str,
            "metricType": str,
            "metadata": {
                "serverAddress": str,
                "query": str,
                "threshold": str,
                "activationThreshold": str,
                "ignoreNullValues": str,
            },
        }
    ],
}


def shaped(value: Any, shape: Any) -> bool:
    if isinstance(shape, Mapping):
        return isinstance(value, dict) and all(key in shape and shaped(value[key], shape[key]) for key in value)
    if isinstance(shape, list):
        return isinstance(value, list) and bool(value) and all(shaped(each, shape[0]) for each in value)
    return type(value) is shape


def test_a_scaled_object_has_the_fields_that_keda_has() -> None:
    found = rendered(KEDA, scaling={"scaleUp": {"percent": 50}, "scaleToZeroAfter": "10m"})
    assert (found["apiVersion"], found["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    assert shaped(found["spec"], SCALED_OBJECT)
    assert {"scaleTargetRef", "triggers"} <= set(found["spec"]), "which it asks for"


def test_the_command_prints_what_kubectl_applies_and_says_what_is_left_to_do(tmp_path: Any) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(text())
    command = ["render", str(file), "-n", "prod", "--scaler"]
    done = CliRunner().invoke(app, [*command, "hpa"])
    assert done.exit_code == 0
    assert [each["kind"] for each in yaml.safe_load_all(done.stdout)] == ["HorizontalPodAutoscaler"]
    assert "kubectl scale infs/chat -n prod --replicas=2" in done.stderr
    done = CliRunner().invoke(app, [*command, "keda", "--prometheus", URL])
    assert done.exit_code == 0 and yaml.safe_load(done.stdout) == rendered(KEDA) and not done.stderr
    done = CliRunner().invoke(app, [*command, "keda"])
    assert done.exit_code == 1 and not done.stdout and "--prometheus" in done.stderr
    for wrong in (["--prometheus", URL], ["--counted", "engine"]):
        done = CliRunner().invoke(app, ["render", str(file), *wrong])
        assert done.exit_code == 2 and wrong[0] in done.stderr
    done = CliRunner().invoke(app, [*command, "keda", "--prometheus", "prometheus:9090"])
    assert done.exit_code == 2 and "--prometheus" in done.stderr
