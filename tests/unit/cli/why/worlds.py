"""Services as the operator itself tells of them, and what the policies of `why` see of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferops.api.resources import InferenceService
from inferops.catalogue import accelerators
from inferops.cli.capacity import Capacity, holders
from inferops.cli.why.seen import Seen
from inferops.controller import membercapacity
from inferops.controller.views import pod_view
from inferops.core.quotas import Quota
from inferops.kube.kinds import INFERENCE_SERVICE, NODE, POD
from inferops.kube.owned import Object
from unit.cli.scenes import NOW
from unit.controller.building import NAMESPACE
from unit.controller.world import World


def pods(status: Mapping[str, Any]) -> Any:
    """The status of all pods, which have no node where the scheduler finds none."""

    def told(pod: Object) -> dict[str, Any]:
        if any(each["type"] == "PodScheduled" and each["status"] == "False" for each in status["conditions"]):
            pod["spec"] = {}
        return dict(status)

    return told


def busy(node: str, gpus: int, service: str = "other") -> Object:
    """A pod of another service that has GPUs of a node."""
    meta = {"name": f"{service}-0", "namespace": "team", "labels": {"inferops.dev/service": service}}
    requests = {"requests": {"nvidia.com/gpu": str(gpus)}}
    return {"metadata": meta, "spec": {"nodeName": node, "containers": [{"name": "engine", "resources": requests}]}}


def waiting(reason: str, message: str = "", restarts: int = 0) -> dict[str, Any]:
    """A pod whose engine waits for `reason`."""
    container = {
        "name": "engine",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
    return {"conditions": conditions, "containerStatuses": [container]}


def homeless(message: str) -> dict[str, Any]:
    """A pod for which the scheduler finds no node."""
    return {"conditions": [{"type": "PodScheduled", "status": "False", "message": message}]}


async def world(pod: Mapping[str, Any] | None = None, nodes: list[Object] | None = None, **spec: Any) -> World:
    """The operator's world once all of it has settled."""
    made = World()
    for raw in nodes or ():
        made.fake.put(NODE, raw)
    if pod is not None:
        made.pod_status = pods(pod)
    made.ask(**spec)
    await made.settle()
    return made


def seen(
    made: World, quotas: tuple[Quota, ...] = (), others: Sequence[Object] = (), *, name: str = "llama", **more: Any
) -> Seen:
    """What `why` reads of that world."""
    raw = made.fake.read(INFERENCE_SERVICE, NAMESPACE, name)
    assert raw is not None
    copy = membercapacity.Capacity()
    for kind, found in ((POD, [*made.fake.all(POD), *others]), (NODE, made.fake.all(NODE))):
        for each in found:
            copy.copies[kind].put(each)
    known = accelerators()
    has = Capacity(tuple(copy.copies[NODE].objects.values()), copy.free(known, ()), holders(copy))
    pods_there = [each for each in made.fake.all(POD) if each["metadata"]["labels"].get("inferops.dev/service") == name]
    whole = {
        "pods": tuple(pod_view(each) for each in pods_there),
        "capacity": has,
        "quotas": quotas,
        "accelerators": known,
        **more,
    }
    return Seen(InferenceService.model_validate(raw), NOW, **whole)


def scene(raw: Object, **more: Any) -> Seen:
    """What is seen of a service in the middle of a rollout."""
    return Seen(InferenceService.model_validate(raw), NOW, **more)
