"""What is kept of an InferenceService that we wrote into a member, as the member tells of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from inferops.api.conditions import Condition
from inferops.api.formats import seconds
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.controller.shapes import mapping
from inferops.core.clusters.rolling import FIELDS
from inferops.core.clusters.seen import ChildView
from inferops.core.told import describe
from inferops.kube.owned import Object, digest, owned
from inferops.render.child import VERSION

CONTENT_LIMIT = 200_000  # characters
ROLLOUT_LIMIT = 65536  # characters; what is longer reads as none
SHOWN = ("Ready", "RolledOut", "Routed")


@dataclass(frozen=True, slots=True)
class Found:
    """A child as the member has it."""

    view: ChildView
    digest: str  # of what is ours in it
    version: int = field(default=0, compare=False)  # by which it is told whether an answer is older than what was heard


def child(raw: Object) -> Found:
    """What is kept of a child. What its operator tells is untrusted: whatever is missing reads as not there."""
    meta, spec, status = raw["metadata"], mapping(raw.get("spec")), mapping(raw.get("status"))
    scaling = mapping(spec.get("scaling"))
    number = scaling.get("replicas")
    most = number if number is not None else scaling.get("maxReplicas", 1)
    least = number if number is not None else scaling.get("minReplicas", 1)
    view = ChildView(
        uid=str(meta.get("uid", "")),
        way=_way(spec),
        least=_count(least),
        most=_count(most),
        desired=None if status.get("desiredReplicas") is None else _count(status["desiredReplicas"]),
        short=number is None and _is_short(status, _count(least), _count(most)),
        replicas=_count(status.get("replicas")),
        ready=_count(status.get("readyReplicas")),
        stable=str(status.get("stableRevision") or "")[:16],
        latest=str(status.get("latestRevision") or "")[:16],
        rejected=_rejected(status),
        cold_start=_cold_start(status),
        version=given_version(raw),
        content=_content(spec),
        rollout=_rollout(status),
        current=_count(status.get("observedGeneration")) >= _count(meta.get("generation")),
        deleting=bool(meta.get("deletionTimestamp")),
        conditions=_conditions(status),
    )
    return Found(view, digest(owned(raw)), resource_version(raw))


def resource_version(raw: Object) -> int:
    """By which it is told which of two states is the older one."""
    return int(raw["metadata"].get("resourceVersion") or 0)


def given_version(raw: Object) -> str:
    """Hash of the model and runtime that it was given."""
    return str(mapping(raw["metadata"].get("annotations")).get(VERSION, ""))[:16]


def _content(spec: Mapping[str, Any]) -> str:
    """As a version on record has it. Clusters that have the same share one copy."""
    text = json.dumps({name: spec.get(name) or {} for name in ("model", "runtime")}, sort_keys=True)
    return sys.intern(text) if len(text) <= CONTENT_LIMIT else ""


def _way(spec: Mapping[str, Any]) -> str:
    try:
        return describe(AcceleratorChoice.model_validate((spec.get("accelerators") or ({},))[0]))
    except (ValidationError, KeyError, TypeError):
        return ""


def _cold_start(status: Mapping[str, Any]) -> float | None:
    """Seconds, as learned."""
    try:
        return seconds(str(mapping(status.get("scaling")).get("coldStart"))[:32]) or None
    except ValueError:
        return None


def _rejected(status: Mapping[str, Any]) -> str:
    """Why the revision that the spec asks for was rolled back."""
    listed = mapping(status.get("rollout")).get("rejected")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and each.get("hash") == status.get("latestRevision") is not None:
            return str(each.get("message") or each.get("reason") or "it was rolled back")[:1024]
    return ""


def _is_short(status: Mapping[str, Any], least: int, most: int) -> bool:
    """Whether it is at its bound and needs more. One that has no choice does not say whether it would."""
    full = _count(status.get("desiredReplicas")) >= most > 0
    return full and (mapping(status.get("scaling")).get("reason") == "Maximum" or most <= max(least, 1))


def _rollout(status: Mapping[str, Any]) -> str:
    told = mapping(status.get("rollout"))
    kept = {name: told[name] for name in FIELDS if told.get(name)}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"))[:ROLLOUT_LIMIT] if kept else ""


def _conditions(status: Mapping[str, Any]) -> dict[str, Condition]:
    found = {}
    for each in status.get("conditions") or ():
        if isinstance(each, Mapping) and each.get("type") in SHOWN:
            try:
                found[str(each["type"])] = Condition.model_validate(each)
            except ValidationError:
                continue
    return found


def _count(value: Any) -> int:
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0
