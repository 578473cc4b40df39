"""The models that a caller may use, as OpenAI's API lists them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from inferops.gateway.proxy.errors import no_such_model
from inferops.gateway.proxy.routing import MODELS
from inferops.gateway.table import Backend

OWNER = "inferops"


def answer(path: str, backends: Iterable[Backend]) -> bytes:
    """The body for GET /v1/models, or for that of one model. `backends`: in order of precedence. Raises `ApiError`."""
    models: dict[str, dict[str, object]] = {}
    for backend in backends:
        for name in backend.names:
            models.setdefault(
                name, {"id": name, "object": "model", "created": _unix(backend.created), "owned_by": OWNER}
            )
    if path == MODELS:
        return json.dumps({"object": "list", "data": list(models.values())}).encode()
    name = path.removeprefix(f"{MODELS}/")
    if name not in models:
        raise no_such_model(name)
    return json.dumps(models[name]).encode()


def _unix(created: str) -> int:
    """Seconds since 1970 of an RFC 3339 time; 0 where it is not known."""
    try:
        return int(datetime.fromisoformat(created).timestamp())
    except ValueError:
        return 0
