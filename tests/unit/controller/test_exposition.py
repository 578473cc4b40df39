"""What a scrape of the operator tells: the state of the services, by the leader alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read

from inferops.api.resources import InferenceService
from inferops.catalogue import accelerators, runtimes
from inferops.controller.exposition import Exposition
from inferops.controller.store import Store
from inferops.controller.telemetry import Metrics
from inferops.core import metered, tallies
from inferops.kube.kinds import INFERENCE_CLUSTER, INFERENCE_SERVICE, NODE, POD
from unit.controller.building import child, cluster, node, raw, service
from unit.controller.world import World, settled

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Leads:
    def __init__(self) -> None:
        self.now = True

    def __call__(self) -> bool:
        return self.now


async def scraped(exposition: Exposition) -> dict[str, Metric]:
    body, _ = await exposition.scrape()
    return {each.name: each for each in read(body.decode())}


def values(metric: Metric, *labels: str) -> dict[tuple[str, ...], float]:
    return {tuple(each.labels[name] for name in labels): each.value for each in metric.samples}


def of(world: World, leads: Leads | None = None) -> Exposition:
    return Exposition(Metrics(), world.store, leads or Leads())


async def test_a_running_service_is_told_with_its_replicas_and_its_money() -> None:
    world = await settled()
    found = await scraped(of(world))
    assert values(found["inferops_service_replicas_ready"], "namespace", "service", "role") == {
        ("chat", "llama", "stable"): 1
    }
    assert ("Ready", "true") in values(found["inferops_service_condition"], "condition", "status")
    stock = values(found["inferops_cluster_accelerators"], "cluster", "accelerator", "state")
    assert stock == {("in-cluster", "nvidia-l4", "used"): 1, ("in-cluster", "nvidia-l4", "idle"): 7}
    price = accelerators()["nvidia-l4"].price
    assert price is not None
    assert values(found["inferops_service_cost_usd_per_hour"], "service") == {("llama",): price.usd_per_hour}


async def test_who_does_not_lead_tells_of_itself_alone() -> None:
    leads = Leads()
    exposition = of(await settled(), leads)
    leads.now = False
    found = await scraped(exposition)
    assert not [name for name in found if name.startswith(("inferops_service_", "inferops_cluster_acc"))]
    assert "inferops_build_info" in found


async def test_what_changes_is_told_anew_and_what_is_gone_no_more() -> None:
    store = Store(accelerators(), runtimes())
    store.put(INFERENCE_SERVICE, service(ready="False"))
    exposition = Exposition(Metrics(), store, Leads())
    assert values((await scraped(exposition))["inferops_service_condition"], "status") == {("false",): 1}
    store.put(INFERENCE_SERVICE, service(version=2, ready="True"))
    assert values((await scraped(exposition))["inferops_service_condition"], "status") == {("true",): 1}
    store.remove(INFERENCE_SERVICE, "chat", "llama")
    assert "inferops_service_condition" not in await scraped(exposition)


async def test_a_spec_that_cannot_be_read_leaves_its_conditions() -> None:
    store = Store(accelerators(), runtimes())
    store.put(INFERENCE_SERVICE, service(ready="False", model={"uri": 7}))
    found = await scraped(Exposition(Metrics(), store, Leads()))
    assert values(found["inferops_service_condition"], "condition", "status") == {("Ready", "false"): 1}
    assert "inferops_service_info" not in found


async def test_a_service_that_breaks_us_silences_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(accelerators(), runtimes())
    for name in ("llama", "qwen"):
        store.put(INFERENCE_SERVICE, service(name, ready="True"))
    sound = metered.service

    def breaks(seen: InferenceService, *args: Any, **more: Any) -> Iterator[metered.Sample]:
        if seen.metadata.name == "qwen":
            raise ZeroDivisionError
        return sound(seen, *args, **more)

    monkeypatch.setattr(metered, "service", breaks)
    found = await scraped(Exposition(Metrics(), store, Leads()))
    assert values(found["inferops_service_info"], "service") == {("llama",): 1}


async def test_a_cluster_that_is_the_hub_gives_the_operators_own_its_name() -> None:
    world = await settled()
    offers = [{"accelerator": "nvidia-l4", "nodes": 1, "total": 8, "free": 2}]
    world.store.put(INFERENCE_CLUSTER, cluster("home", status={"offers": offers}))
    found = await scraped(of(world))
    stock = values(found["inferops_cluster_accelerators"], "cluster", "state")
    assert stock == {("home", "used"): 6, ("home", "idle"): 2}
    assert values(found["inferops_service_accelerators"], "cluster", "state") == {("home", "ready"): 1}


async def test_names_of_users_cannot_break_the_text() -> None:
    world = await settled()
    region = 'x"\\\n'
    raw_cluster = raw(INFERENCE_CLUSTER, "east", spec={"access": {"hub": True}}, status={})
    raw_cluster["status"] = {"conditions": [_condition(region)]}
    world.store.put(INFERENCE_CLUSTER, raw_cluster)
    body, content_type = await of(world).scrape(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert {each.name for each in read_openmetrics(body.decode())} >= {"inferops_service_condition"}


def _condition(text: str) -> dict[str, Any]:
    return {"type": text, "status": "True", "reason": "Ready", "lastTransitionTime": "2025-11-03T12:00:00Z"}


async def test_decisions_are_counted_as_they_are_written() -> None:
    metrics = Metrics()
    world = World()
    world.applier.wrote = lambda before, after: metrics.count(tallies.tallies(before, after))
    world.ask()
    await world.settle()
    found = {each.name: each for each in metrics.registry.collect()}
    scalings = values(found["inferops_scaling_decisions"], "direction")
    assert scalings[("up",)] >= 1
    before = dict(scalings)
    await world.reconcile()
    again = {each.name: each for each in metrics.registry.collect()}
    assert values(again["inferops_scaling_decisions"], "direction") == before


async def test_a_thousand_services_are_told_from_texts_that_are_kept() -> None:
    store = Store(accelerators(), runtimes())
    store.put(NODE, node())
    for number in range(1000):
        name = f"llama-{number}"
        store.put(INFERENCE_SERVICE, service(name, ready="True"))
        store.put(POD, child(POD, f"{name}-0", service=name, revision="aaa"))
    exposition = Exposition(Metrics(), store, Leads())
    first, _ = await exposition.scrape()
    kept = dict(exposition._kept)
    second, _ = await exposition.scrape()
    assert all(exposition._kept[key] is each for key, each in kept.items())
    assert first.count(b"inferops_service_condition{") == second.count(b"inferops_service_condition{") == 1000
