"""The contract that every built-in engine keeps, on every source and accelerator that it takes."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from inferops import catalogue
from inferops.api.conditions import Reason
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.engine import Engine
from inferops.render.record import Record, read_record
from inferops.runtimes import ENGINES, Metrics, ServingEngine
from inferops.runtimes.sources import SCHEMES
from unit.render.building import MODELS, accelerators_of, engine_of, pod_of, rendered, revision, service
from unit.render.podsecurity import assert_restricted
from unit.runtimes.exposed import EXPOSED

FIXTURES = Path(__file__).parents[2] / "fixtures"
METRICS = {"vllm": "vllm-0.32.0-metrics-after.txt", "triton": "triton-2.51-metrics-after.txt"}
METRICS["onnxruntime"] = METRICS["triton"]
KINDS = {
    "gauge": ("running", "waiting", "kv_cache_usage"),
    "histogram": ("ttft", "tpot", "itl", "e2e", "queue_time"),
    "counter": (
        "e2e_microseconds",
        "queue_microseconds",
        "succeeded",
        "failed",
        "rejected",
        "prompt_tokens",
        "generated_tokens",
    ),
}
SLICE = "nvidia-a100-80gb-mig-1g.10gb"
TYPES = ("nvidia-l4", "nvidia-a100-80gb", "nvidia-h100-80gb", SLICE)

each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))


def taken(engine: ServingEngine) -> list[str]:
    return [name for name, model in MODELS.items() if model["uri"].partition(":")[0] in engine.sources]


CASES = [
    (name, model, kind, count)
    for name, engine in ENGINES.items()
    for model in taken(engine)
    for kind in TYPES
    if kind in accelerators_of(name)
    for count in ((1, 8) if engine.parallel and kind == "nvidia-h100-80gb" else (1,))
]
each_case = pytest.mark.parametrize("case", CASES, ids=[" ".join(map(str, case)) for case in CASES])
Case = tuple[str, str, str, int]


@cache
def record_of(case: Case) -> Record:
    name, model, kind, count = case
    return rendered(service(MODELS[model], {"name": name}, {"type": kind, "count": count}))


def obstacle(of: Any, runtime: ServingRuntimeSpec | None = None) -> Any:
    spec = revision(of)
    runtime = runtime or catalogue.runtimes()[spec.runtime.name]
    return ENGINES[runtime.engine].obstacle(spec, runtime, catalogue.accelerators()[spec.accelerator.type])


@each_engine
def test_it_is_an_engine_to_the_decisions(engine: ServingEngine) -> None:
    contract: Engine = engine
    assert ENGINES[contract.name] is engine
    assert catalogue.runtimes()[engine.name].engine == engine.name


@each_engine
def test_ports_probes_and_metrics_fit_together(engine: ServingEngine) -> None:
    ports = {port.name: port.number for port in engine.ports}
    assert len(set(ports.values())) == len(ports) == len(engine.ports)
    assert "http" in ports
    assert min(ports.values()) >= 1024  # below, a process that is not root may not listen
    for endpoint in (engine.startup, engine.readiness, engine.liveness, engine.metrics.endpoint):
        assert endpoint.port in ports and endpoint.path.startswith("/")


@each_engine
def test_metric_names_are_those_of_the_real_server(engine: ServingEngine) -> None:
    types = dict(EXPOSED.get(engine.name, {}))
    if engine.name in METRICS:
        lines = (FIXTURES / METRICS[engine.name]).read_text().splitlines()
        types = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE"))
    named = {name for names in KINDS.values() for name in names}
    assert {field.name for field in fields(Metrics)} == {"endpoint", *named}
    for kind, names in KINDS.items():
        for name in names:
            metric = getattr(engine.metrics, name)
            assert metric is None or types.get(metric) == kind, (name, metric)
    assert engine.metrics.waiting or engine.metrics.running  # scaling speaks by them first


@each_engine
@pytest.mark.parametrize("model", MODELS, ids=list(MODELS))
def test_every_source_is_served_or_refused(engine: ServingEngine, model: str) -> None:
    scheme = MODELS[model]["uri"].partition(":")[0]
    found = obstacle(service(MODELS[model], {"name": engine.name}))
    assert set(engine.sources) <= set(SCHEMES)
    assert (found is None) == (scheme in engine.sources)
    if found is not None:
        assert found.reason is Reason.SOURCE_NOT_SUPPORTED
        assert found.message.startswith(f"spec.model.uri: {engine.name} cannot load {scheme}://; it takes ")


@each_case
def test_it_loads_what_the_service_names(case: Case) -> None:
    uri, container = MODELS[case[1]]["uri"], engine_of(record_of(case))
    path = uri.partition("://")[2].strip("/").partition("/")[2]
    assert uri.startswith("oci://") or any(path in arg for arg in container["args"])


@each_case
def test_the_image_is_pinned(case: Case) -> None:
    image = record_of(case).image
    tag = image.rpartition("/")[2].partition(":")[2]
    assert tag and tag != "latest"
    assert ServingRuntimeSpec.model_validate({"engine": case[0], "image": image}).image == image


@each_case
def test_command_and_arguments_are_words_and_no_shell(case: Case) -> None:
    container = engine_of(record_of(case))
    words = [*container["command"], *container["args"]]
    assert all(isinstance(word, str) and word for word in words)
    assert not {"sh", "bash", "-c", "/bin/sh", "/bin/bash"} & set(words)
    flags = [word.partition("=")[0] for word in container["args"] if word.startswith("--")]
    assert len(set(flags)) == len(flags)


@each_engine
def test_the_operators_arguments_are_reserved_and_no_user_can_take_them_for_a_value(engine: ServingEngine) -> None:
    users = {"name": engine.name, "args": ["--log-level=1"] if engine.name != "onnxruntime" else ["--id=1"]}
    for model in taken(engine):
        args = engine_of(rendered(service(MODELS[model], users)))["args"]
        at = args.index(users["args"][0])  # type: ignore[arg-type]
        own = args[:at] if engine.swallows else args[at + 1 :]
        assert own
        for flag in (word.partition("=")[0] for word in own if word.startswith("--")):
            for runtime in (
                {"args": [f"{flag}=mine"]},
                {"args": [flag.upper().replace("-", "_").replace("__", "--", 1)]},
            ):
                found = obstacle(service(MODELS[model], {"name": engine.name, **runtime}))
                assert found is not None
                shown = flag.replace("_", "-")
                assert found.message.startswith(f"spec.runtime.args[0]: --{shown[2:]} is set by the operator; ")
            admins = ServingRuntimeSpec.model_validate({"engine": engine.name, "args": [f"{flag}=1"]})
            assert obstacle(service(MODELS[model], {"name": engine.name}), admins).reason is Reason.RUNTIME_INVALID


@each_engine
def test_what_is_denied_an_admin_may_allow(engine: ServingEngine) -> None:
    model = MODELS[taken(engine)[0]]
    assert engine.rules.denied
    for flag in (flag.replace("*", "x") for flag in engine.rules.denied):
        of = service(model, {"name": engine.name, "args": [f"{flag}=1"]})
        found = obstacle(of)
        assert found is not None and found.reason is Reason.ARGUMENT_NOT_ALLOWED
        allowed = catalogue.runtimes()[engine.name].dump() | {"userArgs": {"deny": []}}
        assert obstacle(of, ServingRuntimeSpec.model_validate(allowed)) is None


@each_engine
def test_the_operators_variables_are_the_operators(engine: ServingEngine) -> None:
    for model in taken(engine):
        for entry in engine_of(rendered(service(MODELS[model], {"name": engine.name})))["env"]:
            users = {"name": engine.name, "env": [{"name": entry["name"], "value": "mine"}]}
            found = obstacle(service(MODELS[model], users))
            assert found is not None and found.reason is Reason.ARGUMENT_NOT_ALLOWED
            assert found.message == f"spec.runtime.env[0]: {entry['name']} is set by the operator; remove it"


@each_engine
@pytest.mark.parametrize("field", [{"quantization": "fp8"}, {"maxModelLen": 4096}, {"name": "mine"}], ids=str)
def test_a_field_of_the_model_is_passed_on_or_refused(engine: ServingEngine, field: dict[str, Any]) -> None:
    model = MODELS[taken(engine)[0]]
    plain, changed = (service({**model, **more}, {"name": engine.name}) for more in ({}, field))
    found = obstacle(changed)
    if found is None:
        assert engine_of(rendered(changed))["args"] != engine_of(rendered(plain))["args"]
    else:
        assert found.reason is Reason.INVALID_SPEC
        assert found.message.startswith(f"spec.model.{next(iter(field))}: ") and "remove it" in found.message


@each_case
def test_accelerators_are_requested_and_limited_alike(case: Case) -> None:
    resources = engine_of(record_of(case))["resources"]
    resource = catalogue.accelerators()[case[2]].resource_name
    assert resources["limits"][resource] == resources["requests"][resource] == str(case[3])
    assert resources["limits"]["memory"] == resources["requests"]["memory"]


@each_case
def test_probes_and_services_reach_ports_that_are_there(case: Case) -> None:
    record = record_of(case)
    container, engine = engine_of(record), ENGINES[case[0]]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {port.name: port.number for port in engine.ports}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
        assert container[probe]["timeoutSeconds"] >= 1
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 1200  # a large model from a slow disk
    served = {port["name"]: port["port"] for port in record.objects["service"]["spec"]["ports"]}
    assert served == {name: number for name, number in ports.items() if name != "metrics"}


@each_case
def test_it_drains(case: Case) -> None:
    pod, engine = pod_of(record_of(case)), ENGINES[case[0]]
    container, drain = pod["containers"][0], catalogue.runtimes()[case[0]].drain
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": drain.pre_stop_seconds}}}
    assert pod["terminationGracePeriodSeconds"] > drain.pre_stop_seconds + drain.timeout_seconds
    told = [arg for arg in container["args"] if arg == f"{engine.drain_flag}={drain.timeout_seconds}"]
    assert len(told) == (1 if engine.drain_flag else 0)


@each_case
def test_its_pods_are_restricted_and_can_be_restored(case: Case) -> None:
    record = record_of(case)
    assert_restricted(pod_of(record))
    data = {"spec": record.spec.dump(), "image": record.image, "objects": dict(record.objects)}
    assert read_record(data).objects == record.objects


@each_case
def test_it_runs_as_its_own_user_with_writable_caches(case: Case) -> None:
    pod, engine = pod_of(record_of(case)), ENGINES[case[0]]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == engine.user > 0
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    places = ("HOME", "_ROOT", "_DIR", "_PATH", "_CACHE", "_BASE")
    caches = [value for name, value in env.items() if name.endswith(places) and name != "LD_LIBRARY_PATH"]
    assert env["HOME"] in caches
    assert all(any(path == mount or path.startswith(f"{mount}/") for mount in writable) for path in caches)
    assert "/dev/shm" in writable


@each_engine
def test_credentials_come_from_the_secret_alone(engine: ServingEngine) -> None:
    for model in taken(engine):
        secret = MODELS[model].get("credentialsSecret")
        pod = pod_of(rendered(service(MODELS[model], {"name": engine.name})))
        env = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
        by_reference = [entry for entry in env.values() if "valueFrom" in entry]
        assert all(entry["valueFrom"]["secretKeyRef"]["name"] == secret for entry in by_reference)
        if model == "hf with a token":
            assert env["HF_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "hf-token", "key": "HF_TOKEN"}}
        assert secret is None or secret in str(pod)
        assert secret is None or not any(secret in arg for arg in pod["containers"][0]["args"])
