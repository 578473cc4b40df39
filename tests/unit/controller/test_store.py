"""The cache: what came last counts, keys are told only of what matters, and every child is found by its service."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.catalogue import accelerators, runtimes
from inferops.controller.store import CHILDREN, OPTIONAL, WATCHED, Key, Store
from inferops.controller.watch import selector, settings
from inferops.kube.kinds import (
    ACCELERATOR,
    BUDGET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    INFERENCE_SERVICE,
    NODE,
    POD,
    RECORD,
    SERVICE,
    SERVING_RUNTIME,
    Kind,
)
from unit.controller.building import child, cluster, node, pod, raw, service

LLAMA, QWEN = (Key("InferenceService", "chat", name) for name in ("llama", "qwen"))
EAST = Key("InferenceCluster", "chat", "east")
RUNTIME = raw(SERVING_RUNTIME, "vllm", spec={"engine": "vllm", "image": "mirror.example.com/vllm:v1"})


def filled(*objects: Any) -> Store:
    store = Store(accelerators(), runtimes())
    for each in objects:
        put(store, each)
    return store


def put(store: Store, each: Any) -> set[Key]:
    return store.put(next(kind for kind in (*WATCHED, *OPTIONAL) if kind.kind == each["kind"]), each)


READY_POD = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("case", "before", "now", "keys"),
    [
        ("a new service", [], service(), {LLAMA}),
        ("a changed spec", [service()], service(version=2, runtime={"name": "triton"}), {LLAMA}),
        ("a status that we wrote and have read already", [service(version=2, ready="True")],
         service(version=2, ready="True"), set()),
        ("an unchanged service in a new version", [service()], service(version=2), set()),
        ("an older service", [service(version=5)], service(version=4, runtime={"name": "triton"}), set()),
        ("a new pod", [service()], pod("p"), {LLAMA}),
        ("a pod that turns ready", [service(), pod("p")], pod("p", 2, status=READY_POD), {LLAMA}),
        ("a pod's heartbeat", [pod("p", status=READY_POD)],
         pod("p", 2, status={**READY_POD, "startTime": "2025-11-03T12:00:00Z"}), set()),
        ("a pod of nobody", [service()], raw(POD, "p"), set()),
        ("a Deployment's counts", [child(DEPLOYMENT, "d")], child(DEPLOYMENT, "d", 2, status={"replicas": 2}), set()),
        ("a Deployment whose pods are refused", [child(DEPLOYMENT, "d")],
         child(DEPLOYMENT, "d", 2, status={"conditions": [{"type": "ReplicaFailure", "status": "True",
                                                           "message": "quota"}]}), {LLAMA}),
        ("a Service that points elsewhere", [child(SERVICE, "llama")],
         child(SERVICE, "llama", 2, spec={"selector": {"inferops.dev/revision": "r2"}}), {LLAMA}),
        ("an object that is being deleted", [child(BUDGET, "b")],
         child(BUDGET, "b", 2, metadata={"deletionTimestamp": "2025-11-03T12:00:00Z"}), {LLAMA}),
        ("a child that moves to another service", [child(BUDGET, "b")], child(BUDGET, "b", 2, service="qwen"),
         {LLAMA, QWEN}),
        ("a new node concerns what is not settled", [service(), service("qwen", ready="True")], node(), {LLAMA}),
        ("a service settled on an older generation is not",
         [service(ready="True"), service("qwen", 2) | {"status": service(ready="True")["status"]}], node(), {QWEN}),
        ("a node's heartbeat", [service(), node()], node(version=2), set()),
        ("a node is cordoned", [service(), node()], node(version=2, unschedulable=True), {LLAMA}),
        ("a runtime concerns all services", [service(ready="True"), service("qwen"), cluster()], RUNTIME,
         {LLAMA, QWEN}),
        ("a member cluster", [service()], cluster(), {EAST}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_which_keys_a_change_concerns(case: str, before: list[Any], now: Any, keys: set[Key]) -> None:
    if "older generation" in case:
        before[1]["metadata"]["generation"] = 2
    assert put(filled(*before), now) == keys


def test_an_older_version_changes_nothing() -> None:
    store = filled(pod("p", 5, status=READY_POD))
    put(store, pod("p", 4))
    assert [view.ready for view in store.pods(LLAMA)] == [True]


@pytest.mark.parametrize(
    ("case", "not_after", "gone"),
    [
        ("told by a watch", None, True),
        ("absent from a newer list", 9, True),
        ("absent from a list of its own version", 5, True),
        ("created after the list", 4, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_gone_is_forgotten(case: str, not_after: int | None, gone: bool) -> None:
    store = filled(service(), pod("p", 5))
    assert store.remove(POD, "chat", "p", not_after) == ({LLAMA} if gone else set())
    assert (store.pods(LLAMA) == []) == gone
    assert store.remove(POD, "chat", "unknown", not_after) == set()


@pytest.mark.parametrize("known", [True, False], ids=["known", "never seen"])
def test_an_answer_that_comes_after_the_deletion_brings_nothing_back(known: bool) -> None:
    """The answer to an apply and the watch come by different connections."""
    store = filled(*[service(version=3)] if known else [])
    store.remove(INFERENCE_SERVICE, "chat", "llama", 6)
    assert put(store, service(version=5, ready="True")) == set()
    assert store.parent(LLAMA) is None
    assert put(store, service(version=7)) == {LLAMA}, "a namesake is another one"


def test_what_is_gone_concerns_the_same_keys_as_its_change() -> None:
    store = filled(service(), service("qwen", ready="True"), node(), RUNTIME)
    assert store.remove(NODE, "", "node-1") == {LLAMA}
    assert store.remove(SERVING_RUNTIME, "", "vllm") == {LLAMA, QWEN}
    assert store.remove(INFERENCE_SERVICE, "chat", "llama") == {LLAMA}
    assert store.parent(LLAMA) is None and store.all_keys() == {QWEN}


def test_children_are_told_by_kind_and_name() -> None:
    store = filled(
        child(DEPLOYMENT, "llama-r1", revision="r1"),
        child(SERVICE, "llama-r1", revision="r1"),
        child(SERVICE, "llama", spec={"selector": {"inferops.dev/revision": "r1"}}),
        child(SERVICE, "qwen", service="qwen"),
        pod("b"),
        pod("a"),
    )
    assert set(store.children(LLAMA, SERVICE)) == {"llama-r1", "llama"}
    assert store.children(LLAMA, SERVICE)["llama"].view == "r1"
    assert store.children(LLAMA, DEPLOYMENT)["llama-r1"].revision == "r1"
    assert store.children(LLAMA, DEPLOYMENT)["llama-r1"].owner == "uid-llama"
    assert [view.name for view in store.pods(LLAMA)] == ["a", "b"]
    assert store.children(QWEN, DEPLOYMENT) == {}


def test_only_the_controller_is_the_owner() -> None:
    other = {"uid": "backup", "kind": "Backup", "name": "b", "apiVersion": "v1"}
    owners = child(DEPLOYMENT, "d")["metadata"]["ownerReferences"]
    store = filled(
        child(DEPLOYMENT, "ours", metadata={"ownerReferences": [other, *owners]}),
        child(DEPLOYMENT, "orphan", metadata={"ownerReferences": [other]}),
    )
    assert {name: found.owner for name, found in store.children(LLAMA, DEPLOYMENT).items()} == {
        "ours": "uid-llama",
        "orphan": "",
    }


def test_the_admins_catalogue_wins_and_what_is_unreadable_counts_as_not_there() -> None:
    store = filled()
    built_in = store.runtimes()["vllm"]
    put(store, RUNTIME)
    assert store.runtimes()["vllm"].image == "mirror.example.com/vllm:v1"
    put(store, {**RUNTIME, "metadata": {**RUNTIME["metadata"], "resourceVersion": "2"}, "spec": {"engine": "tgi"}})
    assert store.runtimes()["vllm"] == built_in
    put(store, raw(ACCELERATOR, "broken", spec={"memoryGiB": "many"}))
    assert "broken" not in store.accelerators() and "nvidia-l4" in store.accelerators()


KINDS = (*CHILDREN, INFERENCE_SERVICE, NODE)
changes = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["llama", "qwen"]),
    st.integers(1, 9),
    st.booleans(),
)


@given(st.lists(changes, max_size=30))
def test_the_store_holds_the_newest_of_everything(taken: list[tuple[Kind, str, str, int, bool]]) -> None:
    store = filled()
    model: dict[tuple[Kind, str], tuple[int, str]] = {}
    ended: dict[tuple[Kind, str], int] = {}  # since when, where it is not there
    for kind, name, of, version, gone in taken:
        before = model.get((kind, name))
        if gone:
            store.remove(kind, "chat" if kind.namespaced else "", name, not_after=version)
            if before is None or before[0] <= version:
                model.pop((kind, name), None)
                ended[kind, name] = max(version, ended.get((kind, name), 0))
            continue
        put(store, child(kind, name, version, service=of, spec={}))
        if version > ended.get((kind, name), 0) and (before is None or version >= before[0]):
            model[kind, name] = (version, of)
    for kind in KINDS:
        assert {name for _, name in store.names(kind)} == {name for found, name in model if found is kind}
    for key in (LLAMA, QWEN):
        for kind in CHILDREN:
            mine = {name for (found, name), (_, of) in model.items() if found is kind and of == key.name}
            there = {view.name for view in store.pods(key)} if kind is POD else set(store.children(key, kind))
            assert there == mine
    assert store.all_keys() == {Key("InferenceService", "chat", name) for kind, name in model if kind is KINDS[-2]}


def test_a_service_takes_little_memory(capsys: pytest.CaptureFixture[str]) -> None:
    template: dict[str, Any] = {
        "spec": {"template": {"spec": {"containers": [{"name": "engine", "args": ["--x=1"] * 200}]}}}
    }

    def family(number: int) -> list[Any]:
        name = f"s{number}"
        return [
            service(name),
            child(RECORD, name, service=name, revision="r", revision_data=number, data={"objects": template}),
            *(child(kind, name, service=name, revision="r", **template) for kind in (DEPLOYMENT, SERVICE, BUDGET)),
            pod(f"{name}-1", revision="r"),
        ]

    store = filled()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(200):
        for each in family(number):
            put(store, each)
    used = (tracemalloc.get_traced_memory()[0] - before) / 200
    tracemalloc.stop()
    with capsys.disabled():
        print(f"\n{used / 1024:.1f} KiB for a service with five children")
    assert used < 16 * 1024


ASLEEP = {"status": {"desiredReplicas": 0}}


@pytest.mark.parametrize(
    ("case", "of", "managed", "asleep"),
    [
        ("one that is always there", service(), False, False),
        ("one that may be at zero", service(scaling={"minReplicas": 0}), True, False),
        ("one that is", service(scaling={"minReplicas": 0}) | ASLEEP, True, True),
        ("one that was and is not to be any more", service(scaling={"minReplicas": 1}) | ASLEEP, False, False),
        ("one that somebody stopped", service(scaling={"minReplicas": 0, "replicas": 0}) | ASLEEP, False, False),
        ("one whose callers the gateways check", service(traffic={"access": {"apiKeysSecret": "k"}}), True, False),
        ("one that cannot be read", service(scaling=None, traffic=None), False, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_which_services_depend_on_the_gateways(case: str, of: Any, managed: bool, asleep: bool) -> None:
    store = filled(of, cluster())
    assert store.managed() == ({LLAMA} if managed else set())
    assert store.asleep("chat", "llama") == asleep
    assert not store.asleep("chat", "nobody")


def test_of_endpoint_slices_those_alone_are_asked_for_that_the_operator_makes() -> None:
    assert selector(ENDPOINT_SLICE) == "endpointslice.kubernetes.io/managed-by=inferops"
    chosen = settings().watching.label_selectors
    assert chosen["discovery.k8s.io", "v1", "endpointslices"] == selector(ENDPOINT_SLICE)
    assert chosen["apps", "v1", "deployments"] == selector(DEPLOYMENT) == "app.kubernetes.io/managed-by=inferops"


def test_nodes_are_put_together_anew_only_when_one_changes() -> None:
    store = filled(node())
    first = store.nodes()
    put(store, node(version=2))
    assert store.nodes() is first
    put(store, node(version=3, unschedulable=True))
    assert [found.cordoned for found in store.nodes()] == [True]
    store.remove(NODE, "", "node-1")
    assert store.nodes() == ()
