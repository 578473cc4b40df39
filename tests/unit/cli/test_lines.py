"""Words and lines: times for people, and texts of others that can do nothing to a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.cli.lines import clean, duration, line, moment, percent, plain, since
from unit.cli.scenes import NOW, at, text


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5, "0s"), (0, "0s"), (59.4, "59s"), (59.6, "1m"), (192, "3m 12s"), (3600, "1h"), (3605, "1h"), (3660, "1h 1m"),
     (93600, "1d 2h")],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("case", "time", "told"),
    [
        ("as the operator writes it", at(seconds=-75), "1m 15s"),
        ("in another zone", "2025-11-03T13:59:00+02:00", "1m"),
        ("of a clock that is ahead", at(seconds=30), "0s"),
        ("none", "", ""),
        ("nonsense", "yesterday", ""),
        ("of no zone at all", "2025-11-03T11:59:00", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_how_long_ago_that_was(case: str, time: str, told: str) -> None:
    assert since(time, NOW) == told
    assert (moment(time) is None) == (told == "")


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ((25, 25, 25), "25% of requests"),
        ((25, 25, None), "25% of requests"),
        ((10, 25, None), "10% of requests (25% desired)"),
        ((10, 25, 9), "10% of requests (25% desired, 9% observed)"),
        ((0, 0, 3), "0% of requests (3% observed)"),
    ],
)
def test_shares_are_told_apart_where_they_differ(shares: tuple[int, int, int | None], told: str) -> None:
    assert percent(*shares) == told


texts = st.one_of(st.text(), st.text(alphabet="\\[]/a #@"))


@given(texts)
@pytest.mark.parametrize("around", ["{}", "[bold]{}[/]", "{}  x", "{}[red]x[/]", "\\[{}]"])
def test_a_text_of_others_keeps_its_words_and_loses_what_terminals_obey(around: str, words: str) -> None:
    assert clean(words).isprintable()
    shown = line(around.format(plain(words)))
    bare = around.replace("[bold]", "").replace("[red]", "").replace("[/]", "").replace("\\[", "[")
    assert shown.plain == bare.format(clean(words))
    assert all(span.style in ("bold", "red") for span in shown.spans)


def test_what_looks_like_markup_colours_or_pictograms_is_shown_as_it_is() -> None:
    told = "[red]failed[/] \x1b[2J\x1b]0;title\x07 :bomb: \u202egnp.exe\nnext line"
    assert clean(told) == "[red]failed[/]  [2J ]0;title  :bomb:  gnp.exe next line"
    assert text(line(plain(told))).strip() == clean(told)
