"""Where a rollout stands for somebody who waits for it: the exit code, and the same in one line."""

from __future__ import annotations

from enum import IntEnum

from inferops.api.conditions import ConditionType
from inferops.api.inferenceservicestatus import RevisionStatus
from inferops.api.resources import InferenceService
from inferops.api.rolloutstatus import UNDER_WAY, Phase

ON_A_STEP: frozenset[Phase] = frozenset({"Shifting", "Observing", "Gated"})
PROMOTED: frozenset[Phase] = frozenset({"Retaining", "Succeeded"})
INTERRUPTED = 130  # exit code of Ctrl-C, as shells have it


class Code(IntEnum):
    """What a command tells a script."""

    ENDED = 0
    ROLLED_BACK = 1
    ERROR = 2
    WAITS = 3  # until somebody acts
    UNDER_WAY = 4


def code(service: InferenceService) -> Code:
    """How the rollout of the newest spec stands. What the operator has not judged yet is under way."""
    status, rollout = service.status, service.status.rollout
    if behind(service):
        return Code.UNDER_WAY
    if refused(service):
        return Code.ERROR
    if rollout.paused is not None or manual_gate(service):
        return Code.WAITS
    wanted = status.latest_revision
    if rollout.phase == "RolledBack":
        known = wanted in ("", status.stable_revision) or any(each.hash == wanted for each in rollout.rejected)
        return Code.ROLLED_BACK if known else Code.UNDER_WAY
    serves = bool(status.stable_revision) and wanted in ("", status.stable_revision)
    return Code.ENDED if serves and rollout.phase in {"Idle", *PROMOTED} else Code.UNDER_WAY


def behind(service: InferenceService) -> bool:
    """Whether the status tells of an older spec: the operator is busy, or away."""
    return service.status.observed_generation != service.metadata.generation


def refused(service: InferenceService) -> str:
    """Why the spec cannot be served at all; empty where it can."""
    found = (each for each in service.status.conditions if each.type == ConditionType.VALID and each.status == "False")
    return next((each.message or each.reason for each in found), "")


def manual_gate(service: InferenceService) -> str:
    """The gate that somebody must open now; empty where there is none."""
    rollout = service.status.rollout
    if rollout.phase not in UNDER_WAY:
        return ""
    manual = {gate.name for gate in service.spec.rollout.gates if gate.manual}
    return next((gate.name for gate in rollout.gates if gate.verdict == "Waiting" and gate.name in manual), "")


def revision(service: InferenceService, hash_: str) -> RevisionStatus | None:
    """The revision of that hash as the status has it."""
    return next((each for each in service.status.revisions if each.hash == hash_), None)


def step(service: InferenceService) -> str:
    """Which of its steps it is on, such as `step 2 of 3 (25%)`; empty where it is on none."""
    rollout = service.status.rollout
    if rollout.skipped or not rollout.steps or rollout.phase not in UNDER_WAY:
        return ""
    if rollout.phase not in ON_A_STEP:
        return f"{rollout.steps} steps" if rollout.phase != "Promoting" else ""
    return f"step {min(rollout.step + 1, rollout.steps)} of {rollout.steps} ({rollout.weight}%)"


def why(service: InferenceService) -> tuple[str, str]:
    """Why it rests, else why it is where it is: a word and a sentence, each of which may be empty."""
    rollout = service.status.rollout
    said = rollout.paused if rollout.paused is not None else rollout
    return said.reason, said.message


def summary(service: InferenceService) -> str:
    """Where it stands, in one line without markup: phase, step, the canary's requests, the verdicts."""
    rollout = service.status.rollout
    parts = [rollout.phase + (", paused" if rollout.paused is not None else "")]
    parts += [step(service)] if step(service) else []
    canary = revision(service, rollout.canary) if rollout.phase in {*UNDER_WAY, "RollingBack"} else None
    if canary is not None:
        parts.append(f"revision {canary.hash} gets {canary.weight}% of requests")
        parts += [f"{metric.name} {metric.verdict}" for metric in rollout.analysis.metrics]
    if gate := manual_gate(service):
        parts.append(f"gate {gate} waits for somebody")
    return ", ".join(parts)
