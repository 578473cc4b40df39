"""What is written of scaling, and when: what people must know at once, numbers now and then, and else nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.scalingstatus import ScalingStatus
from inferops.core.autoscale.terms import Numbers
from inferops.core.scalingtold import OVER, REFRESH, Found, events, figure, told
from unit.core.building import NOW

NUMBERS = Numbers(arrivals=10.0, forecast=12.0, capacity=4.0, utilization=0.8, cold_start=95.0, attainment=0.995)
FOUND = Found(3, "Demand", "10 requests/s", NUMBERS, lambda: "what was learned")
T = NOW.timestamp()
BEFORE = told(ScalingStatus(), None, "auto", FOUND, T, T)


def test_everything_is_told_at_first_and_rounded() -> None:
    assert ScalingStatus(
        mode="auto", reason="Demand", message="10 requests/s", arrivals_per_second="10", forecast_per_second="12",
        capacity_per_second="4", utilization="0.8", cold_start="95s", attainment="0.9950", learned="what was learned",
    ) == BEFORE  # fmt: skip
    assert BEFORE.last_scale_time == "", "it was not changed by load"


def changed(numbers: dict[str, Any] | None = None, **facts: Any) -> Found:
    return replace(FOUND, numbers=replace(NUMBERS, **(numbers or {})), **facts)


@pytest.mark.parametrize(
    ("case", "found", "at_once", "in_time"),
    [
        ("nothing", changed(), False, False),
        ("other replicas", changed(replicas=4), True, True),
        ("another message", changed(message="11 requests/s"), False, False),
        ("a reason like another", changed(reason="Forecast"), False, False),
        ("nobody tells", changed(reason="NoSignals"), True, True),
        ("the maximum", changed(reason="Maximum"), True, True),
        ("a little more", changed({"arrivals": 10.9}), False, False),
        ("much more", changed({"arrivals": 12.0}), False, True),
        ("much less", changed({"capacity": 3.0}), False, True),
        ("nothing known", changed({"forecast": None}), False, True),
        ("a few more missed", changed({"attainment": 0.993}), False, False),
        ("many missed", changed({"attainment": 0.95}), False, True),
        ("nothing counted just now", changed({"arrivals": None, "forecast": None}), False, False),
        ("slower starts", changed({"cold_start": 200.0}), False, True),
        ("something learned", changed(learned=lambda: "more"), False, True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_written_when(case: str, found: Found, at_once: bool, in_time: bool) -> None:
    for elapsed, writes in ((15.0, at_once), (REFRESH - 1, at_once), (REFRESH, in_time)):
        after = told(BEFORE, 3, "auto", found, T + elapsed, T)
        assert (after != BEFORE) == writes
        assert writes or after is BEFORE


def test_what_is_over_is_said_so_after_a_while_but_signals_at_once() -> None:
    most = told(BEFORE, 3, "auto", changed(reason="Maximum"), T, T)
    assert told(most, 3, "auto", FOUND, T + OVER - 1, T) is most
    assert told(most, 3, "auto", FOUND, T + OVER, T).reason == "Demand"
    for reason in ("NoSignals", "Start"):
        before = BEFORE.model_copy(update={"reason": reason})
        assert told(before, 3, "auto", FOUND, T + 1, T).reason == "Demand"


def test_another_mode_is_told() -> None:
    assert told(BEFORE, 3, "latency", FOUND, T + 1, T).mode == "latency"


def test_when_replicas_changed_last_stands_until_they_do_again() -> None:
    scaled = told(BEFORE, 2, "auto", FOUND, T, T)
    assert scaled.last_scale_time == "2025-11-03T12:00:00Z"
    assert (
        told(scaled, 3, "auto", changed({"arrivals": 99.0}), T + REFRESH, T).last_scale_time == scaled.last_scale_time
    )


@pytest.mark.parametrize(
    ("before", "after", "last", "reasons"),
    [
        (2, 4, "", ["ScaledUp"]),
        (4, 2, "", ["ScaledDown"]),
        (2, 2, "", []),
        (None, 2, "", []),
        (0, 2, "", []),
        (2, 0, "", []),
        (2, 4, "2025-11-03T11:59:30Z", []),
        (2, 4, "2025-11-03T11:58:00Z", ["ScaledUp"]),
        (2, 4, "yesterday", ["ScaledUp"]),
        (2, 4, "2025-11-03T11:59:30", ["ScaledUp"]),
    ],
)
def test_events(before: int | None, after: int, last: str, reasons: list[str]) -> None:
    found = events(before, after, "why", ScalingStatus(last_scale_time=last), NOW)
    assert [str(event.reason) for event in found] == reasons
    assert all(event.message == f"from {before} to {after} replicas: why" and not event.warning for event in found)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0"), (0.01234, "0.0123"), (3.14159, "3.14"), (99.95, "100"), (1234.5, "1234")],
)
def test_figures(value: float | None, text: str) -> None:
    assert figure(value) == text


numbers = st.builds(Numbers, *[st.none() | st.floats(0, 1e6)] * 6)


@given(numbers, numbers, st.floats(0, 1e4))
def test_whatever_is_told_once_is_not_told_again(first: Numbers, second: Numbers, elapsed: float) -> None:
    before = told(BEFORE, 3, "auto", replace(FOUND, numbers=first), T + elapsed, T)
    after = told(before, 3, "auto", replace(FOUND, numbers=second), T + elapsed, T)
    assert told(after, 3, "auto", replace(FOUND, numbers=second), T + elapsed, T) == after
    assert ScalingStatus.model_validate(after.dump()) == after


@given(st.text(max_size=12))
def test_an_edited_status_breaks_nothing(text: str) -> None:
    edited = BEFORE.model_copy(update={"arrivals_per_second": text, "attainment": text, "last_scale_time": text})
    assert told(edited, 3, "auto", FOUND, T + REFRESH, T).mode == "auto"
    assert len(events(2, 3, "why", edited, NOW)) <= 1
