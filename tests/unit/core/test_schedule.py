"""Windows of the schedule: a table of clocks and dates, and what reading the clocks minute by minute says as well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferops.api.formats import seconds
from inferops.api.scaling import ScheduleWindow
from inferops.core.schedule import Floor, fault, floor
from inferops.core.validity import obstacle
from unit.core.building import seen, service

MINUTE = timedelta(minutes=1)
WORK = {"name": "work", "cron": "0 8 * * 1-5", "duration": "10h", "timeZone": "Europe/Berlin", "minReplicas": 4}


def window(**changes: Any) -> ScheduleWindow:
    return ScheduleWindow.model_validate({**WORK, **changes})


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# 2025-11-03 is a Monday; Berlin is an hour ahead of UTC.
# fmt: off
TABLE: list[tuple[str, dict[str, Any], str, int | None, float | None, str]] = [
    ("before it begins", {}, "2025-11-03T06:59", None, 60.0, "until window work begins at 2025-11-03 08:00 Europe/Ber"),
    ("as it begins", {}, "2025-11-03T07:00", 4, 36_000.0, "window work asks for at least 4 replicas until 2025-11-03"),
    ("while it holds", {}, "2025-11-03T16:30", 4, 1800.0, "until 2025-11-03 18:00 Europe/Berlin"),
    ("a second before its end", {}, "2025-11-03T16:59:59", 4, 1.0, "until 2025-11-03 18:00 Europe/Berlin"),
    ("at its end", {}, "2025-11-03T17:00", None, 50_400.0, "begins at 2025-11-04 08:00 Europe/Berlin"),
    ("over the weekend", {}, "2025-11-07T17:00", None, 222_000.0 + 1200, "begins at 2025-11-10 08:00"),
    ("without a name", {"name": None}, "2025-11-03T08:00", 4, 32_400.0, "the window of '0 8 * * 1-5' asks for"),
    ("to one replica", {"minReplicas": 1}, "2025-11-03T08:00", 1, 32_400.0, "at least 1 replica until"),
    ("to none", {"minReplicas": 0}, "2025-11-03T08:00", 0, 32_400.0, "at least 0 replicas"),
    ("it begins anew as it ends", {"cron": "0 8 * * *", "duration": "1d"}, "2025-11-03T08:00", 4, None, "begins anew"),
    ("it begins anew before it ends", {"cron": "0 8-17 * * *", "duration": "90m"}, "2025-11-03T10:00", 4, 27_000.0,
     "until 2025-11-03 18:30 Europe/Berlin"),
    ("seconds", {"duration": "90s"}, "2025-11-03T07:01", 4, 30.0, "until 2025-11-03 08:01:30 Europe/Berlin"),
    ("on the last Friday of a month", {"cron": "0 8 * * 5L"}, "2025-11-28T08:00", 4, 32_400.0, "2025-11-28 18:00"),
    ("on the day of a month or a Monday", {"cron": "0 8 13 * 1"}, "2025-11-13T08:00", 4, 32_400.0, "2025-11-13"),
    ("every leap day", {"cron": "0 0 29 2 *", "timeZone": "UTC"}, "2025-11-03T00:00", None, 848 * 86_400.0, "2028-02"),
    ("the hour that spring skips", {"cron": "30 2 * * *", "duration": "1h"}, "2025-03-30T01:00", 4, 3600.0,
     "until 2025-03-30 04:00 Europe/Berlin"),
    ("just before it", {"cron": "30 2 * * *", "duration": "1h"}, "2025-03-30T00:59", None, 60.0,
     "begins at 2025-03-30 03:00 Europe/Berlin"),
    ("the hour that autumn repeats", {"cron": "30 2 * * *", "duration": "30m"}, "2025-10-26T00:40", 4, 1200.0,
     "until 2025-10-26 02:00 Europe/Berlin"),
    ("and between", {"cron": "30 2 * * *", "duration": "30m"}, "2025-10-26T01:10", None, 1200.0,
     "begins at 2025-10-26 02:30 Europe/Berlin"),
    ("and again", {"cron": "30 2 * * *", "duration": "30m"}, "2025-10-26T01:40", 4, 1200.0, "2025-10-26 03:00"),
    ("an hour before it", {"cron": "50 1 * * *", "duration": "10m"}, "2025-10-26T00:40", None, 87_000.0,
     "begins at 2025-10-27 01:50 Europe/Berlin"),
    ("it lasts as long in the night of the change", {"cron": "0 20 * * *"}, "2025-03-30T04:59", 4, 60.0, "07:00"),
]
# fmt: on


@pytest.mark.parametrize(
    ("case", "changes", "now", "replicas", "again", "why"), TABLE, ids=[case for case, *_ in TABLE]
)
def test_one_window(
    case: str, changes: dict[str, Any], now: str, replicas: int | None, again: float | None, why: str
) -> None:
    found = floor([window(**changes)], at(now))
    assert found.replicas == replicas
    assert why in found.why
    if again is not None:
        assert found.again == again
    local = at(now).astimezone(ZoneInfo("Asia/Tokyo"))
    assert floor([window(**changes)], local) == found, "it matters when it is, not how it is said"


def test_the_highest_of_those_that_hold() -> None:
    always = window(name="always", cron="0 0 * * *", duration="1d", timeZone="UTC", minReplicas=1)
    noon = window(name="noon", cron="0 12 * * *", duration="2h", minReplicas=9)
    during, after = (floor([always, window(), noon], at(f"2025-11-03T{time}")) for time in ("12:30", "13:00"))
    assert during == Floor(9, "window noon asks for at least 9 replicas until 2025-11-03 14:00 Europe/Berlin", 1800.0)
    assert after == Floor(4, "window work asks for at least 4 replicas until 2025-11-03 18:00 Europe/Berlin", 14_400.0)
    night = floor([always, window(), noon], at("2025-11-03T20:00"))
    assert (
        night.replicas == 1 and night.why == "window always asks for at least 1 replica and begins anew before it ends"
    )
    assert night.again == 11 * 3600, "when the next one begins"


def test_without_windows_nothing_is_asked_for() -> None:
    assert floor([], at("2025-11-03T12:00")) == Floor(None, "", None)


BAD = [
    ({"cron": "99 8 * * 1-5"}, "cron", ["'99 8 * * 1-5'", "bad minute", "minute (0-59)", "for example 0 8 * * 1-5"]),
    ({"cron": "0 24 * * *"}, "cron", ["bad hour"]),
    ({"cron": "0 0 30 2 *"}, "cron", ["bad day-of-month"]),
    ({"cron": "0 0 * 13 *"}, "cron", ["bad month"]),
    ({"cron": "0 0 * * MON#6"}, "cron", ["bad day-of-week"]),
    ({"cron": "0 0 ? * *"}, "cron", ["bad day-of-month"]),
    ({"cron": "every day at noon please"}, "cron", ["bad minute"]),
    ({"timeZone": "Europe/Berlim"}, "timeZone", ["'Europe/Berlim'", "IANA", "for example Europe/Berlin"]),
    ({"timeZone": "Europe"}, "timeZone", ["'Europe'"]),
    ({"timeZone": "CESTX"}, "timeZone", ["'CESTX'"]),
]


@pytest.mark.parametrize(("changes", "field", "parts"), BAD, ids=[str(changes) for changes, *_ in BAD])
def test_what_the_schema_lets_through_is_told_and_holds_up_no_other(
    changes: dict[str, Any], field: str, parts: list[str]
) -> None:
    faulty = window(**changes)
    told = fault(faulty)
    assert told is not None and told.field == field
    raw = [{key: value for key, value in WORK.items()}, {**WORK, **changes}]
    found = obstacle(seen(service(scaling={"mode": "schedule", "maxReplicas": 9, "schedule": raw})))
    assert found is not None and found.reason == "InvalidSpec"
    assert found.message.startswith(f"spec.scaling.schedule[1].{field}: ")
    for part in parts:
        assert part in found.message
    now = at("2025-11-03T12:00")
    assert floor([faulty, window()], now) == floor([window()], now)


FIELD = st.from_regex(r"[-0-9A-Za-z*/,#?]{1,6}", fullmatch=True)
ZONE = st.from_regex(r"[A-Za-z][-+A-Za-z0-9_]{0,5}(/[-+A-Za-z0-9_]{1,5}){0,2}", fullmatch=True)


@given(st.lists(FIELD, min_size=5, max_size=5), ZONE)
@example(["0", "0", "1-L", "*", "1L,2#2"], "Etc/passwd")
@example(["*", "*", "L/2", "*", "L"], "America")
def test_whatever_the_schema_lets_through_is_read_or_told(fields: list[str], zone: str) -> None:
    made = window(cron=" ".join(fields), timeZone=zone)
    told = fault(made)
    assert told is None or told.field in ("cron", "timeZone")
    found = floor([made], at("2025-11-03T12:00"))
    assert found.again is None or found.again > 0


# Minute by minute: what clocks show, read without any arithmetic of dates.

ZONES = {  # with a day on which their clocks are put differently
    "UTC": "2025-11-03",
    "Europe/Berlin": "2025-03-30",
    "Europe/Paris": "2025-10-26",
    "America/New_York": "2025-03-09",
    "America/Los_Angeles": "2025-11-02",
    "America/Havana": "2025-11-02",  # the hour after midnight, twice
    "Asia/Beirut": "2025-03-30",  # midnight is skipped
    "Asia/Amman": "2022-02-25",
    "Australia/Lord_Howe": "2025-04-06",  # by half an hour
    "Australia/Adelaide": "2025-10-05",
    "Pacific/Apia": "2011-12-30",  # a whole day is skipped
    "Asia/Kathmandu": "2025-03-30",
}


@st.composite
def crons(draw: st.DrawFn) -> tuple[str, frozenset[int], frozenset[int], frozenset[int]]:
    """A cron expression, and which minutes, hours and days of the week (0: Monday) it means."""
    every = draw(st.sampled_from([None, None, 7, 15, 20, 30]))
    minutes = (
        frozenset(range(0, 60, every)) if every else draw(st.frozensets(st.integers(0, 59), min_size=1, max_size=3))
    )
    hours = draw(
        st.one_of(
            st.just(frozenset(range(24))),
            st.frozensets(st.integers(0, 4), min_size=1, max_size=3),
            st.frozensets(st.integers(0, 23), min_size=1, max_size=3),
        )
    )
    days = draw(st.one_of(st.just(frozenset(range(7))), st.frozensets(st.integers(0, 6), min_size=1, max_size=5)))

    def text(numbers: frozenset[int], whole: int) -> str:
        return "*" if len(numbers) == whole else ",".join(str(number) for number in sorted(numbers))

    minute = f"*/{every}" if every else text(minutes, 60)
    cron = f"{minute} {text(hours, 24)} * * {text(frozenset((day + 1) % 7 for day in days), 7)}"
    return cron, minutes, hours, days


class Clock:
    """When a window begins, by the clocks of its zone, in every minute between two moments."""

    def __init__(self, zone: str, since: datetime, until: datetime) -> None:
        self._shown = []
        moment = since
        while moment < until:
            self._shown.append((moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)))
            moment += MINUTE

    def begins(self, minutes: frozenset[int], hours: frozenset[int], days: frozenset[int]) -> list[datetime]:
        def matches(shown: datetime) -> bool:
            return shown.minute in minutes and shown.hour in hours and shown.weekday() in days

        found = []
        for (_, before), (moment, shown) in pairwise(self._shown):
            skipped = (shown - before) // MINUTE - 1
            if matches(shown) or any(matches(before + number * MINUTE) for number in range(1, skipped + 1)):
                found.append(moment)
        return found


DURATIONS = ("1m", "7m", "30m", "1h", "90m", "5h", "23h", "1d", "25h", "3d")


@settings(max_examples=30)
@given(
    zone=st.sampled_from(sorted(ZONES)),
    chosen=st.lists(st.tuples(crons(), st.sampled_from(DURATIONS), st.integers(0, 9)), min_size=1, max_size=3),
    offset=st.integers(-24 * 60, 24 * 60),
)
def test_it_is_what_clocks_show_minute_by_minute(
    zone: str, chosen: list[tuple[tuple[str, frozenset[int], frozenset[int], frozenset[int]], str, int]], offset: int
) -> None:
    now = at(f"{ZONES[zone]}T00:00") + offset * MINUTE
    end = now + timedelta(hours=30)
    clock = Clock(zone, now - timedelta(days=3, hours=1), end)
    windows = [
        window(cron=cron, duration=lasts, minReplicas=least, timeZone=zone) for (cron, *_), lasts, least in chosen
    ]
    lasting = [(clock.begins(*means), timedelta(seconds=seconds(lasts)), least) for (_, *means), lasts, least in chosen]
    spans = [(begin, begin + lasts, least) for begins, lasts, least in lasting for begin in begins]
    spans = [(begin, over, least) for begin, over, least in spans if begin <= end and over >= now]

    def holds(moment: datetime) -> int | None:
        return max((least for begin, over, least in spans if begin <= moment < over), default=None)

    changes = {begin + after for begins, lasts, _ in lasting for begin in begins for after in (lasts, 0 * MINUTE)}
    for _ in range(12):
        found = floor(windows, now)
        assert found.why
        if found.again is not None and now + timedelta(seconds=found.again) < end:
            assert now + timedelta(seconds=found.again) in changes, "no look for nothing"
        until = end if found.again is None else min(end, now + timedelta(seconds=found.again))
        while now < until:
            assert holds(now) == found.replicas, (now, windows)
            now += MINUTE
