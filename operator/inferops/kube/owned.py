"""Which part of a live object is ours, by its managedFields, and whether it is what we applied.

Server-side apply records for every manager the fields it set. What our manager owns of a live object is
exactly what we applied last, unless somebody took a field over, changed it, or we no longer want it: so
comparing the owned part with the wanted object tells whether a write is needed, without remembering what was
written before, and ignores what others added. Format: FieldsV1, KEP-555 (structured-merge-diff).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FIELD_MANAGER = "inferops"

Object = dict[str, Any]


def owned(live: Mapping[str, Any], manager: str = FIELD_MANAGER) -> Object:
    """The part of `live` that `manager` applied (not its status). Empty where it applied nothing."""
    for entry in live.get("metadata", {}).get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            part = _extract(live, entry.get("fieldsV1") or {})
            return part if isinstance(part, dict) else {}
    return {}


def _extract(value: Any, fields: Mapping[str, Any]) -> Any:
    parts = {key: sub for key, sub in fields.items() if key != "."}
    if not parts:  # the whole value, or with "." the map or list itself and nothing in it
        return type(value)() if "." in fields and isinstance(value, dict | list) else value
    if isinstance(value, dict):
        return {
            key[2:]: _extract(value[key[2:]], sub)
            for key, sub in parts.items()
            if key.startswith("f:") and key[2:] in value
        }
    if isinstance(value, list):
        return [_extract(item, sub) for item in value if (sub := _fields_of(item, parts)) is not None]
    return value


def _fields_of(item: Any, parts: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Which of a list's entries `k:{…}` (by keys) or `v:…` (by value) means this item."""
    for key, sub in parts.items():
        wanted: Any = json.loads(key[2:]) if key[:2] in ("k:", "v:") else None
        if key.startswith("v:") and item == wanted:
            return {}
        if (
            key.startswith("k:")
            and isinstance(item, dict)
            and all(item.get(name) == value for name, value in wanted.items())
        ):
            return sub if isinstance(sub, dict) else {}
    return None


def wanted_part(desired: Mapping[str, Any]) -> Object:
    """The part of an object to apply that managedFields speak of: all but its identity."""
    meta = {key: value for key, value in desired.get("metadata", {}).items() if key not in ("name", "namespace", "uid")}
    rest = {key: value for key, value in desired.items() if key not in ("apiVersion", "kind", "metadata")}
    return {**rest, **({"metadata": meta} if meta else {})}


def digest(part: Mapping[str, Any]) -> str:
    """A short fingerprint of a part, the same for equal content."""
    text = json.dumps(part, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


# What an apply led to, where webhooks or defaults made the live object differ from it: by uid, the digests of what was
# applied last and of what came of it.
Accepted = dict[str, tuple[str, str]]


def stands(accepted: Accepted, uid: str, live: str, desired: Mapping[str, Any]) -> bool:
    """Whether an object is what `desired` asks for, or what came of that last; `live`: the digest of our part of it."""
    wanted = digest(wanted_part(desired))
    return live == wanted or accepted.get(uid) == (wanted, live)


def accept(accepted: Accepted, uid: str, live: str, desired: Mapping[str, Any]) -> None:
    """Remember what came of applying `desired`, where that is something else."""
    wanted = digest(wanted_part(desired))
    if live != wanted:
        accepted[uid] = (wanted, live)
