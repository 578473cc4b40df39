"""A placed service in the hub: what it has there answers by its name, and nobody else does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from inferops.core.clusters.naming import HUB, PARENT, PARENT_NAME
from inferops.gateway.sources.state import State
from inferops.gateway.table import Backend, ServiceKey, Table
from inferops.kube.owned import Object
from unit.gateway.resources import endpoint_slice, pods, service

PART = "llama-hub"
ACCESS = {"apiKeysSecret": "keys"}


def whole(placed: bool = True, clusters: bool = True, uid: str = "uid-1", **more: Any) -> Object:
    spec = {"placement": {"clusters": {}}} if placed else {}
    raw = service("llama", created="2025-11-01T12:00:00Z", **{**spec, **more})
    raw["metadata"]["uid"] = uid
    raw["status"]["placement"] = {"clusters": [{"cluster": "here"}] if clusters else []}
    return raw


def part(name: str = PART, parent: str = "llama", uid: str = "uid-1", **more: Any) -> Object:
    raw = service(name, revisions={"bbb": 100}, created="2025-11-05T12:00:00Z", **more)
    marks = {PARENT: uid, PARENT_NAME: parent}
    raw["metadata"] |= {"uid": "uid-2", "labels": {HUB: "uid-hub"}, "annotations": marks}
    return raw


def ready(*names: str, of: str = PART, revision: str = "bbb", namespace: str = "chat") -> Object:
    return endpoint_slice(f"{of}-{revision}-x", pods(*names), service=of, revision=revision, namespace=namespace)


def table(*services: Object, slices: tuple[Object, ...] = ()) -> Table:
    state = State()
    for raw in services:
        state.services.put(raw)
    for raw in slices:
        state.slices.put(raw)
    return state.table()


def ways(found: Table, name: str = "llama", namespace: str = "chat") -> list[Backend | None]:
    """By the host inside the cluster, by its short form, and by path."""
    hosts = (f"{name}.{namespace}.svc.cluster.local", f"{name}.{namespace}")
    return [*(found.of_host(host) for host in hosts), found.of_path(f"/services/{namespace}/{name}/v1/models")[0]]


def shares(backend: Backend | None) -> dict[str, float]:
    """The part of all requests that the revisions with replicas get."""
    assert backend is not None
    staffed = {each.hash: each.weight for each in backend.revisions if each.replicas}
    return {name: weight / sum(staffed.values()) for name, weight in staffed.items()}


def test_it_answers_by_either_name_whatever_is_read_first() -> None:
    raws = [whole(), part(), service("other", hostnames=["llama.example.com"], created="2025-11-03T12:00:00Z")]
    for order in permutations(raws):
        found = table(*order, slices=(ready("pod-1"),))
        answers = [*ways(found), *ways(found, PART), found.by_model["llama"]]
        assert {each.key.name if each else "" for each in answers} == {PART}
        assert ServiceKey("chat", "llama") not in found.by_key, "it would be listed twice, and wait for replicas"


def test_host_names_stay_its_own_though_the_part_is_younger() -> None:
    traffic = {"hostnames": ["llama.example.com"]}
    between = service("other", created="2025-11-03T12:00:00Z", traffic=traffic)
    found = table(whole(traffic=traffic), between, part(traffic=traffic))
    answer = found.of_host("llama.example.com")
    assert answer is not None and answer.key.name == PART


def test_keys_are_asked_for_as_the_service_says() -> None:
    found = table(whole(traffic={"access": ACCESS}), part(traffic={"access": ACCESS}))
    assert [each.access.secret if each and each.access else "" for each in ways(found)] == ["keys"] * 3


def test_other_clusters_know_it_by_the_services_name() -> None:
    assert [each.elsewhere if each else "" for each in ways(table(whole(), part()))] == ["llama"] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda one, other: other["metadata"]["annotations"].update({PARENT: "uid-of-before"}),
        lambda one, other: other["metadata"]["annotations"].update({PARENT_NAME: "llam"}),
        lambda one, other: other["metadata"]["annotations"].clear(),
        lambda one, other: other["metadata"]["labels"].clear(),
        lambda one, other: other["metadata"].update({"name": "mine"}),
        lambda one, other: other["metadata"].update({"namespace": "others"}),
        lambda one, other: (one["spec"].pop("placement"), one["status"].pop("placement")),
        lambda one, other: one["metadata"].update({"uid": ""}),
    ],
)
def test_nobody_gets_the_requests_by_saying_that_he_is_part_of_it(change: Callable[[Object, Object], Any]) -> None:
    one, other = whole(), part()
    change(one, other)
    found = table(one, other, slices=(ready("pod-1"),))
    assert {each.key.name if each else "" for each in ways(found)} == {"llama"}
    assert not any(backend.alias for backend in found.by_key.values())


def test_without_the_service_its_name_means_nobody() -> None:
    state = State()
    state.services.put(whole())
    state.services.put(part())
    assert all(ways(state.table()))
    state.services.remove("chat", "llama")
    assert ways(state.table()) == [None] * 3
    assert all(ways(state.table(), PART))


def test_a_part_that_goes_leaves_the_name_to_the_service() -> None:
    state = State()
    state.services.put(part())
    state.services.put(whole())
    assert {each.key.name for each in ways(state.table()) if each} == {PART}
    state.services.remove("chat", PART)
    assert {each.key.name for each in ways(state.table()) if each} == {"llama"}


def test_what_ran_before_gets_its_part_of_the_requests_until_it_is_gone() -> None:
    state = State()
    before = whole()
    before["status"]["revisions"] = [{"hash": "aaa", "weight": 100}]
    state.services.put(before)
    state.services.put(part())
    state.slices.put(ready("old-1", "old-2", "old-3", of="llama", revision="aaa"))
    assert shares(ways(state.table())[0]) == {"aaa": 1.0}
    state.slices.put(ready("new-9"))
    assert [shares(each) for each in ways(state.table())] == [{"aaa": 0.75, "bbb": 0.25}] * 3
    state.slices.remove("chat", "llama-aaa-x")
    assert shares(ways(state.table())[0]) == {"bbb": 1.0}


def test_on_its_way_back_the_service_answers_itself_with_the_help_of_its_part() -> None:
    back = whole(placed=False)
    back["status"]["revisions"] = [{"hash": "bbb", "weight": 100}]  # the same model, engine and accelerator
    slices = ready("new-1", "new-2"), ready("own-3", of="llama")
    found = ways(table(back, part(), slices=slices))[0]
    assert found is not None and (found.key.name, found.asleep) == ("llama", "")
    assert [[replica.name for replica in each.replicas] for each in found.revisions] == [["new-1", "new-2", "own-3"]]
    alone = ways(table(back, part(), slices=slices[:1]))[0]
    assert alone is not None and shares(alone) == {"bbb": 1.0}
