"""What pods and claims use of a node: as Kubernetes counts it, and nothing that is mangled breaks it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.controller.claims import NOTHING, PodUse, claim_use, pod_use, quota_view
from inferops.core.quotas import Quota
from inferops.kube.kinds import POD, RESOURCE_QUOTA
from unit.controller.building import raw

GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
DRIVER = "gpu.nvidia.com"


def container(gpus: Any = None, resource: str = GPU, **more: Any) -> dict[str, Any]:
    requests = {"cpu": "4", **({resource: gpus} if gpus is not None else {})}
    return {"name": "c", "resources": {"requests": requests}, **more}


def sidecar(gpus: Any, resource: str = GPU) -> dict[str, Any]:
    return container(gpus, resource, restartPolicy="Always")


def using(*containers: Any, init: Any = (), phase: str = "Running", node: str = "n", **spec: Any) -> PodUse:
    spec = {"nodeName": node, "containers": list(containers), "initContainers": list(init), **spec}
    return pod_use(raw(POD, "p", spec=spec, status={"phase": phase}))


@pytest.mark.parametrize(
    ("case", "containers", "init", "used"),
    [
        ("one container", [container("8")], [], {GPU: 8}),
        ("containers run together", [container("4"), container("2"), container("3", SLICE)], [], {GPU: 6, SLICE: 3}),
        ("initialization is over before they run", [container("4")], [container("2"), container("3")], {GPU: 4}),
        ("a larger initialization", [container("1")], [container("2"), container("8")], {GPU: 8}),
        ("a sidecar stays", [container("4")], [sidecar("1"), container("2")], {GPU: 5}),
        ("initialization beside the sidecars before it", [container("1")],
         [container("3"), sidecar("2"), container("6"), sidecar("1")], {GPU: 8}),
        ("initialization before a sidecar has its room", [container("1")], [container("6"), sidecar("4")], {GPU: 6}),
        ("each resource by itself", [container("1")], [container("2", SLICE)], {GPU: 1, SLICE: 2}),
        ("only a limit", [{"resources": {"limits": {GPU: "2", "memory": "8Gi"}}}], [], {GPU: 2}),
        ("a number", [container(2)], [], {GPU: 2}),
        ("nothing", [container("0"), container(None)], [container(None)], {}),
        ("less than nothing, and no number", [container("-8"), container("many"), container("0.5")], [], {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_pods(case: str, containers: list[Any], init: list[Any], used: dict[str, int]) -> None:
    assert using(*containers, init=init) == (PodUse("n", used) if used else NOTHING)


def test_a_runtimes_overhead_is_used_as_well() -> None:
    assert using(container("1"), overhead={"cpu": "250m", SLICE: "1"}) == PodUse("n", {GPU: 1, SLICE: 1})


def test_only_pods_with_a_node_that_have_not_ended_use_something() -> None:
    """An evicted pod stays on record as Failed; its GPUs are others' by then."""
    for phase in ("Failed", "Succeeded"):
        assert using(container("8"), phase=phase) == NOTHING
    assert using(container("8"), node="") == NOTHING
    for phase in ("Pending", "Running", "Unknown"):
        assert using(container("8"), phase=phase) == PodUse("n", {GPU: 8})


def test_a_pod_holds_its_gpus_until_it_is_gone() -> None:
    spec = {"nodeName": "n", "containers": [container("8")]}
    leaving = raw(POD, "p", metadata={"deletionTimestamp": "2025-11-03T12:00:00Z"}, spec=spec)
    assert pod_use(leaving) == PodUse("n", {GPU: 8})


OURS = {"inferops.dev/service": "llama"}
MADE = "2025-11-03T12:00:00Z"
GROUP = {"leaderworkerset.sigs.k8s.io/size": "4"}


def test_a_replica_without_a_node_waits_since_it_was_made() -> None:
    meta = {"labels": OURS, "creationTimestamp": MADE}
    spec, status = {"containers": [container("8")]}, {"phase": "Pending"}
    assert pod_use(raw(POD, "p", metadata=meta, spec=spec, status=status)) == PodUse("", {}, "llama", 1, 1762171200.0)
    leaving = {**meta, "deletionTimestamp": MADE}
    assert pod_use(raw(POD, "p", metadata=leaving, spec=spec, status=status)) == NOTHING
    assert pod_use(raw(POD, "p", metadata={"creationTimestamp": MADE}, spec=spec, status=status)) == NOTHING


