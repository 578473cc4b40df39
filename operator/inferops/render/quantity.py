"""Kubernetes quantities in the one form in which the API server stores them, so that what was applied compares equal.

The canonical form keeps the kind of suffix (binary or decimal), has no fraction and the largest suffix that allows
that: `1024Mi` is stored as `1Gi`, `1000m` as `1`, `0.5Gi` as `512Mi`, `1000` as `1k`.
Source: the documentation of resource.Quantity in k8s.io/apimachinery.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

PATTERN = re.compile(r"([0-9]+(?:\.[0-9]{1,3})?)(m|[kMGTPE]|[KMGTPE]i|)")
BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
DECIMAL = {"m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
LARGEST = 2**63 - 1  # the API server stores a larger one as this


def canonical(quantity: str) -> str:
    """`quantity` as the API server stores it in resources: rounded up to thousandths. Raises ValueError on others."""
    return times(quantity, 1)


def times(quantity: str, count: int) -> str:
    """`count` times `quantity`, in canonical form. Raises ValueError on what is no quantity."""
    found = PATTERN.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity!r} is not a quantity; write for example 8, 500m or 64Gi")
    number, suffix = found.groups()
    binary = suffix.endswith("i")
    factor = Fraction(1024) ** BINARY.index(suffix) if binary else Fraction(1000) ** DECIMAL[suffix]
    thousandths = min(ceil(Fraction(number) * factor * count * 1000), LARGEST * 1000)
    if binary and thousandths >= 1024_000 and thousandths % 1000 == 0:
        return _binary(thousandths // 1000)
    return _decimal(thousandths)


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < len(BINARY) - 1:
        value, power = value // 1024, power + 1
    return f"{value}{BINARY[power]}"


def _decimal(thousandths: int) -> str:
    if thousandths == 0:
        return "0"
    value, power = thousandths, 0
    while value % 1000 == 0 and power < len(DECIMAL) - 1:
        value, power = value // 1000, power + 1
    return f"{value}{list(DECIMAL)[power]}"
