"""The header by which one gateway passes a request on to that of another cluster: once, and never again.

`X-Inferops-Spilled: 1; wait=0.8; left=3590`: the number of clusters that it left, the seconds that it may wait there
for a replica, and those in which it must have ended. `stay`: no replica will come where it is from. Whoever sends it
with no gateway before them only keeps their own request from going elsewhere, and from waiting.
"""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

HEADER = "X-Inferops-Spilled"


class Hop(NamedTuple):
    """What the gateway said that passed the request on; None: it did not."""

    wait: float | None = None  # seconds
    left: float | None = None
    stay: bool = False


def read(value: str) -> Hop:
    """What a header says. What cannot be read is not said: that the request was passed on is."""
    named = dict[str, str]()
    for part in value[:256].split(";"):
        name, _, number = part.partition("=")
        named[name.strip()] = number
    return Hop(_seconds(named.get("wait")), _seconds(named.get("left")), "stay" in named)


def line(said: Hop) -> bytes:
    """The header's line."""
    wait, left = max(said.wait or 0.0, 0.0), max(said.left or 0.0, 0.0)
    return f"{HEADER}: 1; wait={wait:.3f}; left={left:.3f}{'; stay' if said.stay else ''}\r\n".encode()


def _seconds(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if isfinite(found) and found >= 0 else None
