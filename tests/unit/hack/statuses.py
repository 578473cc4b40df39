"""Statuses of all kinds, and what those who wait for them are to make of each."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

GATES = {"rollout": {"gates": [{"name": "sign-off", "manual": True}, {"name": "smoke", "job": {}}]}}


def condition(type_: str, status: str, reason: str = "Because", of: int = 2) -> Json:
    return {"type": type_, "status": status, "reason": reason, "message": "told", "observedGeneration": of}


READY = condition("Ready", "True", "Ready")
WAITS = [condition("Ready", "Unknown", "Loading"), condition("Reconciling", "True", "Progressing")]
STUCK = [condition("Ready", "False", "RolledBack"), condition("Stalled", "True", "RolledBack")]
PAUSED = [condition("Ready", "Unknown", "RolloutPaused"), condition("Reconciling", "True", "Progressing")]
AT_GATE = [condition("Ready", "Unknown", "GateWaits"), condition("Reconciling", "True", "Progressing")]
AVAILABLE = condition("Available", "True", "MinimumReplicasAvailable")
UNAVAILABLE = condition("Available", "False", "NoReplicaAvailable")


def service(*conditions: Json, observed: int = 2, generation: int = 2, spec: Json | None = None, **status: Any) -> Json:
    return {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": "llama", "namespace": "chat", "generation": generation, "resourceVersion": "7"},
        "spec": spec or {},
        "status": {"observedGeneration": observed, "conditions": list(conditions), **status},
    }


def deleted(judged: Json) -> Json:
    return {**judged, "metadata": {**judged["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def at_gate(name: str, verdict: str = "Waiting") -> Json:
    return service(*AT_GATE, AVAILABLE, spec=GATES, rollout={"gates": [{"name": name, "verdict": verdict}]})


SOUND = {
    "as it was created": (service(observed=0, generation=1), "InProgress", "Progressing"),
    "rolling out": (service(*WAITS, AVAILABLE), "InProgress", "Progressing"),
    "loading at first": (service(*WAITS, UNAVAILABLE), "InProgress", "Progressing"),
    "scaled to zero": (service(READY, UNAVAILABLE), "Current", "Healthy"),
    "ready": (service(READY, AVAILABLE), "Current", "Healthy"),
    "rolled back, and serving": (service(*STUCK, AVAILABLE), "Failed", "Degraded"),
    "ready in an older generation": (service(READY, generation=3), "InProgress", "Progressing"),
    "stuck in an older generation": (service(*STUCK, generation=3), "InProgress", "Progressing"),
    "paused": (service(*PAUSED, AVAILABLE), "InProgress", "Suspended"),
    "paused in an older generation": (service(*PAUSED, AVAILABLE, generation=3), "InProgress", "Progressing"),
    "at a gate that a person opens": (at_gate("sign-off"), "InProgress", "Suspended"),
    "at a gate that was opened": (at_gate("sign-off", "Passed"), "InProgress", "Progressing"),
    "at a gate that a Job opens": (at_gate("smoke"), "InProgress", "Progressing"),
    "being deleted": (deleted(service(READY, AVAILABLE)), "Terminating", "Progressing"),
}
