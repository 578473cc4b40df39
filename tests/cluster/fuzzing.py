"""What a hostile resource is tried on: the API server, our models, the gateway, the operator, and what that makes.

On the real API server everything is a dry run, so nothing of it stays. Whatever must not be raises AssertionError; the
rest is counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import ValidationError

from cluster.hostile import SHELL, Json
from controlplane import ApiError, Cluster
from inferops.api.accelerator import AcceleratorSpec
from inferops.api.problems import problems
from inferops.api.resources import KINDS, InferenceService
from inferops.catalogue import accelerators
from inferops.gateway.sources.views import backend, service_view
from inferops.kube.kinds import (
    ACCELERATOR,
    BUDGET,
    CLAIM_TEMPLATE,
    DEPLOYMENT,
    INFERENCE_CLUSTER,
    INFERENCE_SERVICE,
    LEADER_WORKER_SET,
    NODE,
    POD,
    RECORD,
    SERVICE,
    SERVING_RUNTIME,
    Kind,
)
from inferops.runtimes import ENGINES
from unit.controller.building import NAMESPACE, raw
from unit.controller.building import service as good_service
from unit.controller.world import World

MODELS = {kind.name: kind.model for kind in KINDS}
PLACES = {each.kind: each for each in (INFERENCE_SERVICE, INFERENCE_CLUSTER, SERVING_RUNTIME, ACCELERATOR)}
REFUSALS = (400, 413, 422)  # malformed, too large, invalid
MADE = (RECORD, DEPLOYMENT, SERVICE, BUDGET, CLAIM_TEMPLATE)
SHELLS = ("sh", "bash", "dash", "ash")
CLASSES = ("batch", "serving")  # PriorityClasses that samples name
ABSENT = "no PriorityClass with name"  # in a refusal: an admin is to make it, and the status says so
NEVER_OURS = ("uid", "resourceVersion", "ownerReferences", "managedFields", "generation", "creationTimestamp")


@dataclass
class Tried:
    """Tries resources in a namespace that enforces Pod Security `restricted`, and counts what became of them."""

    cluster: Cluster
    namespace: str
    counts: Counter[str] = field(default_factory=Counter)
    refused_children: Counter[str] = field(default_factory=Counter)  # what the API server says of what we would make

    def resource(self, given: Json) -> None:
        """Send it; where it is admitted, read it and see what the operator makes of it."""
        kind = PLACES[given["kind"]]
        self.counts["tried"] += 1
        try:
            admitted = self._dry(kind, given)
        except ApiError as refusal:
            assert refusal.status in REFUSALS, f"{refusal.status}: {refusal}"
            self.counts["refused"] += 1
            return
        self.counts["admitted"] += 1
        told = _problems(admitted)
        if told:
            assert all(each.startswith(("spec", "metadata")) for each in told), told
            self.counts["admitted and unreadable, which its status tells"] += 1
        if kind is INFERENCE_SERVICE:
            self.world(admitted, told)
        elif not told and kind is SERVING_RUNTIME:
            self.world(_with_runtime(admitted["metadata"]["name"]), [], (kind, admitted))
        elif not told and kind is ACCELERATOR:
            self.world(_with_accelerator(admitted["metadata"]["name"]), [], (kind, admitted))

    def world(self, service: Json, told: list[str], *admins: tuple[Kind, Json]) -> None:
        """Reconcile the service, until nothing changes, where a node can hold what it asks for."""
        name = service["metadata"]["name"]
        world = asyncio.run(_settled(service, admins))
        conditions = world.conditions(name)
        assert "Ready" in conditions, world.fake.requests
        assert all(each["message"] for each in world.status(name)["conditions"] if each["status"] != "True")
        if told:
            assert conditions["Stalled"] == ("True", "InvalidSpec"), conditions
            assert all(each in world.message("Ready", name) for each in told[:1]), world.message("Ready", name)
        if conditions.get("Stalled", ("", ""))[0] == "True":
            self.counts["not run, which its status tells"] += 1
        if not told:  # else the gateway stays with what it read last
            live = world.fake.read(INFERENCE_SERVICE, NAMESPACE, name) or {}
            backend(service_view(live), ENGINES["vllm"].api, ())
        before = len(world.fake.changes)
        asyncio.run(world.settle())
        assert len(world.fake.changes) == before, "a second look at the same world writes nothing"
        for kind in MADE:
            for each in world.children(kind, name).values():
                self._made(kind, each)
        for kind in (DEPLOYMENT, LEADER_WORKER_SET):
            for workload in world.children(kind, name).values():
                for template in templates(workload):
                    self.pod(template)

    def pod(self, template: Json) -> None:
        """Assert that the API server would admit such a pod, and that no shell reads what a user says."""
        self.counts["pods"] += 1
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            line = [*container.get("command", ()), *container.get("args", ())]
            if line and line[0].rpartition("/")[2] in SHELLS:
                script = line[line.index("-c") + 1] if "-c" in line else ""
                assert SHELL not in script, f"a shell reads what a user says: {script}"
        self._made(POD, {"metadata": {**template["metadata"], "name": "tried"}, "spec": template["spec"]})

    def _made(self, kind: Kind, made: Json) -> None:
        meta = {key: value for key, value in made["metadata"].items() if key not in NEVER_OURS}
        self.counts["made"] += 1
        try:
            self._dry(kind, {**made, "metadata": {**meta, "namespace": self.namespace}})
        except ApiError as refusal:
            assert "violates PodSecurity" not in str(refusal), refusal
            assert refusal.status in (*REFUSALS, 403), refusal
            if ABSENT in str(refusal):
                self.counts["made for a class that is not there"] += 1
            else:
                self.refused_children[f"{kind.kind}: {refusal}"] += 1

    def _dry(self, kind: Kind, wanted: Json) -> Json:
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **wanted}
        return self.cluster.post(f"{kind.path(self.namespace)}?dryRun=All", whole)


@contextmanager
def priority_classes(cluster: Cluster) -> Iterator[None]:
    """Those that samples name: pods that name one are looked at no further where it is missing."""
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    for name in CLASSES:
        cluster.post(path, {"metadata": {"name": name}, "value": 1000})
    yield
    for name in CLASSES:
        cluster.delete(f"{path}/{name}")


def templates(workload: Json) -> Iterator[Json]:
    """The pod templates of a Deployment or LeaderWorkerSet."""
    if "template" in workload["spec"]:
        yield workload["spec"]["template"]
    else:
        group = workload["spec"]["leaderWorkerTemplate"]
        yield from (group["leaderTemplate"], group["workerTemplate"])


def _problems(admitted: Json) -> list[str]:
    """What our models have against a resource that the API server has nothing against."""
    try:
        MODELS[admitted["kind"]].model_validate({**admitted, "status": {}})
    except ValidationError as error:
        return problems(error) or ["nothing is told"]
    return []


async def _settled(service: Json, admins: tuple[tuple[Kind, Json], ...]) -> World:
    world = World()
    world.fake.offered.update((LEADER_WORKER_SET, CLAIM_TEMPLATE))
    known = dict(accelerators())
    for kind, each in admins:
        if kind is ACCELERATOR:
            known[each["metadata"]["name"]] = AcceleratorSpec.model_validate(each["spec"])
    for type_ in _types(service):
        if type_ in known:
            world.fake.put(NODE, _node(type_, known[type_]))
    world.restart()
    for kind, each in admins:
        world.store.put(kind, {**each, "metadata": {**each["metadata"], "resourceVersion": "1"}})
    meta = {**service["metadata"], "namespace": NAMESPACE, "uid": "uid-hostile", "generation": 1}
    world.fake.put(INFERENCE_SERVICE, {**service, "metadata": meta})
    await world.settle()
    assert not world.errors, world.errors
    return world


def _types(service: Json) -> set[str]:
    try:
        return {each.type for each in InferenceService.model_validate({**service, "status": {}}).spec.accelerators}
    except ValidationError:
        return set()


def _node(name: str, accelerator: AcceleratorSpec) -> Json:
    """A node with 64 of the accelerator."""
    labels = {each.key: each.values[0] if each.values else "" for each in accelerator.node_labels}
    allocatable = {"cpu": "999", "memory": "9999Gi", accelerator.resource_name: "64"}
    status = {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]}
    return raw(NODE, f"node-of-{name}", metadata={"labels": labels}, status=status)


def _with_runtime(name: str) -> Json:
    made: Json = good_service("hostile", runtime={"name": name})
    return made


def _with_accelerator(name: str) -> Json:
    made: Json = good_service("hostile", accelerators=[{"type": name}])
    return made
