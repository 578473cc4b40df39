"""The path of a request, read in one way only, so that what is checked here is what the engine gets."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from inferops.gateway.proxy.errors import ApiError, bad_request

SAFE = "/!$&'()*+,;=:@~"  # beside letters, digits and -._ what stands in a path as it is
LONGEST = 2048  # characters


class Path(NamedTuple):
    """A path that is safe to compare and to send on."""

    path: str  # decoded
    encoded: str  # as it is sent to an engine
    slashes: bool = False  # whether a slash in it came encoded: part of a name then, not between segments


def split(target: str) -> tuple[Path, str]:
    """The path of a request's target, and its query with the question mark. Raises `ApiError`."""
    if not target.startswith("/"):
        target = _of_absolute(target)
    raw, mark, query = target.partition("?")
    return read(raw), mark + query


@lru_cache(maxsize=1024)
def read(raw: str) -> Path:
    """Decode a path once. Raises `ApiError` for what engines might read differently."""
    if len(raw) > LONGEST or not raw.isascii():
        raise _refused(f"is longer than {LONGEST} characters, or holds others than ASCII")
    try:
        path = unquote(raw, errors="strict") if "%" in raw else raw
    except UnicodeDecodeError:
        raise _refused("decodes to no UTF-8") from None
    if "%" in path:
        raise _refused("is encoded more than once; encode it once")
    if "\\" in path or not path.isprintable():
        raise _refused("holds a backslash or characters that cannot be printed")
    segments = path.split("/")[1:]
    if any(segment in (".", "..") for segment in segments) or ("" in segments and path != "/"):
        raise _refused("holds `.`, `..`, `//`, or a slash at its end; leave them out")
    return Path(path, quote(path, safe=SAFE), "%2f" in raw.lower())


def _of_absolute(target: str) -> str:
    """Clients that take us for a proxy send whole addresses."""
    for scheme in ("http://", "https://"):
        if target.lower().startswith(scheme):
            return "/" + target[len(scheme) :].partition("/")[2]
    raise _refused("does not begin with a slash")


def _refused(why: str) -> ApiError:
    return bad_request(f"the path {why}", code="invalid_path")
