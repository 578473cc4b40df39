"""What a ManifestWork's status tells of the object that it brings to a cluster: the same object, as far as is known.

What comes from a member is untrusted: whatever is missing, or of another shape, reads as not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferops.controller.shapes import listed, mapping, text
from inferops.core.clusters.naming import HUB
from inferops.kube.owned import FIELD_MANAGER, Object
from inferops.render.child import VERSION
from inferops.render.manifestwork import GIVEN, OF_A_CLUSTER, OF_A_SERVICE, RULES, rules

KNOWN = OF_A_SERVICE.keys() | OF_A_CLUSTER.keys()
TYPES = {"Integer": int, "String": str, "Boolean": bool}
# what our manager owns of the object that was written, as managedFields tell it: these as a whole
OURS: Object = {"f:metadata": {"f:labels": {}, "f:annotations": {}}, "f:spec": {}}
UNSEEN = 1 << 53  # the generation of one whose operator cannot have seen it yet
MARKS = (HUB, GIVEN, VERSION)
STEP = re.compile(r"([A-Za-z]+)(?:\[(\d)\])?")


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the object of a work."""

    manifest: Mapping[str, Any]  # as it is to be
    reads: bool  # the work only looks
    applied: bool | None  # whether the newest one was applied; None: not tried yet
    there: bool | None  # whether the object was there when it was looked for last; None: not known
    why: str  # it was not applied, or cannot be looked for
    values: Mapping[str, Any]  # of the object, by their names in the feedback rules
    current: bool  # whether these are of the newest one

    @property
    def known(self) -> bool:
        """Whether the object was ever seen there."""
        return bool(self.values) or self.there is True


def told(work: Mapping[str, Any]) -> Told:
    """What a work tells now."""
    spec, status = mapping(work.get("spec")), mapping(work.get("status"))
    manifests = listed(mapping(spec.get("workload")).get("manifests"))
    configs = listed(spec.get("manifestConfigs"))
    manifest = manifests[0] if manifests else {}
    strategy = mapping(configs[0].get("updateStrategy")).get("type") if configs else ""
    results = listed(mapping(status.get("resourceStatus")).get("manifests"))
    result = results[0] if results else {}
    values = _values(result)
    there = {"True": True, "False": False}.get(text(_condition(result, "Available").get("status")))
    return Told(
        manifest,
        strategy == "ReadOnly",
        _applied(work, status),
        there,
        _why(result),
        values,
        there is not False and values.get(GIVEN, "") == _marks(manifest, "annotations").get(GIVEN),
    )


def child_of(work: Mapping[str, Any]) -> Object | None:
    """The InferenceService that a work brings, as `children.child` reads it; None: it brings none. Its UID is the
    work's, since what is deleted is that one. What was not accepted there is as it was before."""
    seen = told(work)
    if seen.reads or seen.manifest.get("kind") != "InferenceService":
        return None
    meta, given = mapping(work.get("metadata")), mapping(seen.manifest.get("metadata"))
    live = seen.values if seen.there is not False else {}  # OCM's agent keeps what it told before
    refused = seen.applied is False
    marks = {key: value for key, value in _marks(seen.manifest, "annotations").items() if key != GIVEN}
    if refused or not as_written(work):
        marks = {**marks, VERSION: live.get(VERSION, ""), GIVEN: "refused"}  # which is not what is wanted
    found: Object = {
        "apiVersion": seen.manifest.get("apiVersion"),
        "kind": "InferenceService",
        "metadata": {
            "namespace": text(given.get("namespace")),
            "name": text(given.get("name")),
            "uid": text(meta.get("uid")),
            "generation": live.get("metadata.generation", UNSEEN) if seen.current else UNSEEN,
            "labels": _marks(seen.manifest, "labels"),
            "annotations": marks,
            "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": OURS}],
        },
        "spec": _built(live).get("spec", {}) if refused else mapping(seen.manifest.get("spec")),
        "status": status_of(live),
    }
    if meta.get("deletionTimestamp"):
        found["metadata"]["deletionTimestamp"] = meta["deletionTimestamp"]
    return found


def as_written(work: Mapping[str, Any]) -> bool:
    """Whether a work was written with the rules of this operator."""
    seen = told(work)
    strategy = "ReadOnly" if seen.reads else "ServerSideApply"
    return _marks(work, "annotations").get(RULES) == rules(strategy, text(seen.manifest.get("kind")))


def status_of(values: Mapping[str, Any]) -> Object:
    """The status of which the values were told, as far as they were."""
    found: Object = dict(_built(values).get("status", {}))
    conditions: dict[str, Object] = {}
    for name, value in values.items():
        kind, _, part = name.removeprefix("conditions.").partition(".")
        if name.startswith("conditions.") and part:
            conditions.setdefault(kind, {"type": kind})[part] = value
    return {**found, "conditions": list(conditions.values())}


def _built(values: Mapping[str, Any]) -> Object:
    """The object of which single values are told by their places, such as `status.rollout.rejected[0].hash`."""
    whole: Object = {}
    for name, value in sorted(values.items()):
        steps = [STEP.fullmatch(each) for each in name.split(".")]
        if name in MARKS or not all(steps):
            continue
        here: Any = whole
        for number, step in enumerate(steps):
            assert step is not None
            last = number == len(steps) - 1
            if step[2] is None:
                here = here.setdefault(step[1], value if last else {})
                continue
            items = here.setdefault(step[1], [])
            if len(items) == int(step[2]):  # else those before it are missing
                items.append(value if last else {})
            here = items[int(step[2])] if len(items) > int(step[2]) else {}
    return whole


def _values(result: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for each in listed(mapping(result.get("statusFeedback")).get("values")):
        name, value = text(each.get("name")), _value(mapping(each.get("fieldValue")))
        if name in KNOWN and value is not None:
            found[name] = value
    return found


def _value(field: Mapping[str, Any]) -> Any:
    """The value; of several the first, as agents tell it unless a feature gate has them tell all as JSON."""
    kind = text(field.get("type"))
    if kind in TYPES:
        value = field.get(kind.lower())
        return value if type(value) is TYPES[kind] else None
    try:
        several = json.loads(text(field.get("jsonRaw")))
    except (ValueError, RecursionError):
        return None
    first = several[0] if isinstance(several, list) and several else None
    return first if type(first) in TYPES.values() else None


def _applied(work: Mapping[str, Any], status: Mapping[str, Any]) -> bool | None:
    condition = _condition(status, "Applied")
    if condition.get("observedGeneration") != mapping(work.get("metadata")).get("generation"):
        return None
    return {"True": True, "False": False}.get(text(condition.get("status")))


def _why(result: Mapping[str, Any]) -> str:
    for kind in ("Applied", "Available"):
        condition = _condition(result, kind)
        if condition.get("status") in ("False", "Unknown"):
            return text(condition.get("message"))[:1024] or text(condition.get("reason"))
    return ""


def _condition(of: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((each for each in listed(of.get("conditions")) if each.get("type") == kind), {})


def _marks(raw: Mapping[str, Any], where: str) -> dict[str, str]:
    return {key: text(value) for key, value in mapping(mapping(raw.get("metadata")).get(where)).items()}
