"""What stands in the cells of a trace: numbers of tokens, seconds, moments."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

MOST_TOKENS = 1 << 24
TOKENS = "a number of tokens, for example 512"
SECONDS = "a number of seconds, for example 12.5"
RATE = "a number of requests a second, for example 3.2"
VARIATION = "a coefficient of variation, for example 1.5"
MOMENT = "a time, for example 2023-11-16 18:17:03.98"


def tokens(text: str | int) -> int:
    """A number of tokens, 0 and more. Raises ValueError."""
    value = int(text)
    if not 0 <= value <= MOST_TOKENS:
        raise ValueError(text)
    return value


def number(text: str | float) -> float:
    """A finite number of 0 and more. Raises ValueError."""
    value = float(text)
    if not isfinite(value) or value < 0:
        raise ValueError(text)
    return value


def moment(text: str) -> float:
    """Unix seconds of a time in ISO 8601; without a zone it is UTC's. Raises ValueError."""
    found = datetime.fromisoformat(text.strip())
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
