"""What a service's scaling has learned, as a text in its status, and back."""

from __future__ import annotations

import json

from inferops.core.autoscale.history import History


def written(history: History) -> str:
    """What is worth keeping over a restart of the operator: at most 2048 characters."""
    return json.dumps({"rate": history.rate})


def read(text: str) -> History:
    """The history that a new operator begins with. A text that is none of ours counts as empty."""
    try:
        found = json.loads(text)
        return History(rate=float(found["rate"]))
    except (ValueError, TypeError, KeyError):
        return History()
