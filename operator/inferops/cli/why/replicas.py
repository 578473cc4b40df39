"""Policies about replicas that do not come up: refused, without a node, broken, or still starting."""

from __future__ import annotations

from collections.abc import Sequence

from inferops.api.conditions import Reason
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.inferenceservicestatus import RevisionStatus
from inferops.api.rolloutstatus import UNDER_WAY
from inferops.cli.lines import duration, program
from inferops.cli.money import choice_in
from inferops.cli.why.seen import Explanation, Seen, stated
from inferops.core.observation import PodView
from inferops.core.offers import Free
from inferops.core.scheduling import match

STUCK = {
    "ImagePullBackOff": "cannot pull its image",
    "ErrImagePull": "cannot pull its image",
    "InvalidImageName": "has an image with an invalid name",
    "CreateContainerConfigError": "misses a Secret or ConfigMap that it names",
    "CreateContainerError": "cannot be created by the container runtime",
    "RunContainerError": "cannot be started by the container runtime",
    "CrashLoopBackOff": "crashes again and again",
}
NODES = 6  # that are listed
HOLDERS = 4
SHORTAGES = (Reason.NO_MATCHING_NODE, Reason.NODES_TOO_SMALL, Reason.NODES_UNAVAILABLE)


def broken(seen: Seen) -> Explanation | None:
    """Pods that cannot start until somebody acts."""
    stuck = [pod for pod in seen.pods if not (pod.deleting or pod.ready) and pod.waiting in STUCK]
    if not stuck:
        return None
    first = stuck[0]
    revision = _revision(seen, first.revision)
    evidence = [
        f"pod {pod.name}{f' on {pod.node}' if pod.node else ''}: {pod.waiting}"
        + (f", {pod.restarts} restarts" if pod.restarts else "")
        + (f", ended last by {pod.exit}" if pod.exit else "")
        + (f": {pod.waiting_message}" if pod.waiting_message else "")
        for pod in stuck[:NODES]
    ]
    verdict = f"{len(stuck)} of {_wanted(seen)} replicas {STUCK[first.waiting]}"
    if revision is not None and revision.role == "Canary":
        verdict += f", of the canary {revision.hash}; it is rolled back by itself"
    return Explanation(verdict, stated(*evidence, revision.message if revision else ""), _remedies(seen, first))


def _remedies(seen: Seen, pod: PodView) -> tuple[str, ...]:
    namespace = seen.service.metadata.namespace
    look = f"see what kubelet says: `kubectl describe pod {pod.name} -n {namespace}`"
    if pod.waiting == "CrashLoopBackOff":
        logs = f"see its last words: {seen.run('logs', f'--revision {pod.revision} --previous --tail 50')}"
        oom = "it ran out of memory: lower spec.model.maxModelLen, or choose a larger accelerator"
        return stated(logs, oom if "OOMKilled" in pod.exit else "", look)
    if pod.waiting in ("ImagePullBackOff", "ErrImagePull", "InvalidImageName"):
        return (look, "see which image the runtime names: `kubectl get servingruntimes -o wide`")
    return (look, f"see which Secrets there are: `kubectl get secrets -n {namespace}`")


def refused(seen: Seen) -> Explanation | None:
    """Pods that the API server does not take."""
    scheduled = seen.condition("Scheduled")
    if scheduled is None or scheduled.reason != Reason.PODS_REFUSED:
        return None
    namespace = seen.service.metadata.namespace
    quotas = [_quota(each.name, each.resource, each.used, each.hard) for each in seen.quotas]
    return Explanation(
        f"the API server refuses its pods: {scheduled.message}",
        stated(*quotas),
        (
            f"see the quotas: `kubectl describe resourcequota -n {namespace}`",
            f"or lower what is asked for: {seen.run('scale', '--max N')}",
        ),
    )


def pending(seen: Seen) -> Explanation | None:
    """Replicas for which the scheduler finds no node."""
    homeless = [pod for pod in seen.pods if not (pod.deleting or pod.node) and pod.unschedulable]
    scheduled = seen.condition("Scheduled")
    if not homeless and (scheduled is None or scheduled.status != "False" or scheduled.reason == Reason.PODS_REFUSED):
        return None
    if not homeless and scheduled is not None and scheduled.reason == Reason.CREATING:
        return None
    revision = _revision(seen, homeless[0].revision if homeless else seen.service.status.latest_revision)
    choice = choice_in(revision.accelerator) if revision is not None else _first(seen)
    count = len({(pod.revision, pod.group or pod.name) for pod in homeless}) or 1
    what = f"{choice.count // choice.nodes}x {choice.type}" if choice is not None else "accelerators"
    on = f" on each of {choice.nodes} nodes" if choice is not None and choice.nodes > 1 else ""
    message = scheduled.message if scheduled is not None and scheduled.status == "False" else ""
    evidence = [f"pod {homeless[0].name}: {homeless[0].unschedulable}"] if homeless else []
    waits = [pod.created for pod in homeless if pod.created is not None]
    evidence += [f"waiting for {duration((seen.now - min(waits)).total_seconds())}"] if waits else []
    evidence += _room(seen, choice) if choice is not None else []
    free = _why_free(seen, choice) if choice is not None else ""
    verdict = (
        f"{count} of {_wanted(seen)} replicas find{'s' if count == 1 else ''} no node: each needs {what}{on}{free}"
    )
    return Explanation(
        verdict, stated(*evidence, message), _make_room(seen, choice, scheduled.reason if scheduled else "")
    )


