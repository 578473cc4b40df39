"""What a service's scaling remembers from one look to the next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class History:
    """As left by the last look; `History()` before the first."""

    looked: float | None = None  # when, in Unix seconds
    rate: float | None = None  # requests a second, smoothed