@pytest.mark.parametrize(
    ("case", "labels", "annotations", "service", "size"),
    [
        ("one pod", {}, {}, "llama", 1),
        ("one of a group", {"inferops.dev/role": "worker"}, GROUP, "llama", 4),
        ("a leader of nobody knows how many", {"inferops.dev/role": "leader"}, {}, "llama", 1),
        ("and its worker", {"inferops.dev/role": "worker"}, {}, "", 1),
        ("a size that is none", {}, {**GROUP, "leaderworkerset.sigs.k8s.io/size": "-1"}, "llama", 1),
    ],
)
def test_pods_of_a_replica(case: str, labels: Any, annotations: Any, service: str, size: int) -> None:
    meta = {"labels": {**OURS, **labels}, "annotations": annotations}
    spec = {"nodeName": "n", "containers": [container("8")]}
    assert pod_use(raw(POD, "p", metadata=meta, spec=spec)) == PodUse("n", {GPU: 8}, service, size)


CLASS = f"{DRIVER}.deviceclass.resource.k8s.io/devices"
ALL = {f"requests.{GPU}": "8", CLASS: "1k", "requests.cpu": "64", "pods": "10", "count/services": "4"}


@pytest.mark.parametrize(
    ("case", "spec", "used", "found"),
    [
        ("of accelerators", {"hard": ALL}, {f"requests.{GPU}": "6"}, {f"requests.{GPU}": (8, 6), CLASS: (1000, 0)}),
        ("none at all", {"hard": {f"requests.{GPU}": 0}}, {}, {f"requests.{GPU}": (0, 0)}),
        ("of pods with a deadline", {"hard": ALL, "scopes": ["Terminating"]}, {}, {}),
        ("of those without", {"hard": {CLASS: "2"}, "scopes": ["NotTerminating"]}, {}, {CLASS: (2, 0)}),
        ("of some priority", {"hard": ALL, "scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}, {}, {}),
        ("of no priority", {"hard": {CLASS: "2"}, "scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}}, {}, {CLASS: (2, 0)}),
        ("mangled", {"hard": {CLASS: "-2", f"requests.{GPU}": None}, "scopes": 3}, {CLASS: []}, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_quotas(case: str, spec: Any, used: Any, found: dict[str, tuple[int, int]]) -> None:
    told = quota_view(raw(RESOURCE_QUOTA, "gpus", spec=spec, status={"used": used}))
    assert told == tuple(Quota("gpus", name, *amounts) for name, amounts in sorted(found.items()))


def claim(*results: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c"}, "status": {"allocation": {"devices": {"results": list(results)}}}}


def device(name: Any = "gpu-0", **more: Any) -> dict[str, Any]:
    return {"request": "accelerators", "driver": DRIVER, "pool": "rack/n", "device": name, **more}


@pytest.mark.parametrize(
    ("case", "raw", "held"),
    [
        ("some", claim(device(), device("gpu-1")), {(DRIVER, "rack/n/gpu-0"), (DRIVER, "rack/n/gpu-1")}),
        ("a watcher's view holds nothing", claim(device(adminAccess=True), device("gpu-1", adminAccess=False)),
         {(DRIVER, "rack/n/gpu-1")}),
        ("not allocated", {"status": {}}, set()),
        ("just made", {}, set()),
        ("mangled", claim(device(""), device(3), device(driver=None), device(pool=["n"]), "gpu-0", None), set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_claims(case: str, raw: Any, held: set[tuple[str, str]]) -> None:
    assert claim_use(raw) == held


amounts = st.integers(0, 9)
plain = st.lists(st.tuples(amounts, st.booleans()), max_size=4)  # initialization: how many, and whether it stays


@settings(max_examples=60)
@given(st.lists(amounts, max_size=3), plain)
def test_a_pod_uses_the_most_that_runs_at_once(running: list[int], init: list[tuple[int, bool]]) -> None:
    """Told by playing it: container by container, each initialization ends before the next begins."""
    staying, most = 0, 0
    for gpus, stays in init:
        most = max(most, staying + gpus)
        staying += gpus if stays else 0
    most = max(most, staying + sum(running))
    made = [sidecar(str(gpus)) if stays else container(str(gpus)) for gpus, stays in init]
    assert using(*(container(str(gpus)) for gpus in running), init=made).resources.get(GPU, 0) == most


NAMES = ["nodeName", "containers", "initContainers", "resources", "requests", "limits", "overhead", "allocation",
         "devices", "results", "driver", "pool", "device", "phase", "restartPolicy", GPU, "hard", "used", CLASS,
         "scopes", "scopeSelector", "matchExpressions", "scopeName", "operator"]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100)
@given(JSON, JSON)
def test_whatever_is_mangled_reads_as_not_there(spec: Any, status: Any) -> None:
    odd = {"metadata": {"name": "x"}, "spec": spec, "status": status}
    use = pod_use(odd)
    assert all(amount > 0 for amount in use.resources.values()) and (use.node or not use.resources)
    assert all(driver and "/" in name for driver, name in claim_use(odd))
    assert all(quota.hard >= 0 and quota.used >= 0 for quota in quota_view(odd))
