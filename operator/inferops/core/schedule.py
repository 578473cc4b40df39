"""The windows of spec.scaling.schedule: which of them hold now, until when, and which minimum of replicas that makes.

A window begins whenever the clocks of its time zone show a time of its cron expression, and lasts its duration from
then on. A time that clocks skip in spring counts as the moment at which they go on; one that they show twice in autumn
counts both times. One that begins anew before it ends goes on.

Cron expressions are read as Debian's cron reads them: where day of month and day of week are both given, either will
do. Beside that `L` (the last day of the month; `5L`, its last Friday), `LW` (its last working day) and `MON#2` (its
second Monday) are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from inferops.api.formats import seconds
from inferops.api.scaling import ScheduleWindow

FAR = 32  # how often a window may begin anew until its end is out of sight


class Floor(NamedTuple):
    """What the windows ask for at one moment."""

    replicas: int | None  # never fewer than so many; None: no window holds
    why: str  # for people; the same for as long as nothing changes; empty: there is no window
    again: float | None  # seconds until a window begins or ends, never more; None: none ever does


class Fault(NamedTuple):
    """Why a window cannot be read."""

    field: str  # of the window, as users write it
    message: str  # with the remedy


class _Held(NamedTuple):
    """A window that holds, and the first moment from which on it is not sure to."""

    window: ScheduleWindow
    until: datetime
    ends: bool  # then; else it begins anew, again and again


def floor(windows: Sequence[ScheduleWindow], now: datetime) -> Floor:
    """The highest minReplicas of the windows that hold at `now`, which has a time zone.

    A window that cannot be read (see `fault`) never holds.
    """
    now = now.astimezone(UTC)
    held: list[_Held] = []
    begins: list[tuple[datetime, ScheduleWindow]] = []
    for window in windows:
        if fault(window) is not None:
            continue
        if (holds := _held(window, now)) is not None:
            held.append(holds)
        elif (begin := _next(window, now)) is not None:
            begins.append((begin, window))
    changes = [*(each.until for each in held), *(begin for begin, _ in begins)]
    again = (min(changes) - now).total_seconds() if changes else None
    if held:
        highest = max(held, key=lambda each: (each.window.min_replicas, not each.ends, each.until))
        return Floor(highest.window.min_replicas, _asks(highest), again)
    if begins:
        begin, window = min(begins, key=lambda each: each[0])
        return Floor(
            None, f"no window of the schedule holds until {_named(window)} begins at {_told(begin, window)}", again
        )
    return Floor(None, "no window of the schedule ever holds" if windows else "", again)


def fault(window: ScheduleWindow) -> Fault | None:
    """What is wrong with a window that the schema lets through. None: nothing."""
    try:
        ZoneInfo(window.time_zone)
    except (KeyError, ValueError, OSError):
        return Fault(
            "timeZone",
            f"no time zone {window.time_zone!r} is known; write a name of the IANA database, "
            "for example Europe/Berlin, America/New_York or UTC",
        )
    try:
        CronSim(window.cron, datetime(2000, 1, 1))
    except CronSimError as error:
        return Fault(
            "cron",
            f"{window.cron!r} cannot be read: {str(error).lower()}; write minute (0-59), hour (0-23), day of month "
            "(1-31), month (1-12) and day of week (0-7 or SUN-SAT), for example 0 8 * * 1-5",
        )
    return None


# When windows begin and end


def _held(window: ScheduleWindow, now: datetime) -> _Held | None:
    """Until when it holds. None: it does not hold."""
    lasts, begin = timedelta(seconds=seconds(window.duration)), _last(window, now)
    if begin is None or begin + lasts <= now:
        return None
    for _ in range(FAR):
        anew = _last(window, begin + lasts)
        if anew is None or anew == begin:
            return _Held(window, begin + lasts, ends=True)
        begin = anew
    return _Held(window, begin + lasts, ends=False)


def _last(window: ScheduleWindow, now: datetime) -> datetime | None:
    """When it began last, `now` at the latest."""
    zone = ZoneInfo(window.time_zone)
    shown = now.astimezone(zone)
    newest = shown.replace(tzinfo=None)
    # In a second hour of the same times those that are yet to come have been there before.
    from_ = newest + _repeated(shown) if shown.fold else newest
    found: list[datetime] = []
    for time in CronSim(window.cron, from_ + timedelta(seconds=1), reverse=True):
        found += [moment for moment in _moments(time, zone) if moment <= now]
        if time <= newest:
            break
    return max(found, default=None)


def _next(window: ScheduleWindow, after: datetime) -> datetime | None:
    """When it begins next, later than `after`."""
    zone = ZoneInfo(window.time_zone)
    shown = after.astimezone(zone)
    newest = shown.replace(tzinfo=None)
    # In a first hour of times that are shown twice those that have been there will come again.
    from_ = newest if shown.fold else newest - _repeated(shown)
    found: list[datetime] = []
    for time in CronSim(window.cron, from_ - timedelta(seconds=1)):
        found += [moment for moment in _moments(time, zone) if moment > after]
        if time > newest:
            break
    return min(found, default=None)


def _repeated(shown: datetime) -> timedelta:
    """By how much clocks are put back, where they show this time twice; else 0."""
    first, second = shown.replace(fold=0).utcoffset(), shown.replace(fold=1).utcoffset()
    assert first is not None and second is not None
    return max(first - second, timedelta(0))


def _moments(time: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """When the clocks of a zone show a time: once, twice, or at the moment at which they go on after skipping it."""
    first, second = (time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    yield first if first <= second else _skipped(second, first, zone)
    if first < second:
        yield second


def _skipped(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment between the two from which on clocks of a zone are put differently."""
    put = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == put:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


# How they are told of


def _asks(held: _Held) -> str:
    window = held.window
    number = "1 replica" if window.min_replicas == 1 else f"{window.min_replicas} replicas"
    until = f"until {_told(held.until, window)}" if held.ends else "and begins anew before it ends"
    return f"{_named(window)} asks for at least {number} {until}"


def _named(window: ScheduleWindow) -> str:
    return f"window {window.name}" if window.name is not None else f"the window of {window.cron!r}"


def _told(moment: datetime, window: ScheduleWindow) -> str:
    shown = moment.astimezone(ZoneInfo(window.time_zone)).replace(microsecond=0, tzinfo=None)
    return f"{shown.isoformat(' ').removesuffix(':00')} {window.time_zone}"
