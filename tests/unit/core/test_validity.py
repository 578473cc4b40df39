"""Why a service cannot be served at all: the reason, and a sentence that names the field and the remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferops.api.conditions import Reason
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.decide import decide
from inferops.core.engine import Obstacle
from inferops.core.observation import LEADER_WORKER_SET, Observation
from inferops.core.scheduling import GROUP_NAME_LIMIT
from inferops.core.validity import obstacle
from unit.core.building import REFUSED_ARGUMENT, revision, seen, service, told

TAKEN = Obstacle(Reason.NAME_CONFLICT, "metadata.name: Service llama exists; delete it")
TRITON = ServingRuntimeSpec(engine="triton")


@pytest.mark.parametrize(
    ("case", "world", "reason", "parts"),
    [
        ("an unknown runtime", seen(service(runtime={"name": "tgi"}), runtime=None, engine=None), "RuntimeNotFound",
         ["spec.runtime.name", "'tgi'", "there are: triton, vllm"]),
        ("no runtime at all", seen(service(), runtime=None, engine=None, runtime_names=()), "RuntimeNotFound",
         ["there are: none"]),
        ("an engine of a newer version", seen(service(), runtime=TRITON, engine=None), "RuntimeInvalid",
         ["ServingRuntime vllm", "'triton'", "upgrade the operator", "spec.runtime.name"]),
        ("no accelerator", seen(service().model_copy(update={
            "spec": service().spec.model_copy(update={"accelerators": []})})), "ModelUnknown",
         ["spec.accelerators", "for example", "h100, l4, mig"]),
        ("an unknown accelerator", seen(service("l4", "tpu")), "AcceleratorNotFound",
         ["spec.accelerators[1].type", "'tpu'", "known types: h100, l4, mig", "applying an Accelerator"]),
        ("a kind that the cluster lacks", seen(service({"type": "l4", "count": 16, "nodes": 2})),
         "LeaderWorkerSetMissing", ["spec.accelerators", "16x l4 on 2 nodes", "leaderworkerset.x-k8s.io/v1", "install",
                                    "nodes: 1"]),
        ("an argument", seen(service(runtime={"args": [REFUSED_ARGUMENT]})), "ArgumentNotAllowed",
         ["spec.runtime.args[0]", "remove it"]),
        ("a refusal of the API server", seen(service(), refused=TAKEN), "NameConflict", ["metadata.name"]),
        ("the spec's faults come first", seen(service("tpu"), refused=TAKEN), "AcceleratorNotFound", ["tpu"]),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_what_stands_in_the_way(case: str, world: Observation, reason: str, parts: list[str]) -> None:
    found = obstacle(world)
    assert found is not None and found.reason == reason
    for part in parts:
        assert part in found.message


def test_nothing_stands_in_the_way_of_a_sound_service() -> None:
    assert obstacle(seen(service("h100", "l4", "mig"))) is None
    pair = {"type": "l4", "count": 16, "nodes": 2}
    world = seen(service(pair), kinds=frozenset({LEADER_WORKER_SET}))
    for length, fits in ((GROUP_NAME_LIMIT, True), (GROUP_NAME_LIMIT + 1, False)):
        meta = world.service.metadata.model_copy(update={"name": "x" * length})
        found = obstacle(replace(world, service=world.service.model_copy(update={"metadata": meta})))
        assert (found is None) == fits
        assert found is None or ("metadata.name" in found.message and "a shorter name" in found.message)
    assert obstacle(seen(service(pair, "h100"))) is None, "the other choice can be made"
    assert obstacle(seen(service(pair), kinds=frozenset({LEADER_WORKER_SET}))) is None


@pytest.mark.parametrize("world", [seen(service(runtime={"name": "tgi"}), runtime=None), seen(service("tpu"))])
def test_a_fault_is_a_status_and_never_an_exception(world: Observation) -> None:
    serving = revision(service(), ready=1)
    world = replace(world, revisions=(serving,), routed_to=serving.hash)
    decision = decide(world)
    conditions = told(decision.status.conditions)
    assert conditions["Ready"][0] == "False" and conditions["Stalled"][0] == "True"
    assert conditions["Available"][0] == "True"
    assert [plan.hash for plan in decision.revisions] == [serving.hash] and not decision.removed
    assert decision.route_to == serving.hash
