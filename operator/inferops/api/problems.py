"""What is wrong with a resource, in sentences that begin with the field, as the API server writes them."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def problems(error: ValidationError) -> list[str]:
    """One sentence a problem, for example `spec.slo.ttft: must be a duration, for example 800ms, 30s, 5m or 1h30m`."""
    found = error.errors(include_url=False, include_input=False)
    return [_path(each) + each["msg"].removeprefix("Value error, ") for each in found]


def _path(problem: ErrorDetails) -> str:
    """`spec.runtime.env[1].name: ` from its parts; nothing where a rule speaks of the whole object.

    Pydantic marks a refused key of a map by a part `[key]` after it; a rule's field stands in its context.
    """
    parts = [part for part in problem["loc"] if part != "[key]"]
    if field := problem.get("ctx", {}).get("field"):
        parts.append(field)
    names = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return f"{''.join(names).removeprefix('.')}: " if parts else ""
