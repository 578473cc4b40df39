"""The Job of a gate: one container of the user's that judges the canary, as Pod Security's `restricted` wants it.

Its pods carry no label by which replicas are found, watched or counted. A pod that never got to judge (evicted, not
admitted by its node) is replaced; one whose container ended with another code than 0 ends the Job at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from math import ceil
from typing import Any

from inferops.api.base import ComputeResources, EnvVar
from inferops.api.formats import seconds
from inferops.api.resources import InferenceService
from inferops.api.rollout import JobGate
from inferops.core.revision import revision_name
from inferops.core.rollout.view import GateWanted
from inferops.render import labels
from inferops.render.inferencepool import http_port
from inferops.render.quantity import canonical
from inferops.render.record import Record
from inferops.runtimes.environment import merged, rendered

GATE = "inferops.dev/gate"  # annotation: the name by which the rollout asks
SINCE = "inferops.dev/gate-since"  # annotation: when it did
ROLE = "gate"
CONTAINER = "evaluation"
USER = 65532  # as images without root have it; those of root run with it as well
KEPT = 3600  # seconds that a Job and its log stay after its end
REPLACED = 3  # pods that did not get to judge
NAME = 63  # characters: the Job's name becomes a label of its pods


@dataclass(frozen=True, slots=True)
class Compared:
    """What a gate is told of the two revisions."""

    canary_url: str
    stable_url: str  # empty: it is not there any more
    model: str  # its name in requests to the canary


def compared(
    service: InferenceService, canary: tuple[str, Record | None], stable: tuple[str, Record | None]
) -> Compared:
    """Where to find the two revisions, each given by its hash and its record."""
    record, name = canary[1], service.metadata.name
    model = record.spec.model.name if record is not None else None
    return Compared(_url(service, *canary), _url(service, *stable), model or name)


def _url(service: InferenceService, hash_: str, record: Record | None) -> str:
    """The revision's Service, which is headless: its replicas that are ready, without anybody between."""
    if record is None:
        return ""
    host = f"{revision_name(service.metadata.name, hash_)}.{service.metadata.namespace}.svc"
    return f"http://{host}:{http_port(record)}"


def render_gate_job(service: InferenceService, wanted: GateWanted, told: Compared) -> dict[str, Any]:
    """The Job that judges. Raises ValueError where the gate has none, or `service` no uid."""
    job = wanted.gate.job
    if job is None:
        raise ValueError(f"gate {wanted.gate.name} has no job")
    meta = labels.metadata(service, job_name(service.metadata.name, wanted))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **meta,
            "labels": {**meta["labels"], labels.ROLE: ROLE},
            "annotations": {GATE: wanted.name, SINCE: wanted.since.isoformat()},
        },
        "spec": {
            "backoffLimit": REPLACED,
            "activeDeadlineSeconds": max(1, ceil(seconds(wanted.gate.wait))),
            "ttlSecondsAfterFinished": KEPT,
            # The first rule that fits counts: the container of an evicted pod ends with some code, too.
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0]},
                    },
                ]
            },
            "template": {
                # Neither managed by us, or they would be watched, nor of a revision, or they would get its requests.
                "metadata": {"labels": {labels.SERVICE: service.metadata.name, labels.ROLE: ROLE}},
                "spec": _pod(job, wanted, told),
            },
        },
    }


def job_name(service: str, wanted: GateWanted) -> str:
    """Another name for each rollout, and for each Job that its gate is told to be."""
    job = wanted.gate.job.dump() if wanted.gate.job is not None else {}
    text = json.dumps([wanted.name, job, wanted.gate.wait], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    words = f"{service}-{wanted.gate.name}".replace(".", "-")[: NAME - len(digest) - 1].rstrip("-")
    return f"{words}-{digest}"


def _pod(job: JobGate, wanted: GateWanted, told: Compared) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": job.image,
                **({"command": list(job.command)} if job.command else {}),
                **({"args": list(job.args)} if job.args else {}),
                "env": _env(job, wanted, told),
                "resources": _resources(job.resources),
                # What it says at its end goes to people, with the verdict.
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }


def _env(job: JobGate, wanted: GateWanted, told: Compared) -> list[dict[str, object]]:
    """Ours come first, so that the user's and the arguments can refer to them as $(NAME), and they win."""
    values = {
        "INFEROPS_CANARY_URL": told.canary_url,
        "INFEROPS_STABLE_URL": told.stable_url,
        "INFEROPS_MODEL": told.model,
        "INFEROPS_CANARY": wanted.canary,
        "INFEROPS_STABLE": wanted.stable,
        # Where the container runtime goes by it, an image that asks for all GPUs would see those of others.
        "NVIDIA_VISIBLE_DEVICES": "void",
    }
    own = rendered(EnvVar(name=name, value=value) for name, value in values.items())
    return merged(own, rendered(job.env), own)


def _resources(wanted: ComputeResources) -> dict[str, Any]:
    memory = {"memory": canonical(wanted.memory)} if wanted.memory else {}
    requests = {**({"cpu": canonical(wanted.cpu)} if wanted.cpu else {}), **memory}
    return {**({"requests": requests} if requests else {}), **({"limits": memory} if memory else {})}
