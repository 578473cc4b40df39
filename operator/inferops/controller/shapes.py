"""Untrusted JSON -> values of the shape that is meant; whatever has another shape reads as not there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

AMOUNT = re.compile(r"([0-9]{1,9})(k?)")  # bounded, so that sums over a cluster stay numbers that the API can hold


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def extended(value: Any) -> dict[str, int]:
    """Whole units of the extended resources of a ResourceList: those whose names have a domain."""
    found = ((name, AMOUNT.fullmatch(str(amount))) for name, amount in mapping(value).items() if "/" in name)
    return {name: int(amount[1]) * (1000 if amount[2] else 1) for name, amount in found if amount}
