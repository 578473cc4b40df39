"""Quantities stand as the API server stores them."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.render.quantity import canonical, times
from unit.render.building import cpus, sizes

POWERS: dict[str, Fraction] = {
    **{unit: Fraction(1000) ** power for power, unit in enumerate(["", "k", "M", "G", "T", "P", "E"])},
    **{unit: Fraction(1024) ** power for power, unit in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"], start=1)},
    "m": Fraction(1, 1000),
}


def value(quantity: str) -> Fraction:
    """What a quantity is worth."""
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", quantity)
    assert found is not None, quantity
    return Fraction(found[1]) * POWERS[found[2]]


# What kube-apiserver makes of a request of the left, read back.
STORED = [
    ("0", "0"),
    ("0.0Gi", "0"),
    ("1", "1"),
    ("1.0", "1"),
    ("0.5", "500m"),
    ("1.5", "1500m"),
    ("100m", "100m"),
    ("1000m", "1"),
    ("1500m", "1500m"),
    ("1000", "1k"),
    ("1500", "1500"),
    ("1000000m", "1k"),
    ("64Gi", "64Gi"),
    ("1024Mi", "1Gi"),
    ("1536Mi", "1536Mi"),
    ("1.5Gi", "1536Mi"),
    ("0.5Gi", "512Mi"),
    ("1000Mi", "1000Mi"),
    ("0.5Ki", "512"),
    ("1.1Ki", "1126400m"),
    ("1000M", "1G"),
    ("128G", "128G"),
    ("1.5G", "1500M"),
    ("1024Gi", "1Ti"),
    ("1024Ti", "1Pi"),
    ("1Pi", "1Pi"),
    ("1500P", "1500P"),
    ("9Ei", "9223372036854775807"),
]


@pytest.mark.parametrize(("given_", "stored"), STORED)
def test_canonical_form(given_: str, stored: str) -> None:
    assert canonical(given_) == stored


def test_times() -> None:
    assert times("32Gi", 1) == "32Gi"
    assert times("32Gi", 8) == "256Gi"
    assert times("512Mi", 4) == "2Gi"
    assert times("4", 8) == "32"
    assert times("250m", 4) == "1"


def test_the_largest_is_the_largest_that_is_stored() -> None:
    assert value(times("999999999Ti", 64)) == 2**63 - 1


@pytest.mark.parametrize("wrong", ["", "1 Gi", "-1", "1e3", "1KB", "Gi", ".5", "1.2345"])
def test_what_is_no_quantity(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity; write for example"):
        canonical(wrong)


@given(cpus | sizes, st.integers(1, 64))
def test_worth_the_same_rounded_up_to_thousandths(quantity: str, count: int) -> None:
    exact = value(quantity) * count * 1000
    assert value(times(quantity, count)) == Fraction(ceil(exact), 1000)


@given(cpus | sizes)
def test_canonical_is_stable_and_has_no_fraction(quantity: str) -> None:
    once = canonical(quantity)
    assert canonical(once) == once
    assert "." not in once
    number, suffix = re.fullmatch(r"([0-9]+)([a-zA-Z]*)", once).groups()  # type: ignore[union-attr]
    step = 1024 if suffix.endswith("i") else 1000
    assert number == "0" or int(number) % step or suffix in ("E", "Ei") or (suffix == "" and "i" in quantity)
