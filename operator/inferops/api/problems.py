"""What is wrong with a resource, in sentences that begin with the field, as the API server writes them."""

from __future__ import annotations

from pydantic import ValidationError


def problems(error: ValidationError) -> list[str]:
    """One sentence a problem, for example `spec.slo.ttft: must be a duration, for example 800ms, 30s, 5m or 1h30m`."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [f"{_path(each['loc'])}: {each['msg'].removeprefix('Value error, ')}" for each in found]


def _path(location: tuple[int | str, ...]) -> str:
    """`spec.runtime.env[1].name` from its parts. A rule over the whole object has no part, and is of `resource`."""
    names = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]")
    return "".join(names).removeprefix(".") or "resource"
