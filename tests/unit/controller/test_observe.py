"""The store -> what a decision sees: only what belongs to the service, and nothing odd breaks it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from inferops.controller.observe import Unreadable, observe
from inferops.core.observation import Observation
from inferops.kube.kinds import DEPLOYMENT, INFERENCE_SERVICE, POD, RECORD, SERVICE
from unit.controller.building import NAMESPACE, child, pod, raw, service
from unit.controller.world import LLAMA, World, settled

NOW = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
B: dict[str, Any] = {"model": {"uri": "hf://Qwen/Qwen3-14B"}}


def seen(world: World) -> Observation:
    found = observe(LLAMA, world.store, NOW)
    assert isinstance(found, Observation)
    return found


async def test_a_service_with_all_that_belongs_to_it() -> None:
    world = await settled(scaling={"replicas": 2})
    found = seen(world)
    [revision] = found.revisions
    assert found.now == NOW
    assert found.service.spec.scaling.replicas == 2 and found.service.status.stable_revision == revision.hash
    assert revision.spec is not None and revision.spec.hash == revision.hash
    assert revision.image == "vllm/vllm-openai:v0.32.0" and revision.order == 1
    assert revision.workload is not None and not revision.workload.deleting
    assert [(view.name, view.ready, view.node) for view in revision.pods] == [
        (f"llama-{revision.hash}-0", True, "node-1"),
        (f"llama-{revision.hash}-1", True, "node-1"),
    ]
    assert found.routed_to == revision.hash
    assert found.engine is not None and found.engine.name == "vllm"
    assert [node.name for node in found.nodes] == ["node-1"]
    assert "triton" in found.runtime_names and "nvidia-l4" in found.accelerators


async def test_revisions_come_in_the_order_in_which_they_were_made() -> None:
    world = await settled()
    first = seen(world).revisions[0].hash
    world.pod_status = lambda pod: {}
    world.ask(**B)
    await world.settle()
    assert [(revision.hash == first, revision.order) for revision in seen(world).revisions] == [(True, 1), (False, 2)]


def put(world: World, kind: Any, each: Any) -> None:
    world.fake.put(kind, each)
    world.deliver()


async def test_what_belongs_to_a_namesake_does_not_count() -> None:
    """Children of a service that is gone stay until the garbage collector finds them."""
    world = await settled()
    hash_ = seen(world).revisions[0].hash
    other = {"ownerReferences": [{"uid": "uid-other", "controller": True}]}
    put(world, RECORD, child(RECORD, "llama-other", revision="other", metadata=other))
    put(world, DEPLOYMENT, child(DEPLOYMENT, "llama-other", revision="other", metadata=other))
    for kind in (RECORD, DEPLOYMENT):
        assert "llama-other" in world.store.children(LLAMA, kind)
    world.fake.edit(SERVICE, NAMESPACE, "llama", lambda raw: raw["metadata"].update(other))
    world.deliver()
    assert [revision.hash for revision in seen(world).revisions] == [hash_]
    assert seen(world).routed_to == ""


async def test_pods_without_a_revision_do_not_count() -> None:
    world = await settled()
    put(world, POD, pod("stray"))
    put(world, POD, pod("strange", revision="unknown"))
    assert [len(revision.pods) for revision in seen(world).revisions] == [1]


@pytest.mark.parametrize(
    "data",
    [None, {}, {"spec": {}}, {"spec": None, "image": "i", "objects": []}, {"objects": {"deployment": 1}}, "text", 7],
    ids=repr,
)
async def test_an_unreadable_record_is_a_revision_without_one(data: Any) -> None:
    world = await settled()
    [before] = seen(world).revisions
    name = f"llama-{before.hash}"
    put(world, RECORD, {**(world.fake.read(RECORD, NAMESPACE, name) or {}), "data": data})
    [after] = seen(world).revisions
    assert (after.hash, after.spec, after.image) == (before.hash, None, "")
    assert after.pods == before.pods


async def test_a_record_of_something_else_is_none() -> None:
    """A record that was copied under another revision's name does not make that revision serve something else."""
    world = await settled()
    [before] = seen(world).revisions
    copied = world.fake.read(RECORD, NAMESPACE, f"llama-{before.hash}") or {}
    copied["metadata"] = child(RECORD, "llama-copied", revision="copied")["metadata"]
    put(world, RECORD, copied)
    specs = {revision.hash: revision.spec for revision in seen(world).revisions}
    assert specs["copied"] is None and specs[before.hash] is not None


async def test_a_status_that_somebody_made_unreadable_counts_as_none() -> None:
    world = await settled()
    world.fake.edit(INFERENCE_SERVICE, NAMESPACE, "llama", lambda raw: raw["status"].update(replicas="many"))
    world.deliver()
    assert seen(world).service.status.stable_revision == ""
    await world.settle()
    assert world.status()["replicas"] == 1
    assert world.conditions()["Ready"] == ("True", "Ready")


async def test_what_is_gone_or_going_is_not_observed() -> None:
    world = World()
    assert observe(LLAMA, world.store, NOW) is None
    put(world, INFERENCE_SERVICE, raw(INFERENCE_SERVICE, "llama", spec=service()["spec"], metadata={
        "deletionTimestamp": "2025-11-03T12:00:00Z"}))  # fmt: skip
    assert observe(LLAMA, world.store, NOW) is None


UNREADABLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("another kind of model", {"model": {"uri": "ftp://nowhere"}}, ["spec.model.uri: must be hf://ORG/MODEL"]),
    ("no model", {"model": {}}, ["spec.model.uri: Field required"]),
    ("a value within a list", {"runtime": {"args": ["--fine", "a b\n", "--no no"]}}, ["spec.runtime.args[2]: must be"]),
    ("a rule", {"scaling": {"minReplicas": 5, "maxReplicas": 2}}, ["scaling.maxReplicas: must be at least"]),
    ("two faults", {"model": {"uri": "x"}, "slo": {"ttft": "soon"}}, ["spec.model.uri: ", "spec.slo.ttft: "]),
]


@pytest.mark.parametrize(
    ("case", "spec", "parts"), UNREADABLE, ids=lambda value: value if isinstance(value, str) and " " in value else ""
)
async def test_an_unreadable_spec_is_told_and_leaves_what_serves_alone(
    case: str, spec: dict[str, Any], parts: list[str]
) -> None:
    world = await settled()
    before = world.end()
    world.ask(**spec)
    world.deliver()
    assert isinstance(observe(LLAMA, world.store, NOW), Unreadable)
    world.fake.requests.clear()
    await world.settle()
    assert world.fake.writes == [("apply", "InferenceService", "llama")]
    assert world.conditions()["Ready"] == ("False", "InvalidSpec")
    assert world.conditions()["Stalled"] == ("True", "InvalidSpec")
    assert world.conditions()["Available"] == ("True", "MinimumReplicasAvailable")
    for part in parts:
        assert part in world.message()
    assert "Value error" not in world.message()
    world.fake.edit(INFERENCE_SERVICE, NAMESPACE, "llama", lambda raw: raw.update(spec=service()["spec"]))
    await world.settle()
    assert world.end() == before
