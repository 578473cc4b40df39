"""A service that follows its load: what is seen of it, and how a look at it leads to the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from inferops.api.rolloutstatus import RolloutStatus
from inferops.core.decide import Decision, decide
from inferops.core.load import Load
from inferops.core.observation import Observation, PodView
from inferops.core.sizing import Ask, Sizing, size_listed
from unit.core.building import ACCELERATORS, accelerator, node, revision, seen, service
from unit.core.models import LLAMA31_8B

ROOMY = {**ACCELERATORS, "l4": accelerator("nvidia.com/gpu.product", "NVIDIA-L4", memoryGiB=80, bandwidthGBps=3350)}
SIZING: Sizing = size_listed(LLAMA31_8B, Ask(), [("l4", 1, 1)], ROOMY)
EVERY = 15.0  # seconds
REST = RolloutStatus(phase="Succeeded")


def load(until: float, rate: float, seconds: float = EVERY, **more: Any) -> Load:
    """So many requests a second in the seconds before `until`, each a second long."""
    requests = round(rate * seconds)
    told = {"busy": 1.0 * requests, "in_flight": round(rate), "tokens_in": 1000 * requests,
            "tokens_out": 256 * requests, "ttft": 0.2, "tpot": 0.01, "judged": requests}  # fmt: skip
    return Load(until - seconds, until, "gateway", requests, requests, **{**told, **more})


def running(replicas: int = 2, *, world: dict[str, Any] | None = None, **spec: Any) -> Observation:
    """A service at rest, with so many replicas, all ready for an hour. `world`: more of what is seen."""
    scaling = {"maxReplicas": 10, **spec.pop("scaling", {})}
    one = revision(service(**spec), ready=replicas)
    of = service(scaling=scaling, **spec)
    told = of.status.model_copy(
        update={"stable_revision": one.hash, "latest_revision": one.hash, "rollout": REST,
                "desired_replicas": replicas, "observed_generation": 1}
    )  # fmt: skip
    of = of.model_copy(update={"status": told})
    return seen(of, one, routed_to=one, sizing=SIZING, nodes=[node(count=64)], accelerators=ROOMY, **(world or {}))


def started(decision: Decision, before: Observation) -> tuple[PodView, ...]:
    """The pods that the decision leads to, all ready; those that were there stay as they were."""
    [one] = before.revisions
    there = list(one.pods)[: decision.status.desired_replicas or 0]
    for number in range(len(there), decision.status.desired_replicas or 0):
        there.append(PodView(f"llama-{one.hash}-{number}", one.hash, node="node-1", ready=True, started=True,
                             created=before.now - timedelta(seconds=90), ready_since=before.now))  # fmt: skip
    return tuple(there)


def later(
    before: Observation, decision: Decision, rate: float | None, seconds: float = EVERY, **more: Any
) -> Observation:
    """What the next look sees: the decision applied, and what was counted since. A rate of None: nobody told."""
    now = before.now + timedelta(seconds=seconds)
    [one] = before.revisions
    counted = None if rate is None else load(now.timestamp(), rate, seconds)
    return replace(
        before,
        now=now,
        service=before.service.model_copy(update={"status": decision.status}),
        revisions=(replace(one, pods=started(decision, before)),),
        looked=decision.looked or before.looked,
        **{"load": counted, "unloaded": "" if counted else "no gateway tells", **more},
    )


def play(world: Observation, rates: list[float | None], **more: Any) -> list[tuple[Observation, Decision]]:
    """Looks one after the other, at so many requests a second each."""
    taken = []
    decision = decide(world)
    for rate in rates:
        world = later(world, decision, rate, **more)
        decision = decide(world)
        taken.append((world, decision))
    return taken


def replicas(decision: Decision) -> int:
    assert decision.status.desired_replicas is not None
    return decision.status.desired_replicas
