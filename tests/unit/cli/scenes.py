"""Services in the middle of rollouts, as the API server would return them, and a client that hands them out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, RenderableType

from inferops.api.resources import InferenceService
from inferops.api.rollout import ACTION
from inferops.api.rolloutstatus import RolloutStatus
from inferops.cli.access import Shown
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, Kind
from inferops.kube.owned import Object

NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
NEW, OLD, BAD = "a91c22d07b", "5f0d3a91c2", "b00b1e5000"
SPEC: Mapping[str, Any] = {
    "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
    "rollout": {
        "gates": [{"name": "smoke", "job": {"image": "judge:1"}}, {"name": "owner", "at": [50], "manual": True}]
    },
}
READY = {"type": "Ready", "status": "True"}


def at(**delta: float) -> str:
    """A time of a status, so long after NOW."""
    return (NOW + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def revision(hash_: str, role: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"llama-{hash_}",
        "hash": hash_,
        "role": role,
        "accelerator": "1x nvidia-h100-80gb",
        "image": "vllm/vllm-openai:v0.11.0",
        **more,
    }


def share(weight: int, observed: int) -> dict[str, int]:
    desired = {"weight": weight, "desiredWeight": weight}
    return {**desired, "observedWeight": observed} if 0 < weight < 100 else desired


def valid(status: str = "True", message: str = "") -> dict[str, Any]:
    reason = "Valid" if status == "True" else "AcceleratorNotFound"
    return {"type": "Valid", "status": status, "reason": reason, "message": message, "lastTransitionTime": at()}


def service(rollout: Mapping[str, Any] | None = None, *, generation: int = 2, **status: Any) -> Object:
    """An InferenceService as JSON; `status` is added to what two revisions, one of them new, would have."""
    weight = 0 if (rollout or {}).get("phase") in ("Loading", "RolledBack") else 25
    told = {
        "observedGeneration": 2,
        "conditions": [valid()],
        "stableRevision": OLD,
        "latestRevision": NEW,
        "readyReplicas": 4,
        "revisions": [
            revision(OLD, "Stable", replicas=4, readyReplicas=4, **share(100 - weight, 76)),
            revision(NEW, "Canary", replicas=1, readyReplicas=1 if weight else 0, **share(weight, 24)),
        ],
        "rollout": {**(rollout or {})},
        **status,
    }
    meta = {"name": "llama", "namespace": "chat", "uid": "uid-llama", "generation": generation}
    return {"metadata": meta, "spec": SPEC, "status": told}


def metric(name: str, verdict: str, canary: tuple[int, int], stable: tuple[int, int], **more: Any) -> dict[str, Any]:
    counts = {"canary": dict(zip(("bad", "total"), canary, strict=True)),
              "stable": dict(zip(("bad", "total"), stable, strict=True))}  # fmt: skip
    return {"name": name, "verdict": verdict, **counts, **more}


OBSERVING: Mapping[str, Any] = {
    "phase": "Observing",
    "since": at(minutes=-3, seconds=-12),
    "started": at(minutes=-9),
    "strategy": "surge",
    "canary": NEW,
    "stable": OLD,
    "step": 1,
    "steps": 3,
    "weight": 25,
    "reason": "Undecided",
    "message": "25% reached; ttft is not decided yet",
    "clocks": {"stableDown": ""},
    "analysis": {
        "source": "gateway",
        "until": at(seconds=-4),
        "verdict": "Undecided",
        "metrics": [
            metric("errorRate", "NoWorse", (3, 1204), (9, 3711), eValue=0.42, eNoWorse=3400.0),
            metric("ttft", "Undecided", (61, 1201), (140, 3702), eValue=7.1, eNoWorse=12.5, dispersion=1.31),
            {"name": "tpot", "verdict": "NotJudged", "message": "not judged: spec.slo.tpot is not set"},
        ],
    },
    "gates": [{"name": "smoke", "weight": 0, "verdict": "Passed", "message": "exit code 0"}],
    "rollback": {"to": OLD, "ready": "Instant", "message": "its 4 replicas are ready"},
    "rejected": [{"hash": BAD, "reason": "CrashLoop", "message": "pod llama-x: 3 restarts", "time": at(hours=-26)}],
}


def observing(**more: Any) -> dict[str, Any]:
    return {**OBSERVING, **more}


def loading(**more: Any) -> dict[str, Any]:
    """Its replicas load: nothing is counted yet."""
    return {
        **observing(phase="Loading", since=at(minutes=-2), step=0, weight=0, gates=[], analysis={}, rejected=[]),
        "reason": "Loading",
        "message": "0 of 1 replicas ready",
        "clocks": {"load": at(minutes=-2)},
        "deadline": at(minutes=58),
        **more,
    }


def paused(**more: Any) -> dict[str, Any]:
    rest = {"since": at(minutes=-5), "reason": "NoData", "message": "no requests of the canary for 30m"}
    return observing(**{"paused": rest, **more})


def gated(**more: Any) -> dict[str, Any]:
    waits = {"name": "owner", "weight": 50, "verdict": "Waiting", "since": at(minutes=-7)}
    gates = [*OBSERVING["gates"], waits]
    return observing(**{"phase": "Gated", "step": 2, "weight": 50, "gates": gates, **more})


def rolled_back(**more: Any) -> dict[str, Any]:
    why = {"reason": "HarmShown", "message": "errorRate: 40/120 bad of the canary, 2/400 of stable"}
    ended = {"outcome": "RolledBack", "started": at(minutes=-9), "ended": at(minutes=-1), **why}
    earlier = {"revision": OLD, "stable": BAD, "outcome": "Promoted", "started": at(hours=-30), "ended": at(hours=-29)}
    history = [{"revision": NEW, "stable": OLD, **ended}, earlier]
    rejected = [{"hash": NEW, "time": at(minutes=-1), **why}, *OBSERVING["rejected"]]
    scene = {"phase": "RolledBack", **why, "history": history, "rejected": rejected, "gates": [], "analysis": {}}
    return observing(**{**scene, **more})


def retaining(**more: Any) -> dict[str, Any]:
    kept = {"previous": OLD, "warmUntil": at(minutes=8), "retainedUntil": at(hours=23)}
    scene = {"phase": "Retaining", "reason": "Promoted", "message": "", "gates": [], "rejected": [], "analysis": {}}
    return observing(**{**scene, **kept, **more})


PROMOTED: Mapping[str, Any] = {
    "stableRevision": NEW,
    "revisions": [
        revision(NEW, "Stable", replicas=4, readyReplicas=4, weight=100, desiredWeight=100),
        revision(OLD, "Previous", replicas=4, readyReplicas=4),
    ],
}


def pod(name: str, hash_: str, *, ready: bool = True, **status: Any) -> Object:
    labels = {"inferops.dev/service": "llama", "inferops.dev/revision": hash_}
    meta = {"name": name, "namespace": "chat", "labels": labels, "resourceVersion": "1"}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": meta, "spec": {"nodeName": "gpu-1"}, "status": {"conditions": conditions, **status}}


def parsed(raw: Object) -> InferenceService:
    return InferenceService.model_validate(raw)


def shown(raw: Object) -> Shown:
    return Shown(parsed(raw), [])


def text(drawn: RenderableType, width: int = 200) -> str:
    """What a pipe of that width gets."""
    console = Console(width=width, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


class FakeClient:
    """A cluster with one service, whose operator acts when it is read for the `after`th time."""

    def __init__(self, raw: Object | None, *pods: Object, after: int = 2) -> None:
        self.raw, self.pods, self.after = raw, pods, after
        self.written: list[str] = []
        self.reads = 0
        self.fails: KubeError | None = None
        self.then: Callable[[FakeClient], None] = lambda client: None  # what happens at a read

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        assert (kind, namespace, name) == (INFERENCE_SERVICE, "chat", "llama")
        self.reads += 1
        self.then(self)
        if self.fails is not None:
            raise self.fails
        return self.raw

    async def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]:
        assert (selector, namespace) == ("inferops.dev/service=llama", "chat")
        yield list(self.pods), 1

    async def annotate(self, kind: Kind, namespace: str, name: str, uid: str, annotations: Mapping[str, str]) -> Object:
        assert self.raw is not None and uid == self.raw["metadata"]["uid"]
        self.written.append(annotations[ACTION])
        self.raw = {**self.raw, "metadata": {**self.raw["metadata"], "annotations": dict(annotations)}}
        return self.raw

    def set(self, **rollout: Any) -> None:
        """The operator writes the status."""
        assert self.raw is not None
        merged = {**self.raw["status"]["rollout"], **rollout}
        RolloutStatus.model_validate(merged)
        self.raw = {**self.raw, "status": {**self.raw["status"], "rollout": merged}}
