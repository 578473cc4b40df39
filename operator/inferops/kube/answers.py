"""Reads what an API server answers, no further than it may be long, and of no other shape than it must have.

Who answers for a member may be anybody, and memory that one of them takes is missing for all. JSON of the worst kind
takes some twenty times its length once it is read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from inferops.kube.owned import Object

MOST = 2**24  # bytes of an answer, uncompressed: etcd holds objects of up to 1.5 MiB
PAGES = 5000  # of a list


class TooLarge(ValueError):
    """More than anything that is meant well."""


async def read(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises TooLarge."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MOST:
            raise TooLarge(f"the answer is larger than {MOST} bytes")
        parts.append(part)
    return b"".join(parts)


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Object]]:
    """Type and object of each event of a watch. Raises TooLarge and ValueError."""
    try:
        async for line in response.content:  # no longer than twice the session's buffer
            event = mapping(line)
            type_, found = str(event.get("type")), event.get("object") or {}
            if not isinstance(found, dict) or (type_ in ("ADDED", "MODIFIED", "DELETED") and not _readable(found)):
                raise ValueError("an event without an object")
            yield type_, found
    except LineTooLong as error:
        raise TooLarge("an event is larger than any object may be") from error


def mapping(content: bytes) -> Object:
    """The object that `content` is as JSON. Raises ValueError."""
    try:
        parsed = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(parsed, dict):
        raise ValueError("no JSON object")
    return parsed


def page(answer: Object) -> tuple[list[Object], int, str]:
    """The objects of a list's page, its version, and where to go on; empty: it is the last. Raises ValueError."""
    meta, items = answer.get("metadata"), answer.pop("items", None) or []
    if not isinstance(meta, dict) or not isinstance(items, list) or not all(_readable(each) for each in items):
        raise ValueError("no list of objects with names and versions")
    return items, int(meta.get("resourceVersion") or 0), str(meta.get("continue") or "")


def _readable(item: object) -> bool:
    meta = item.get("metadata") if isinstance(item, Mapping) else None
    if not isinstance(meta, Mapping):
        return False
    return isinstance(meta.get("name"), str) and str(meta.get("resourceVersion") or 0).isdecimal()
