"""What kubelet writes into a pod's status, from what its containers do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from nodeagent.client import Json

RunState = Literal["waiting", "running", "terminated"]
OUT_OF_MEMORY = 137
NODE_WENT_DOWN = 255


@dataclass(slots=True)
class Container:
    """What one container of a pod does now. `state` and `last_state` are in the API's form."""

    name: str
    image: str
    sidecar: bool = False
    state: Json = field(default_factory=lambda: waiting("PodInitializing"))
    last_state: Json = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restarts: int = 0

    @classmethod
    def resumed(cls, spec: Json, before: Json | None, reason: str, *, sidecar: bool = False) -> Container:
        """The container that `spec` describes, which waits with `reason`.

        `before` is its status from a node agent or a node that went down meanwhile: its process ended with that.
        """
        shown = cls(spec["name"], spec["image"], sidecar, waiting(reason))
        if not before:
            return shown
        shown.restarts = before.get("restartCount", 0)
        shown.last_state = before.get("lastState") or {}
        if "running" in (before.get("state") or {}):
            since = before["state"]["running"].get("startedAt")
            shown.last_state = terminated(NODE_WENT_DOWN, since, since, "Unknown")
            shown.restarts += 1
        return shown

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that ended; None for one that runs or waits."""
        ended = self.state.get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def report(self) -> Json:
        """Its ContainerStatus."""
        status: Json = {
            "name": self.name,
            "image": self.image,
            "imageID": image_id(self.image) if self._was_pulled() else "",
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
        }
        if self._was_pulled():
            status["containerID"] = f"bench://{_digest(f'{self.name}/{self.image}/{self.restarts}')}"
        return status

    def _was_pulled(self) -> bool:
        return "waiting" not in self.state or bool(self.last_state)


def waiting(reason: str, message: str = "") -> Json:
    """The state of a container that waits."""
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def running(since: str) -> Json:
    """The state of a container whose process runs."""
    return {"running": {"startedAt": since}}


def terminated(code: int, started: str | None, finished: str, reason: str | None = None) -> Json:
    """The state of a container whose process ended. Without `reason` an exit with 137 reads as out of memory."""
    usual = {0: "Completed", OUT_OF_MEMORY: "OOMKilled"}.get(code, "Error")
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason or usual,
            "startedAt": started,
            "finishedAt": finished,
        }
    }


def image_id(image: str) -> str:
    """An image's digest. The same name always has the same one."""
    return f"{image.split('@')[0]}@sha256:{_digest(image)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What of a pod's state is not its containers'."""

    generation: int
    restart_policy: str
    start_time: str
    host_address: str
    address: str | None  # None until its network stands
    readiness_gates: tuple[str, ...] = ()
    reason: tuple[str, str] | None = None  # why it failed as a whole


def pod_status(
    facts: PodFacts,
    init: Sequence[Container],
    main: Sequence[Container],
    before: Iterable[Json],
    now: str,
) -> Json:
    """The status to patch: phase, conditions, container statuses and addresses.

    `before` holds the conditions as they stand: a condition that stays as it was keeps its transition time.
    """
    phase = _phase(facts, init, main)
    status: Json = {
        "phase": phase,
        "observedGeneration": facts.generation,
        "conditions": _conditions(facts, init, main, phase, list(before), now),
        "hostIP": facts.host_address,
        "hostIPs": [{"ip": facts.host_address}],
        "startTime": facts.start_time,
        "containerStatuses": [container.report() for container in main],
    }
    if init:
        status["initContainerStatuses"] = [container.report() for container in init]
    if facts.address:
        status |= {"podIP": facts.address, "podIPs": [{"ip": facts.address}]}
    if facts.reason:
        status["reason"], status["message"] = facts.reason
    return status


def _phase(facts: PodFacts, init: Sequence[Container], main: Sequence[Container]) -> str:
    if facts.reason:
        return "Failed"
    codes = [container.exit_code for container in main]
    over = all(code is not None for code in codes) and not any(each.is_running for each in _sidecars(init))
    if facts.restart_policy != "Always" and over:
        if not any(codes):
            return "Succeeded"
        return "Failed" if facts.restart_policy == "Never" else "Running"
    if facts.restart_policy == "Never" and any(container.exit_code for container in init if not container.sidecar):
        return "Failed"
    begun = any(container.is_running or container.exit_code is not None or container.last_state for container in main)
    return "Running" if begun else "Pending"


def _conditions(
    facts: PodFacts, init: Sequence[Container], main: Sequence[Container], phase: str, before: list[Json], now: str
) -> list[Json]:
    not_ready = [container.name for container in (*_sidecars(init), *main) if not container.ready]
    uninitialized = [container.name for container in init if not _initialized(container)]
    over = {"Succeeded": ("PodCompleted", ""), "Failed": ("PodFailed", "")}.get(phase)
    containers = over or (
        ("ContainersNotReady", f"containers with unready status: [{' '.join(not_ready)}]") if not_ready else None
    )
    known = {condition["type"]: condition for condition in before}
    gates = [gate for gate in facts.readiness_gates if known.get(gate, {}).get("status") != "True"]
    gated = ("ReadinessGatesNotReady", f"gates not ready: [{' '.join(gates)}]") if gates else None
    incomplete = f"containers with incomplete status: [{' '.join(uninitialized)}]"
    obstacles = {
        "PodReadyToStartContainers": None if facts.address and not over else ("", ""),
        "Initialized": ("ContainersNotInitialized", incomplete) if uninitialized else None,
        "Ready": containers or gated,
        "ContainersReady": containers,
        "PodScheduled": None,
    }
    return [_condition(kind, why, known.get(kind), facts.generation, now) for kind, why in obstacles.items()]


def _sidecars(init: Sequence[Container]) -> list[Container]:
    return [container for container in init if container.sidecar]


def _initialized(container: Container) -> bool:
    return container.started if container.sidecar else container.exit_code == 0


def _condition(kind: str, why: tuple[str, str] | None, before: Json | None, generation: int, now: str) -> Json:
    """One condition: True without an obstacle, else False with its reason and message."""
    status = "True" if why is None else "False"
    reason, message = why or ("", "")
    unchanged = before is not None and before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "reason": reason or None,
        "message": message or None,
        "observedGeneration": generation,
        "lastProbeTime": None,
        "lastTransitionTime": before["lastTransitionTime"] if unchanged and before else now,
    }
