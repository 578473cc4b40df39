"""A stand-in for the controller of LeaderWorkerSets: it makes the pods of each group, with the real labels and names.

The real one is a program of its own with webhooks. Like it, this one gives every container the variables LWS_*, makes
workers once their leader is there, and lets a group begin anew that has lost a pod.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controlplane import Cluster
from inferops.kube.kinds import LEADER_WORKER_SET, POD
from nodeagent.client import ApiError, Client, load_kubeconfig

Json = dict[str, Any]
PREFIX = "leaderworkerset.sigs.k8s.io"
NAME, GROUP, WORKER, KEY = (f"{PREFIX}/{name}" for name in ("name", "group-index", "worker-index", "group-key"))
EVERY = 0.2  # seconds between two looks


@contextmanager
def group_controller(cluster: Cluster) -> Iterator[None]:
    """The controller, in a thread of its own. It waits for the kind to be installed."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_run(cluster, stop)), name="groups")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


async def _run(cluster: Cluster, stop: threading.Event) -> None:
    complete: set[str] = set()  # uids of the leaders whose workers were all made once
    async with Client(load_kubeconfig(cluster.kubeconfig)) as api:
        while not stop.is_set():
            try:
                for lws in (await api.get(LEADER_WORKER_SET.path()))["items"]:
                    await _sync(api, lws, complete)
            except ValueError:  # "page not found": there is no such kind
                pass
            except ApiError as error:
                # The kind or the namespace comes or goes, or somebody was faster.
                if error.status not in (403, 404, 409, 429):
                    raise
            await asyncio.sleep(EVERY)


async def _sync(api: Client, lws: Json, complete: set[str]) -> None:
    meta, spec = lws["metadata"], lws["spec"]
    if "deletionTimestamp" in meta:
        return
    listed = await api.get(POD.path(meta["namespace"]), labelSelector=f"{NAME}={meta['name']}")
    there = {pod["metadata"]["name"]: pod for pod in listed["items"]}
    template = spec["leaderWorkerTemplate"]
    for index in range(spec["replicas"]):
        leader = f"{meta['name']}-{index}"
        if leader not in there:
            await api.create(POD.path(meta["namespace"]), _pod(lws, template["leaderTemplate"], lws, index, 0))
            continue
        if "deletionTimestamp" in there[leader]["metadata"]:
            continue
        uid = there[leader]["metadata"]["uid"]
        lacking = [number for number in range(1, template["size"]) if f"{leader}-{number}" not in there]
        if lacking and uid in complete:
            await api.delete(POD.path(meta["namespace"], leader))
        for number in lacking if uid not in complete else ():
            pod = _pod(lws, template["workerTemplate"], there[leader], index, number)
            await api.create(POD.path(meta["namespace"]), pod)
        complete.add(uid)  # by now; a worker may be gone again before the next look
    for name, pod in there.items():
        surplus = int(pod["metadata"]["labels"][GROUP]) >= spec["replicas"]
        if surplus and "deletionTimestamp" not in pod["metadata"]:
            await api.delete(POD.path(meta["namespace"], name))


def _pod(lws: Json, template: Json, owner: Json, index: int, number: int) -> Json:
    """Worker `number` of group `index`; 0 is its leader. A worker goes with its leader, which goes with the set."""
    meta = lws["metadata"]
    leader = f"{meta['name']}-{index}"
    variables = {
        "LWS_LEADER_ADDRESS": f"{leader}.{leader}.{meta['namespace']}",
        "LWS_GROUP_SIZE": str(lws["spec"]["leaderWorkerTemplate"]["size"]),
        "LWS_WORKER_INDEX": str(number),
    }
    env = [{"name": name, "value": value} for name, value in variables.items()]
    containers = [{**each, "env": [*env, *each.get("env", ())]} for each in template["spec"]["containers"]]
    key = hashlib.sha1(f"{meta['namespace']}/{leader}".encode(), usedforsecurity=False).hexdigest()
    labels = {NAME: meta["name"], GROUP: str(index), WORKER: str(number), KEY: key}
    kind = "Pod" if number else lws["kind"]
    reference = {
        "apiVersion": "v1" if number else lws["apiVersion"],
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{leader}-{number}" if number else leader,
            "namespace": meta["namespace"],
            "labels": {**template["metadata"]["labels"], **labels},
            "ownerReferences": [reference],
        },
        "spec": {**template["spec"], "containers": containers, "hostname": f"{leader}-{number}", "subdomain": leader},
    }
