"""Raw objects of the API server -> the small views that decisions are made from.

Only what a decision reads is kept, so that a thousand services fit into little memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from inferops.controller.shapes import extended, listed, mapping, text
from inferops.core.observation import NodeView, PodView, Taint, WorkloadView
from inferops.render.labels import ROLE, WORKER
from inferops.render.pod import CONTAINER

SERVICE_LABEL = "inferops.dev/service"
REVISION_LABEL = "inferops.dev/revision"
GROUP_LABEL = "leaderworkerset.sigs.k8s.io/group-index"
MESSAGE_LIMIT = 512
ADDRESS_LIMIT = 64
KEEP_OFF = ("NoSchedule", "NoExecute")  # the effects of taints; PreferNoSchedule is a wish
LOOP = "CrashLoopBackOff"
QUICK = 600.0  # seconds; after a longer run kubelet's back-off begins anew

Raw = Mapping[str, Any]


def _condition(raw: Raw, kind: str) -> Raw:
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def _waiting(container: Raw) -> Raw:
    return (container.get("state") or {}).get("waiting") or {}


def _loops(container: Raw) -> bool:
    """Whether it crashes again and again. It does so too while it runs in between, or its state would go up and down
    with every crash; kubelet waits only before the third run."""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    try:
        lasted = datetime.fromisoformat(ended["finishedAt"]) - datetime.fromisoformat(ended["startedAt"])
    except (KeyError, TypeError, ValueError):
        return False
    return int(container.get("restartCount") or 0) >= 2 and lasted.total_seconds() < QUICK


def _telling(status: Raw) -> Raw:
    """The container that says how the pod is: one that is stuck, else the engine. A webhook may have added others."""

    def weight(container: Raw) -> tuple[bool, bool]:
        stuck = _waiting(container).get("reason") not in (None, "", "PodInitializing", "ContainerCreating")
        return stuck or _loops(container), container.get("name") == CONTAINER

    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return max(containers, key=weight, default={})


def _started(status: Raw) -> bool:
    """Whether the engine's container has started, now or before: by then its images are pulled. Kubernetes' own
    `started` comes later, with the startup probe."""
    for container in status.get("containerStatuses") or ():
        if container.get("name") == CONTAINER:
            now, before = container.get("state") or {}, container.get("lastState") or {}
            ran = now.get("running") is not None or any(each.get("terminated") is not None for each in (now, before))
            return ran or bool(container.get("started")) or int(container.get("restartCount") or 0) > 0
    return False


def _time(raw: Raw, name: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(raw[name])
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def pod_view(raw: Raw) -> PodView:
    """What matters of a pod. `raw` is untrusted: whatever is missing reads as not there yet."""
    meta, status = raw["metadata"], raw.get("status") or {}
    labels = meta.get("labels") or {}
    container = _telling(status)
    waiting = _waiting(container)
    looping = waiting.get("reason") == LOOP or _loops(container)
    ended = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get("terminated")
    scheduled, readiness = _condition(raw, "PodScheduled"), _condition(raw, "Ready")
    ready = readiness.get("status") == "True"
    return PodView(
        name=meta["name"],
        revision=labels.get(REVISION_LABEL, ""),
        group=labels.get(GROUP_LABEL, ""),
        worker=labels.get(ROLE) == WORKER,
        node=(raw.get("spec") or {}).get("nodeName") or "",
        ready=ready,
        deleting=bool(meta.get("deletionTimestamp")) or status.get("phase") in ("Failed", "Succeeded"),
        unschedulable=str(scheduled.get("message") or scheduled.get("reason") or "")[:MESSAGE_LIMIT]
        if scheduled.get("status") == "False"
        else "",
        waiting=LOOP if looping else str(waiting.get("reason") or ""),
        waiting_message="" if looping else str(waiting.get("message") or "")[:MESSAGE_LIMIT],  # how long, no more
        restarts=int(container.get("restartCount") or 0),
        exit=f"{ended.get('reason') or 'exit'} (exit code {ended.get('exitCode')})" if ended else "",
        started=_started(status),
        created=_time(meta, "creationTimestamp"),
        ready_since=_time(readiness, "lastTransitionTime") if ready else None,
        address=str(status.get("podIP") or "")[:ADDRESS_LIMIT],
    )


def workload_view(raw: Raw) -> WorkloadView:
    """What matters of a Deployment or LeaderWorkerSet, of which only the former says that its pods are refused."""
    failure = _condition(raw, "ReplicaFailure")
    return WorkloadView(
        deleting=bool(raw["metadata"].get("deletionTimestamp")),
        failure=str(failure.get("message") or "")[:MESSAGE_LIMIT] if failure.get("status") == "True" else "",
    )


def node_view(raw: Raw) -> NodeView:
    """What matters of a node: its labels, its extended resources, its taints."""
    meta, spec, status = raw["metadata"], mapping(raw.get("spec")), mapping(raw.get("status"))
    taints = (
        Taint(text(taint.get("key")), text(taint.get("value")), text(taint.get("effect")))
        for taint in listed(spec.get("taints"))
    )
    return NodeView(
        name=meta["name"],
        labels=dict(meta.get("labels") or {}),
        allocatable=extended(status.get("allocatable")),
        ready=_condition(raw, "Ready").get("status") == "True",
        cordoned=bool(spec.get("unschedulable")),
        # In one order, or a node would be news when only that changes.
        taints=tuple(sorted({taint for taint in taints if taint.key and taint.effect in KEEP_OFF})),
    )
