"""Simulated members in one process: an API server each, and behind it an operator that serves what is asked for.

`python bench_clusters_member.py FILE` serves the fleet in FILE on ports of the loopback interface until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from pathlib import Path

from aiohttp import web

from bench_clusters_api import SERVICES, Api, Store, stamp
from bench_clusters_fleet import GPUS_A_NODE, Fleet, MemberSpec
from inferops.core.scheduling import SPOT_LABELS
from inferops.kube.owned import Object
from nodeagent.hardware import GPUS

STARTS = 1.0  # seconds until a replica is ready
PADDING = "x" * 4096  # what a usual pod or node has beside what is read here
GPU = "nvidia.com/gpu"
LABEL = "inferops.dev/service"
REVISION = "0123456789"


class Member:
    """One cluster behind its API: its operator, scheduler and kubelets."""

    def __init__(self, spec: MemberSpec) -> None:
        self.store = Store()
        self.api = Api(spec.name, self.store, self._changed, silent=spec.dead == "silent")
        self._free: dict[str, int] = {}  # GPUs by node
        self._kinds: dict[str, tuple[str, bool]] = {}
        self._pods: dict[tuple[str, str], dict[str, str]] = {}  # of each service, with their nodes
        self._waiting: set[tuple[str, str]] = set()  # services with pods that find no node
        for nodes in spec.nodes:
            for number in range(nodes.count):
                self._add_node(f"{nodes.accelerator}-{number}", nodes.accelerator, nodes.spot)

    def _add_node(self, name: str, accelerator: str, spot: bool) -> None:
        labels = {"nvidia.com/gpu.product": GPUS[accelerator].product, **dict(SPOT_LABELS[-1:] if spot else ())}
        meta = {"name": name, "uid": name, "labels": labels, "annotations": {"padding": PADDING}}
        status = {"allocatable": {GPU: str(GPUS_A_NODE)}, "conditions": [{"type": "Ready", "status": "True"}]}
        self.store.put("nodes", {"metadata": meta, "spec": {}, "status": status})
        self._free[name], self._kinds[name] = GPUS_A_NODE, (accelerator, spot)

    def _changed(self, namespace: str, name: str) -> None:
        """Somebody wrote a service: its pods come at once, and what its status tells once they have started."""
        self._bring(namespace, name)
        for waiting in list(self._waiting):  # for what it may have given back
            self._bring(*waiting)

    def _bring(self, namespace: str, name: str) -> None:
        raw = self.store.get(SERVICES, namespace, name)
        self._waiting.discard((namespace, name))
        if raw is None:
            for pod in list(self._pods.pop((namespace, name), {}).items()):
                self._end(namespace, *pod)
            return
        scaling, choice = raw["spec"].get("scaling") or {}, raw["spec"]["accelerators"][0]
        wanted = scaling.get("replicas")
        if wanted is None:  # by load: one or two, within the bounds
            asked = max(1 + zlib.crc32(name.encode()) % 2, scaling.get("minReplicas", 1))
            wanted = min(asked, scaling.get("maxReplicas", asked))
        there = self._scale(namespace, name, wanted, (choice["type"], choice.get("spot", False)))
        if there < wanted:
            self._waiting.add((namespace, name))
        asyncio.get_running_loop().call_later(STARTS, self._tell, raw, wanted, there)

    def _scale(self, namespace: str, name: str, wanted: int, kind: tuple[str, bool]) -> int:
        """Pods to the number wanted, as far as nodes have GPUs for them. Returns how many there are."""
        pods = self._pods.setdefault((namespace, name), {})
        stay = [pod for pod, node in pods.items() if self._kinds[node] == kind][:wanted]
        for pod in [pod for pod in pods if pod not in stay]:
            self._end(namespace, pod, pods.pop(pod))
        for pod in [f"{name}-{number}" for number in range(wanted)]:
            if pod not in pods and (node := self._fullest(kind)):
                pods[pod] = node
                self._begin(namespace, name, pod, node)
        return len(pods)

    def _fullest(self, kind: tuple[str, bool]) -> str:
        fitting = [(free, node) for node, free in self._free.items() if free and self._kinds[node] == kind]
        return min(fitting, default=(0, ""))[1]

    def _begin(self, namespace: str, service: str, pod: str, node: str) -> None:
        self._free[node] -= 1
        labels, padding = {LABEL: service}, {"padding": PADDING}
        meta = {"name": pod, "namespace": namespace, "uid": pod, "labels": labels, "annotations": padding}
        spec = {"nodeName": node, "containers": [{"resources": {"limits": {GPU: "1"}}}]}
        self.store.put("pods", {"metadata": meta, "spec": spec, "status": {"phase": "Running"}})

    def _end(self, namespace: str, pod: str, node: str) -> None:
        self._free[node] += 1
        self.store.remove("pods", namespace, pod)

    def _tell(self, seen: Object, wanted: int, there: int) -> None:
        """Its status, unless it is another by now."""
        meta = seen["metadata"]
        live = self.store.get(SERVICES, meta["namespace"], meta["name"])
        if live is None or any(live["metadata"][part] != meta[part] for part in ("uid", "generation")):
            return
        state = "True" if there >= wanted else "Unknown"
        same = {"status": state, "reason": "Bench", "message": "", "lastTransitionTime": stamp()}
        status = {
            "observedGeneration": meta["generation"],
            "desiredReplicas": wanted,
            "replicas": there,
            "readyReplicas": there,
            "stableRevision": REVISION,
            "latestRevision": REVISION,
            "conditions": [{"type": kind, **same} for kind in ("Ready", "RolledOut", "Routed", "Available")],
        }
        self.store.put(SERVICES, {**live, "status": status})


async def serve(fleet: Fleet) -> None:
    """Until cancelled."""
    members = {spec.name: Member(spec) for spec in fleet.members}
    loop = asyncio.get_running_loop()

    async def steered(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            what, _, name = request.path.strip("/").partition("/")
            members[name].api.silent = what == "silence"
        return web.json_response({name: member.api.asked for name, member in members.items()})

    for spec in fleet.members:
        if spec.dead != "gone":
            answer = web.Server(members[spec.name].api.answer, access_log=None)
            await loop.create_server(answer, "127.0.0.1", spec.port)
    await loop.create_server(web.Server(steered, access_log=None), "127.0.0.1", fleet.control)
    print("serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Fleet.read(Path(sys.argv[1]))))