def _why_free(seen: Seen, choice: AcceleratorChoice) -> str:
    """Why there is no room, in few words."""
    if seen.capacity is None:
        return ""
    found = seen.capacity.of(choice.type, spot=choice.spot)
    if found is None or not found.present:
        return ", and no node has that accelerator"
    share = choice.count // choice.nodes
    if not found.nodes:
        return ", and all nodes that have it are cordoned, not ready or tainted"
    if found.largest < share:
        return f", and the largest node has {found.largest}"
    if not found.room(choice.count, choice.nodes):
        most = max(found.free, default=0)
        return f", and {sum(found.free)} of {found.total} are free, at most {most} on one node"
    return ""


def _room(seen: Seen, choice: AcceleratorChoice) -> list[str]:
    """Which accelerators there are, where, what of them is free, and who has the rest."""
    evidence = []
    accelerator = seen.accelerators.get(choice.type)
    capacity = seen.capacity
    if capacity is not None and accelerator is not None:
        found = capacity.of(choice.type, spot=choice.spot)
        evidence.append(_told(found, choice, len(capacity.nodes)))
        matching = match(choice, accelerator, capacity.nodes)
        for node in matching.matching[:NODES]:
            state = " cordoned" if node.cordoned else "" if node.ready else " not ready"
            taints = ", ".join(f"{each.key}={each.value}:{each.effect}" for each in node.taints)
            number = node.allocatable.get(accelerator.resource_name, len(node.devices))
            evidence.append(f"node {node.name}: {number}x {choice.type}{state}{f', taints {taints}' if taints else ''}")
        if len(matching.matching) > NODES:
            evidence.append(f"and {len(matching.matching) - NODES} more such nodes")
        held = sorted(capacity.holders.get(accelerator.resource_name, {}).items(), key=lambda each: -each[1])
        if held:
            evidence.append("in use by " + ", ".join(f"{who} ({number})" for who, number in held[:HOLDERS]))
    evidence += [_quota(each.name, each.resource, each.used, each.hard) for each in seen.quotas]
    return evidence


def _told(found: Free | None, choice: AcceleratorChoice, nodes: int) -> str:
    spot = "spot " if choice.spot else ""
    if found is None or not found.present:
        return f"none of the {nodes} nodes is a {spot}node with {choice.type}"
    free = ", ".join(str(each) for each in found.free[:NODES]) or "none"
    return f"{choice.type}: {sum(found.free)} of {found.total} free on {found.nodes} {spot}nodes (node by node: {free})"


def _make_room(seen: Seen, choice: AcceleratorChoice | None, reason: str) -> tuple[str, ...]:
    spec = seen.service.spec
    type_ = choice.type if choice is not None else "the accelerator"
    found = []
    if reason in SHORTAGES:
        found.append(f"add a node with {type_}, or uncordon one: `kubectl get nodes -L nvidia.com/gpu.product`")
    elif any(not each.left for each in seen.quotas):
        found.append("have the quota raised, or scale another service of the namespace down")
    else:
        found.append(f"free some: see who has them by `{program()} cost -A --by accelerator`")
    if len(spec.accelerators) == 1:
        found.append("name a second type in spec.accelerators: the first that has room is taken")
        found.append(f"see what else would serve it: `{program()} size {spec.model.uri}`")
    rollout = seen.service.status.rollout
    if rollout.phase == "WaitingForCapacity":
        found.append(f"or give this rollout up: {seen.run('rollout abort')}")
        if spec.rollout.strategy == "surge":
            found.append(
                "or let replicas be swapped one by one: spec.rollout.strategy: swap needs no more GPUs than now"
            )
    return tuple(found)


def starting(seen: Seen) -> Explanation | None:
    """Replicas that pull or load."""
    pods = [
        pod for pod in seen.pods if pod.node and not (pod.ready or pod.deleting or pod.worker or pod.waiting in STUCK)
    ]
    if not pods:
        return None
    loading = [pod for pod in pods if pod.started]
    cold = seen.service.status.scaling.cold_start
    oldest = min((pod.created for pod in pods if pod.created is not None), default=None)
    lasts = (seen.now - oldest).total_seconds() if oldest is not None else None
    doing = "load the model" if loading else "pull images and mount volumes"
    times = [f"the oldest was made {duration(lasts)} ago"] if lasts is not None else []
    times += [f"one usually takes {cold}"] if cold else []
    evidence = [f"pod {pod.name} on {pod.node}: {_doing(pod)}" for pod in pods[:NODES]]
    return Explanation(
        f"{len(pods)} of {_wanted(seen)} replicas {doing}: that takes its time, and nothing is to be done",
        stated(*times, *evidence),
        (f"follow them: {seen.run('logs', '-f')}",),
        wrong=not (seen.service.status.ready_replicas and seen.service.status.rollout.phase in UNDER_WAY),
    )


def _doing(pod: PodView) -> str:
    told = "loading" if pod.started else pod.waiting or "pulling"
    return f"{told}{f', {pod.restarts} restarts' if pod.restarts else ''}"


def _quota(name: str, resource: str, used: int, hard: int) -> str:
    return f"ResourceQuota {name}: {used} of {hard} {resource} used"


def _revision(seen: Seen, hash_: str) -> RevisionStatus | None:
    return next((each for each in seen.service.status.revisions if each.hash == hash_), None)


def _first(seen: Seen) -> AcceleratorChoice | None:
    listed: Sequence[AcceleratorChoice] = seen.service.spec.accelerators
    return listed[0] if listed else None


def _wanted(seen: Seen) -> int:
    """Replicas wanted over all revisions, and at least as many as there are."""
    status = seen.service.status
    there = len({(pod.revision, pod.group or pod.name) for pod in seen.pods if not pod.deleting})
    return max(sum(each.replicas for each in status.revisions), status.desired_replicas or 0, there)
