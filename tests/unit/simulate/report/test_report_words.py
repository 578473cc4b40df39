"""Figures are told as people read them, and never better than they are."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.simulate.report import words


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (words.share(1.0), "100 %"),
        (words.share(0.99999), "99.999 %"),
        (words.share(0.9999999), "99.999 %"),
        (words.share(0.995), "99.50 %"),
        (words.share(0.98999), "98.9 %"),
        (words.share(0.0), "0.0 %"),
        (words.span(0.0123), "12.3 ms"),
        (words.span(0.345), "345 ms"),
        (words.span(2.5), "2.50 s"),
        (words.span(345), "345 s"),
        (words.span(inf), "-"),
        (words.span(None), "-"),
        (words.spans({"p50": 0.1, "p95": 0.2, "p99": 0.35}), "100 / 200 / 350 ms"),
        (words.spans({"p50": 0.1, "p95": 0.2, "p99": 3.5}), "100 ms / 200 ms / 3.50 s"),
        (words.spans({}), "- / - / -"),
        (words.hours(12.345), "12.35"),
        (words.hours(1234.5), "1,234"),
        (words.dollars(12.345), "$12.35"),
        (words.dollars(12.345, priced=False), "-"),
        (words.clock(59), "59s"),
        (words.clock(3600), "1h"),
        (words.clock(5400), "1h 30m"),
        (words.clock(86400 * 2 + 7200), "2d 2h"),
        (words.rate(0.01234), "0.0123"),
        (words.rate(1234.5), "1,234"),
    ],
)
def test_figures(told: str, expected: str) -> None:
    assert told == expected


@given(st.floats(0, 1, exclude_max=True))
def test_a_share_is_never_told_above_what_it_is(value: float) -> None:
    told = float(words.share(value).removesuffix(" %"))
    assert told <= 100 * value + 1e-9 and told < 100
