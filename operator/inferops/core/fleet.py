"""What scaling is told of a service: what its user asks for, the replicas as they are, and what one should carry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.formats import seconds
from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.rolloutstatus import AT_REST
from inferops.api.scaling import ScalingSpec, StepLimitSpec
from inferops.core import choices, sizing
from inferops.core.autoscale.terms import Fleet, Goals, Mode, Seed, Signals, StepLimit
from inferops.core.observation import Observation, PodView, RevisionView

BY_LOAD = ("auto", "queueDepth", "latency")
SETTLE = 300.0  # seconds for which fewer must have been enough where neither the user nor a learned cold start says


def by_load(scaling: ScalingSpec) -> bool:
    """Whether the number of replicas follows the load: not where a number is set, nor where there is no room."""
    return scaling.replicas is None and scaling.mode in BY_LOAD and highest(scaling) > max(scaling.min_replicas, 1)


def highest(scaling: ScalingSpec) -> int:
    """Never more replicas than this."""
    if scaling.max_replicas is not None:
        return scaling.max_replicas
    return max(scaling.min_replicas, 1, *(window.min_replicas for window in scaling.schedule))


def goals(spec: InferenceServiceSpec, lowest: int) -> Goals:
    """What the user asks for, with `lowest` replicas for now."""
    scaling, slo = spec.scaling, spec.slo
    down = scaling.scale_down
    settle = seconds(down.after) if down.after is not None else None if scaling.mode == "auto" else SETTLE
    return Goals(
        mode=cast(Mode, scaling.mode),
        lowest=lowest,
        highest=highest(scaling),
        queue_depth=scaling.queue_depth,
        ttft=None if slo.ttft is None else seconds(slo.ttft),
        tpot=None if slo.tpot is None else seconds(slo.tpot),
        attainment=slo.attainment,
        most=spec.traffic.max_concurrency,
        up=None if scaling.scale_up is None else _limit(scaling.scale_up),
        down=_limit(down.limit),
        settle=settle,
    )


def _limit(limit: StepLimitSpec) -> StepLimit:
    return StepLimit(seconds(limit.period), limit.replicas, limit.percent)


def signals(seen: Observation, wanted: int) -> Signals:
    """What is known of the load and the fleet, where `wanted` replicas were decided last."""
    revisions = serving(seen)
    pods = live(revisions)
    ready = sum(pod.ready for pod in pods)
    refused = sum(max(wanted - len(pods), 0) for each in revisions[:1] if each.workload and each.workload.failure)
    return Signals(
        load=seen.load,
        fleet=Fleet(
            wanted=wanted,
            ready=ready,
            starting=len(pods) - ready + refused,
            homeless=homeless(pods) + refused,
            started=_started(seen, pods),
            kind=revisions[0].hash if revisions else "",
            settled=at_rest(seen),
        ),
        seed=_seed(seen, revisions),
        why=seen.unloaded,
    )


def at_rest(seen: Observation) -> bool:
    """Whether no rollout is under way, nor going back."""
    status = seen.service.status
    return status.rollout.phase in AT_REST and bool(status.stable_revision)


def serving(seen: Observation) -> list[RevisionView]:
    """The revisions that requests are sent to, the stable one first; of a new service, the newest."""
    status = seen.service.status
    stable = status.stable_revision or seen.routed_to
    shares = {each.hash for each in status.revisions if each.weight}
    found = [each for each in seen.revisions if each.hash == stable]
    found += [each for each in seen.revisions if each.hash in shares and each.hash != stable]
    return found or list(seen.revisions[-1:])


def live(revisions: Iterable[RevisionView]) -> list[PodView]:
    """Their replicas, those that end aside, each by the pod that serves."""
    return [pod for each in revisions for pod in each.pods if not (pod.deleting or pod.worker)]


def homeless(pods: Iterable[PodView]) -> int:
    """For how many of these the scheduler finds no node."""
    return sum(bool(pod.unschedulable) and not pod.node for pod in pods)


def been_ready(seen: Observation) -> frozenset[str]:
    """Pods that are there and are ready, or were so at an earlier look: what comes back has not started anew."""
    pods = live(seen.revisions)
    return frozenset(pod.name for pod in pods if pod.ready or pod.name in seen.looked.ready)


def _started(seen: Observation, pods: Iterable[PodView]) -> tuple[float, ...]:
    """How long those took to start that were first seen ready now."""
    if seen.looked.at is None:  # nobody knows which of them are new
        return ()
    return tuple(
        max((since - pod.created).total_seconds(), 0.0)
        for pod in pods
        if (since := pod.answers_since(seen.now)) is not None and pod.created is not None
        if pod.ready and not pod.restarts and pod.name not in seen.looked.ready
    )


def _seed(seen: Observation, revisions: list[RevisionView]) -> Seed | None:
    """What sizing reckons that a replica carries of the load that the spec tells of. None: it knows no such model, or
    another one serves as yet."""
    spec = revisions[0].spec if revisions else None
    if spec is None or seen.sizing is None or spec.model.uri != seen.service.spec.model.uri:
        return None
    found = choices.estimate(seen, spec.accelerator)
    accelerator = seen.accelerators.get(spec.accelerator.type)
    if not isinstance(found, sizing.Option) or accelerator is None:
        return None
    return seed(seen.sizing, found, accelerator, seen.service.spec.traffic.max_concurrency)


def seed(sized: sizing.Sizing, option: sizing.Option, accelerator: AcceleratorSpec, most: int | None) -> Seed:
    """What sizing reckons that a replica carries that is sent at most so many requests at once."""
    at_once = min(option.concurrency, most or option.concurrency)
    ttft, tpot, output = sizing.times(sized, option, accelerator, at_once)
    return Seed(at_once, ttft, tpot, float(output))
