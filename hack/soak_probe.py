"""What is read of the soak's processes and of its cluster: memory, tasks, descriptors; services, pods, what is left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controlplane import Cluster
from harness import Child
from inferops.kube.kinds import (
    BUDGET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    INFERENCE_SERVICE,
    JOB,
    POD,
    RECORD,
    SERVICE,
    Kind,
)
from soak_figures import GpuPod, Sample

Json = dict[str, Any]
OURS = (RECORD, DEPLOYMENT, SERVICE, BUDGET, ENDPOINT_SLICE, JOB, POD)
LABEL = "inferops.dev/service"
GPU = "nvidia.com/gpu"


def sample(child: Child) -> Sample | None:
    """A process as it is now. None where it has ended."""
    pid = child.process.pid
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        fds = len(os.listdir(f"/proc/{pid}/fd"))
        cpu = child.cpu_seconds()
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        rss, threads = float(lines["VmRSS"].split()[0]) * 1024, float(lines["Threads"])
    except (OSError, KeyError):  # the latter of one that has just ended and was not waited for
        return None
    told = dict(_metrics(child.get("/metrics")[1]))
    tasks = told.get("inferops_asyncio_tasks", told.get("inferops_gateway_asyncio_tasks"))
    stored = [value for name, value in told.items() if name.startswith("inferops_stored_objects")]
    return Sample(
        time.monotonic(),
        rss=rss,
        tasks=tasks,
        fds=fds,
        threads=threads,
        queue=told.get("inferops_queue_depth"),
        stored=sum(stored) if stored else None,
        cpu=cpu,
    )


def bugs(child: Child) -> float:
    """Reconciles that ended by an exception that nobody had thought of."""
    told = _metrics(child.get("/metrics")[1])
    return sum(value for name, value in told if name.startswith("inferops_reconciles_total") and 'result="bug"' in name)


def services(cluster: Cluster) -> list[Json]:
    return list(json.loads(cluster.get(INFERENCE_SERVICE.path()))["items"] or ())


def pods(cluster: Cluster) -> list[Json]:
    """Ours, in all namespaces."""
    return list(json.loads(cluster.get(f"{POD.path()}?labelSelector={LABEL.replace('/', '%2F')}"))["items"] or ())


def condition(service: Json, kind: str) -> Json:
    found = (service.get("status") or {}).get("conditions") or ()
    return next((each for each in found if each["type"] == kind), {})


def judged(service: Json) -> bool:
    """Whether the status is about its newest generation."""
    return bool(condition(service, "Ready").get("observedGeneration") == service["metadata"]["generation"])


def serves(service: Json) -> bool:
    """On its newest generation; after a rollback it serves and is not Ready, as it is told."""
    stalled, available = condition(service, "Stalled"), condition(service, "Available")
    rolled_back = stalled.get("status") == "True" and available.get("status") == "True"
    return judged(service) and (condition(service, "Ready").get("status") == "True" or rolled_back)


def answers(service: Json) -> bool:
    """Whether requests are answered, whatever else is going on, by the newest spec."""
    return judged(service) and condition(service, "Available").get("status") == "True"


def told(service: Json) -> str:
    """What a service says of itself, in a line."""
    ready, rollout = condition(service, "Ready"), (service.get("status") or {}).get("rollout") or {}
    why = f"Ready {ready.get('status')}: {ready.get('message')}"
    return f"{service['metadata']['name']}: {why}; rollout {rollout.get('phase')} since {rollout.get('since')}"


def serves_or_rolls(service: Json) -> bool:
    """It serves, be it beside a canary."""
    rolling = condition(service, "Reconciling").get("status") == "True" and bool(service["status"].get("rollout"))
    serves_old = rolling and condition(service, "Available").get("status") == "True"
    return serves(service) or (judged(service) and serves_old)


def gpu_pods(found: list[Json], services: list[Json], known: dict[tuple[str, str], str]) -> Iterator[GpuPod]:
    """Those that hold GPUs. `known` keeps the uid that a service had, for pods that outlive it."""
    known |= {(each["metadata"]["namespace"], each["metadata"]["name"]): each["metadata"]["uid"] for each in services}
    for pod in found:
        meta = pod["metadata"]
        asked = [each.get("resources", {}).get("limits", {}).get(GPU, 0) for each in pod["spec"]["containers"]]
        gpus = sum(map(int, asked))
        if gpus and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed") and pod["spec"].get("nodeName"):
            of = (meta["namespace"], meta["labels"][LABEL])
            yield GpuPod(meta["uid"], known.get(of, "/".join(of)), gpus)


def left(cluster: Cluster) -> list[str]:
    """Every object of ours that there is."""
    found = []
    for kind in (INFERENCE_SERVICE, *OURS):
        label = f"?labelSelector={LABEL.replace('/', '%2F')}" if kind is not INFERENCE_SERVICE else ""
        found += [_name(kind, each) for each in json.loads(cluster.get(kind.path() + label))["items"] or ()]
    return found


def _name(kind: Kind, found: Json) -> str:
    meta = found["metadata"]
    told = f"{kind.kind} {meta.get('namespace', '')}/{meta['name']}"
    ends = f", deleted at {meta['deletionTimestamp']}" if "deletionTimestamp" in meta else ""
    return f"{told}{ends}, on {found['spec'].get('nodeName')}" if kind is POD else f"{told}{ends}"


def _metrics(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        if line.startswith("inferops_"):
            name, _, value = line.rpartition(" ")
            yield name, float(value)
