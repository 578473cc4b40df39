"""`inferops diff`: what comes of a change, by the operator's own decisions, on the cluster as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inferops.cli.diff.ask import BadFile, Change, as_data, read, told
from inferops.cli.diff.change import Outlook
from inferops.cli.diff.fields import of_objects
from inferops.cli.diff.live import Live
from inferops.cli.gather import Gathering
from inferops.cli.lines import line
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, LEADER_WORKER_SET, NODE, Kind
from inferops.kube.owned import Object
from unit.controller.building import service
from unit.controller.world import World, settled


class Cluster:
    """A world as its API server shows it to somebody who may not see `hidden`."""

    def __init__(self, world: World, *hidden: Kind) -> None:
        self.world, self.hidden = world, hidden

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        if kind in self.hidden:
            raise KubeError("list", 403, "Forbidden", "you may not")
        if kind is LEADER_WORKER_SET:
            raise KubeError("list", 404, "NotFound", "no such kind")
        yield self.world.fake.all(kind, selector if "=" in selector else ""), 1


async def outlook(world: World, *hidden: Kind, name: str = "llama", **spec: Any) -> tuple[Outlook, list[str]]:
    live = world.fake.read(INFERENCE_SERVICE, "chat", name)
    wanted = {**(live or service(name)), "spec": {**(live or service(name))["spec"], **spec}}
    reads = Gathering(Cluster(world, *hidden))
    found = await Live(reads).outlook(live, wanted)
    assert isinstance(found, Outlook), found
    return found, reads.unseen


async def test_what_restarts_nothing_says_so() -> None:
    world = await settled()
    found, _ = await outlook(world, scaling={"maxReplicas": 4})
    stays = world.status()["stableRevision"]
    assert found.sentences[0] == f"no new revision: {stays} stays, and nothing restarts"
    assert found.before is not None and found.before.hash == found.after.hash == stays


async def test_another_context_is_a_canary_that_needs_gpus_meanwhile() -> None:
    world = await settled()
    old = world.status()["stableRevision"]
    rollout = {"strategy": "surge", "steps": [{"weight": 10}, {"weight": 50}]}
    found, unseen = await outlook(world, model={"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 4096}, rollout=rollout)
    assert found.sentences[0].startswith(f"revision {old} → {found.after.hash}: a new one")
    assert found.sentences[1] == "rollout: surge, as a canary: 10%, 50%, then all"
    assert found.sentences[2] == "replicas: 1 on 1x nvidia-l4, as before"
    assert found.sentences[3].startswith("GPUs: 1 more of nvidia-l4 during the rollout: ")
    assert found.sentences[4] == "cost: 0.78 USD/h, as before, up to 1.56 during the rollout"
    assert not unseen
    world.ask(model={"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 4096}, rollout=rollout)
    await world.settle()
    assert world.status()["latestRevision"] == found.after.hash, "it is what the operator makes of it"


async def test_where_there_is_no_room_the_rollout_waits() -> None:
    world = await settled()
    for raw in world.fake.all(NODE):
        world.fake.edit(NODE, "", raw["metadata"]["name"], lambda each: each.update(spec={"unschedulable": True}))
    rollout = {"strategy": "surge", "steps": []}
    found, _ = await outlook(world, model={"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 4096}, rollout=rollout)
    assert "room for 0 of 1 replicas; the rollout waits for nodes, and is rolled back after 30m" in found.sentences[3]


@pytest.mark.parametrize("strategy", ["swap", "recreate"])
async def test_exchanged_replicas_need_no_more_gpus(strategy: str) -> None:
    found, _ = await outlook(
        await settled(), model={"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 4096}, rollout={"strategy": strategy}
    )
    assert not any(each.startswith("GPUs: ") for each in found.sentences)


async def test_more_replicas_need_gpus_for_good() -> None:
    found, _ = await outlook(await settled(), scaling={"replicas": 3, "maxReplicas": 4})
    assert "replicas: 1 on 1x nvidia-l4 → 3 on 1x nvidia-l4" in found.sentences
    assert any(each.startswith("GPUs: 2 more of nvidia-l4 for good: ") for each in found.sentences)
    assert "cost: 0.78 → 2.34 USD/h" in found.sentences


async def test_a_spec_that_cannot_be_served_says_what_goes_on() -> None:
    world = await settled()
    found, _ = await outlook(world, runtime={"name": "vlm"})
    assert found.sentences[0].startswith("the spec could not be served: spec.runtime.name: no ServingRuntime 'vlm'")
    assert found.sentences[0].endswith(f"revision {world.status()['stableRevision']} goes on serving")


async def test_a_new_service_has_no_canary() -> None:
    found, _ = await outlook(await settled(), name="other")
    assert found.before is None and "the first one, without a canary" in found.sentences[0]
    assert "replicas: 1 on 1x nvidia-l4" in found.sentences


async def test_a_placed_service_goes_cluster_by_cluster() -> None:
    waves = {"clusters": {"waves": [["eu"], ["us"]]}}
    found, _ = await outlook(await settled(), placement={"clusters": {}}, rollout=waves, load={"concurrency": 3})
    assert found.sentences[0].startswith("no new version")


async def test_what_may_not_be_seen_is_said_and_the_rest_is_told() -> None:
    found, unseen = await outlook(await settled(), NODE, scaling={"replicas": 2, "maxReplicas": 2})
    assert any(each.endswith("what is free is not known to you") for each in found.sentences)
    assert unseen[0].startswith("you may not list nodes: the first choice of accelerators counts")


async def test_lines_are_those_of_fields_and_then_of_what_comes() -> None:
    world = await settled()
    live = world.fake.read(INFERENCE_SERVICE, "chat", "llama") or {}
    wanted = {**live, "spec": {**live["spec"], "load": {"concurrency": 3}}}
    found, _ = await outlook(world, load={"concurrency": 3})
    change = Change(
        "InferenceService",
        "chat",
        "llama",
        "changed",
        tuple(of_objects(live, wanted)),
        found,
        objects=("+a: [b]", " c"),
    )
    lines = [line(each).plain for each in told([change], ["nodes"], ["Secret"])]
    assert lines[:2] == ["InferenceService chat/llama: changed", '  + spec.load: {"concurrency": 3}']
    assert "+a: [b]" in lines and " c" in lines
    assert lines[-2:] == ["not looked at: Secret, which is no resource of inferops", "not seen: nodes"]
    assert as_data(change)["after"]["revision"] == found.after.hash


@pytest.mark.parametrize("text", ["]", "5", "kind: InferenceService", "kind: [a]\nmetadata: {name: b}"])
def test_a_file_that_holds_no_resources_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(BadFile):
        list(read(file, "chat"))


def test_lists_are_taken_apart_and_namespaces_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("kind: List\nitems:\n- {kind: InferenceService, metadata: {name: a}}\n"
                    "- {kind: Accelerator, metadata: {name: b}}\n")  # fmt: skip
    first, second = read(file, "chat")
    assert first["metadata"] == {"name": "a", "namespace": "chat"} and second["metadata"] == {"name": "b"}
