"""OCM's agent in a managed cluster, as far as works of ours meet it: what it tells of an object in a work's status.

As its source has it (v1.3): values are single ones, integers, texts or truth values; a path without a value tells
none; one beyond the end of a list fails, and the others are told all the same; what cannot be found keeps the values
that were told before; conditions of what was applied have the work's generation.
"""

from __future__ import annotations

import re
from typing import Any

from inferops.kube.owned import Object

FINALIZER = "cluster.open-cluster-management.io/manifest-work-cleanup"
STEP = re.compile(r'\.((?:[^.\[\\]|\\.)+)|\[(\d+|\*)\]|\[\?\(@\.(\w+)=="([^"]*)"\)\]')
TYPES = {int: "Integer", str: "String", bool: "Boolean"}
GONE = "Resource is not available"


def manifest_of(work: Object) -> Object:
    found: Object = work["spec"]["workload"]["manifests"][0]
    return found


def strategy_of(work: Object) -> str:
    return str(work["spec"]["manifestConfigs"][0]["updateStrategy"]["type"])


def answer(
    work: Object, live: Object | None, error: str = "", now: str = "2025-11-03T12:00:00Z", blind: str = ""
) -> Object:
    """The status of a work after one look. `live`: the object in the cluster; `error`: why it could not be applied;
    `blind`: why it could not be looked for."""
    generation, before = work["metadata"]["generation"], work.get("status") or {}
    told = _manifest(before)
    condition = {"observedGeneration": generation, "lastTransitionTime": now, "status": "False" if error else "True"}
    done = {"reason": "AppliedManifestFailed" if error else "AppliedManifestComplete"}
    message = f"Failed to apply manifest: {error}" if error else "Apply manifest complete"
    available = {"status": "False" if live is None else "True", "lastTransitionTime": now}
    named = {"reason": "ResourceNotAvailable", "message": GONE} if live is None else {"reason": "ResourceAvailable"}
    if blind:
        available["status"] = "Unknown"
        named = {"reason": "FetchingResourceFailed", "message": f"Failed to fetch resource: {blind}"}
    conditions = [{"type": "Applied", **condition, **done, "message": message}]
    if not error or live is not None:  # without a kind that it knows nothing can be looked for
        conditions.append({"type": "Available", **available, **named})
    values = _values(work, live) if live is not None else (told.get("statusFeedback") or {}).get("values", [])
    result = {"resourceMeta": {"ordinal": 0}, "conditions": conditions, "statusFeedback": {"values": values}}
    whole = "Failed to apply manifest work" if error else "Apply manifest work complete"
    return {
        "conditions": [{"type": "Applied", **condition, "reason": "AppliedManifestWork", "message": whole}],
        "resourceStatus": {"manifests": [result]},
    }


def _manifest(status: Object) -> Object:
    found = (status.get("resourceStatus") or {}).get("manifests") or [{}]
    return dict(found[0])


def _values(work: Object, live: Object) -> list[Object]:
    paths = work["spec"]["manifestConfigs"][0]["feedbackRules"][0]["jsonPaths"]
    found = []
    for each in paths:
        value = look(each["path"], live)
        if type(value) in TYPES:
            kind = TYPES[type(value)]
            found.append({"name": each["name"], "fieldValue": {"type": kind, kind.lower(): value}})
    return found


def look(path: str, live: Any) -> Any:
    """The value at a JSONPath of the kinds that we use; None: there is none, or it fails."""
    at, here = 0, live
    while at < len(path):
        step = STEP.match(path, at)
        assert step is not None, f"JSONPath that the agent may not know: {path[at:]}"
        at = step.end()
        if step[1] is not None:
            here = here.get(step[1].replace("\\", "")) if isinstance(here, dict) else None
        elif not isinstance(here, list):
            return None
        elif step[2] is not None:  # `*` means all, of which the first is told
            number = int(step[2].replace("*", "0"))
            here = here[number] if number < len(here) else None
        else:
            here = next((each for each in here if each.get(step[3]) == step[4]), None)
    return here
