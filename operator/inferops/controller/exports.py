"""ServiceExports -> what an implementation of the Multi-Cluster Services API says of each.

`Valid` and `Conflict` are the API's own words from the beginning on, `Ready` is younger, and some implementations say
nothing at all. So nothing is missed: only what is said against an export counts. Any controller may write there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferops.core.observation import ExportView

MESSAGE_LIMIT = 512
PASSING = ("Pending",)  # it is being exported


def export_view(raw: Mapping[str, Any]) -> ExportView:
    """What matters of a ServiceExport."""
    conditions = [each for each in (raw.get("status") or {}).get("conditions") or () if isinstance(each, Mapping)]
    found = {str(each.get("type")): each for each in conditions}
    for kind, bad in (("Valid", "False"), ("Ready", "False"), ("Conflict", "True")):
        condition = found.get(kind, {})
        reason = str(condition.get("reason") or kind)
        if condition.get("status") == bad and reason not in PASSING:
            message = ": ".join(part for part in (reason, str(condition.get("message") or "")) if part)
            return ExportView(told=True, conflict=kind == "Conflict", problem=message[:MESSAGE_LIMIT])
    return ExportView(told=bool(found))
