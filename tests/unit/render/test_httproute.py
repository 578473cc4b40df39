"""HTTPRoutes: what of an engine is open, to whom the requests go, and how long one may take."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.formats import DURATION_PATTERN, seconds
from inferops.api.resources import InferenceService
from inferops.api.traffic import GatewayRef
from inferops.core.routing import RoutePlan
from inferops.render.httproute import LONGEST, duration, render_httproute
from inferops.runtimes import ENGINES
from inferops.runtimes.base import Api

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
PUBLIC = GatewayRef(name="public", namespace="infra")
VLLM = ENGINES["vllm"].api


def service(**traffic: Any) -> InferenceService:
    meta = {"name": "llama", "namespace": "chat", "uid": "uid-1"}
    spec = {"model": {"uri": "hf://org/llama"}, "traffic": traffic}
    return InferenceService.model_validate({"metadata": meta, "spec": spec})


def rules(api: Api = VLLM, models: tuple[str, ...] = (), **plan: Any) -> list[dict[str, Any]]:
    whole = RoutePlan(PUBLIC, models, **{"weights": {"a": 100}, **plan})
    found: list[dict[str, Any]] = render_httproute(service(), whole, {"a": 8000, "b": 8001}, api)["spec"]["rules"]
    return found


def backends(**plan: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rules(**plan)[0]["backendRefs"]
    return found


def read(text: str) -> float:
    """Seconds of a duration of the Gateway API (GEP-2257)."""
    assert re.fullmatch(r"([0-9]{1,5}(h|m|s|ms)){1,4}", text), text
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", text))


@given(st.from_regex(re.compile(DURATION_PATTERN), fullmatch=True))
def test_every_duration_of_ours_is_one_of_the_gateway_apis(ours: str) -> None:
    assert read(duration(seconds(ours))) == pytest.approx(min(max(seconds(ours), 0.001), LONGEST))


@pytest.mark.parametrize(
    ("ours", "text"), [("1h", "1h"), ("90m", "1h30m"), ("1500ms", "1s500ms"), ("2d", "48h"), ("5400s", "1h30m")]
)
def test_durations(ours: str, text: str) -> None:
    assert duration(seconds(ours)) == text


def test_a_request_may_take_as_long_as_the_service_says_at_the_gateway_and_at_the_replica() -> None:
    plan = RoutePlan(PUBLIC, (), {"a": 100})
    route = render_httproute(service(requestTimeout="2h"), plan, {"a": 8000}, VLLM)
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "2h", "backendRequest": "2h"}


def test_weights_go_to_the_services_of_the_revisions_each_on_its_port() -> None:
    found = [(each["kind"], each["name"], each["port"], each["weight"]) for each in backends(weights={"a": 95, "b": 5})]
    assert found == [("Service", "llama-a", 8000, 95), ("Service", "llama-b", 8001, 5)]


def test_pools_take_the_place_of_services() -> None:
    [pool] = backends(pooled=True)
    assert pool == {
        "group": "inference.networking.k8s.io",
        "kind": "InferencePool",
        "name": "llama-a",
        "weight": 100,
    }


def test_without_weights_the_service_of_the_services_own_name_gets_the_requests() -> None:
    assert [(each["name"], each["port"]) for each in backends(weights={})] == [("llama", 80)]


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
@pytest.mark.parametrize("count", [0, 1, 9, 33])
def test_no_rule_is_larger_than_a_gateway_takes_and_what_is_open_is_open(engine: Any, count: int) -> None:
    names = tuple(f"model-{number}" for number in range(count if engine.adapter_sources else min(count, 1)))
    found = rules(engine.api, names)
    sizes = [len(rule["matches"]) for rule in found]
    assert min(sizes) > 0 and max(sizes) <= 64 and sum(sizes) <= 128 and len(found) <= 16
    headers = {match["headers"][0]["value"] for rule in found for match in rule["matches"] if "headers" in match}
    assert headers == set(names)
    for match in found[0]["matches"]:
        path = match["path"]
        below = "/models/x" if path["type"] == "PathPrefix" else ""
        assert engine.api.allows(path["value"].rstrip("/") + below), path


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_every_open_path_is_matched_and_every_closed_one_leads_nowhere(engine: Any) -> None:
    opened, *closed = rules(engine.api)
    for path in engine.api.paths:
        assert any(matches(match, path.rstrip("/") or "/") for match in opened["matches"]), path
    for path in (path for path in engine.api.closed if "*" not in path):
        assert any(matches(match, path) for rule in closed for match in rule["matches"]), path
        assert not engine.api.allows(path)
    assert not any("backendRefs" in rule for rule in closed)


def matches(match: dict[str, Any], path: str) -> bool:
    kind, value = match["path"]["type"], match["path"]["value"]
    return path == value or (kind == "PathPrefix" and path.startswith(value.rstrip("/") + "/"))


def test_an_adapters_loading_is_closed_for_each_name_that_is_asked_for() -> None:
    _, closed = rules(models=("llama", "poet"))
    told = {(match["path"]["value"], match["headers"][0]["value"]) for match in closed["matches"]}
    assert ("/v1/load_lora_adapter", "poet") in told and len(told) == 4
    assert {match["headers"][0]["name"] for match in closed["matches"]} == {"X-Gateway-Model-Name"}


def test_hostnames_and_listener() -> None:
    ref = GatewayRef(name="public", namespace="infra", section_name="https")
    names = ["llama.example.com", "*.example.org"]
    spec = render_httproute(service(hostnames=names), RoutePlan(ref, (), {}), {}, VLLM)["spec"]
    assert spec["hostnames"] == names and spec["parentRefs"][0]["sectionName"] == "https"
    assert "hostnames" not in render_httproute(service(), RoutePlan(ref, (), {}), {}, VLLM)["spec"]
