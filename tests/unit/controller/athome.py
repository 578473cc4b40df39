"""A hub that is a member too, in virtual time: its operator serves there what it has placed there, with real pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubernetes.aio.client import Configuration

from inferops.controller.watch import CHILD_SELECTOR
from inferops.kube.kinds import DEPLOYMENT, INFERENCE_SERVICE, NODE, POD, RECORD, SERVICE, Kind
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE, node
from unit.controller.fakekube import Fake
from unit.controller.placed import HUB_UID, Hub, Member, World, at

HERE = "here"  # the InferenceCluster that means the hub
PART = "llama-hub"  # what `llama` is there


@dataclass
class Home(Hub, Member):
    """The hub's cluster, with a scheduler and kubelets."""

    async def apply(self, kind: Kind, desired: Object, *, force: bool, subresource: str = "") -> Object:
        found = await Fake.apply(self, kind, desired, force=force, subresource=subresource)
        meta = found.get("metadata") or {}
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self.remove(kind, meta["namespace"], meta["name"])
        await self.killer.wrote()
        return found

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        await Fake.delete(self, kind, namespace, name, uid)
        await self.killer.wrote()

    def gpus(self) -> int:
        """That no pod has."""
        there = sum(int(each["status"]["allocatable"]["nvidia.com/gpu"]) for each in self.all(NODE))
        return there - sum(bool(each["spec"].get("nodeName")) for each in self.all(POD))

    def operate(self) -> None:
        wanted = {
            f"{each['metadata']['name']}-{number}": each
            for each in self.all(DEPLOYMENT, CHILD_SELECTOR)
            for number in range(each["spec"]["replicas"])
        }
        there = {raw["metadata"]["name"]: raw for raw in self.all(POD)}
        for name in sorted(there.keys() - wanted.keys()):
            self.remove(POD, NAMESPACE, name)
        for name, deployment in wanted.items():
            raw = there.get(name)
            if raw is None or not raw["spec"].get("nodeName"):
                self.put(POD, self._pod(name, deployment), "kubelet")

    def _pod(self, name: str, of: Object) -> Object:
        placed, template = self.gpus() > 0, of["spec"]["template"]
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "uid": of["metadata"]["uid"], "controller": True}
        meta = {
            "name": name,
            "namespace": NAMESPACE,
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner],
        }
        scheduled = {"type": "PodScheduled", "status": str(placed)} | ({} if placed else {"message": "no GPU"})
        ready = {"type": "Ready", "status": str(placed and self.starts)}
        where = {"nodeName": self.all(NODE)[0]["metadata"]["name"]} if placed else {}
        return {"metadata": meta, "spec": {**template["spec"], **where}, "status": {"conditions": [scheduled, ready]}}


class HomeWorld(World):
    """The hub is one of the members, beside others."""

    hub: Home

    def __init__(self, members: dict[str, Member], gpus: int = 8) -> None:
        home = Home(now=lambda: at().strftime("%Y-%m-%dT%H:%M:%SZ"))
        home.objects["Namespace", "", "kube-system"] = {"metadata": {"name": "kube-system", "uid": HUB_UID}}
        home.put(NODE, node("home-0", gpus=gpus))
        super().__init__(members, home)
        self.members = {**members, HERE: home}
        self.register(HERE, access={"hub": True})
        for name in members:
            self.register(name)

    def _connect(self, configuration: Configuration) -> Any:
        return self.members.get(str(configuration.host).removeprefix("https://"), self.hub)

    @property
    def part(self) -> Object | None:
        """What the service is in the hub."""
        return self.hub.read(INFERENCE_SERVICE, NAMESPACE, PART)

    def pods(self, of: str = PART) -> int:
        """Replicas of a service of the hub that answer."""
        return sum(
            each["metadata"]["labels"]["inferops.dev/service"] == of and bool(each["spec"].get("nodeName"))
            for each in self.hub.all(POD)
        )

    def left(self, of: str) -> list[str]:
        """What there is of a service in the hub."""
        kinds = (INFERENCE_SERVICE, DEPLOYMENT, POD, RECORD, SERVICE)
        named = [(kind.kind, each) for kind in kinds for each in self.hub.all(kind)]
        return [
            f"{kind} {each['metadata']['name']}"
            for kind, each in named
            if of in (each["metadata"]["name"], (each["metadata"].get("labels") or {}).get("inferops.dev/service"))
        ]
