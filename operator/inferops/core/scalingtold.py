"""What the status and Events tell of scaling: at once what people must know, the numbers now and then.

A load that stays as it is writes nothing, and one that moves writes every few minutes at the most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from inferops.api.conditions import Reason
from inferops.api.scalingstatus import ScalingStatus
from inferops.core.autoscale.terms import Numbers
from inferops.core.event import Event

LONGEST = 1024  # characters of a sentence
REFRESH = 300.0  # seconds at the least between two writes for the sake of numbers, or of what was learned
OVER = 60.0  # seconds for which something that was said stands, though it is over
SILENCE = 60.0  # seconds without signals before that is said: after a start there are none at first
MUCH = 0.1  # by which share a number must have changed to be told anew
MISSED = 0.005  # of all requests, by which the attainment must have
LOUD = ("Maximum", "NoSignals", "NoNode", "Rollout")  # reasons that people may have to do something about
UNCOUNTED = ("Start", "NoSignals")  # which are over with the first signal


@dataclass(frozen=True, slots=True)
class Found:
    """What a look has found."""

    replicas: int
    reason: str
    message: str
    numbers: Numbers
    learned: Callable[[], str]  # told only where something is written


def told(
    before: ScalingStatus, replicas: int | None, mode: str, found: Found, now: float, last: float
) -> ScalingStatus:
    """The status after a look, the same as before where it need not be written.

    `replicas`: as decided before; None: never. `last`: when it was written last, or a new operator began to look.
    """
    elapsed = now - last
    news = replicas != found.replicas or before.mode != mode or _is_news(before.reason, found.reason, elapsed)
    if not news and (elapsed < REFRESH or found.numbers.arrivals is None):
        return before
    after = _after(before, replicas, mode, found, now)
    return after if news or _differs(before, after) or before.learned != after.learned else before


def _after(before: ScalingStatus, replicas: int | None, mode: str, found: Found, now: float) -> ScalingStatus:
    scaled = replicas is not None and replicas != found.replicas
    return ScalingStatus(
        mode=mode,
        reason=found.reason,
        message=found.message[:LONGEST],
        arrivals_per_second=figure(found.numbers.arrivals),
        forecast_per_second=figure(found.numbers.forecast),
        capacity_per_second=figure(found.numbers.capacity),
        utilization=figure(found.numbers.utilization),
        cold_start=f"{round(found.numbers.cold_start)}s" if found.numbers.cold_start is not None else "",
        attainment=f"{found.numbers.attainment:.4f}" if found.numbers.attainment is not None else "",
        last_scale_time=_stamp(now) if scaled else before.last_scale_time,
        learned=found.learned(),
    )


def _is_news(before: str, after: str, elapsed: float) -> bool:
    """Whether people must be told of another reason at once."""
    if before == after:
        return False
    return after in LOUD or before in UNCOUNTED or (before in LOUD and elapsed >= OVER)


def _differs(before: ScalingStatus, after: ScalingStatus) -> bool:
    """Whether numbers have changed so much that they are told anew."""
    pairs = (
        (before.arrivals_per_second, after.arrivals_per_second),
        (before.forecast_per_second, after.forecast_per_second),
        (before.capacity_per_second, after.capacity_per_second),
        (before.utilization, after.utilization),
        (before.cold_start, after.cold_start),
    )
    if any(_moved(_number(old), _number(new)) for old, new in pairs):
        return True
    old, new = _number(before.attainment), _number(after.attainment)
    return (old is None) != (new is None) or (old is not None and new is not None and abs(old - new) > MISSED)


def _moved(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) > MUCH * max(abs(before), abs(after))


def _number(text: str) -> float | None:
    """A number of the status; None where there is none, or somebody edited it."""
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        return None


def figure(value: float | None) -> str:
    """A number for people, of three digits; empty where it is not known."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def events(before: int | None, after: int, why: str, scaling: ScalingStatus, now: datetime) -> tuple[Event, ...]:
    """That replicas were added or taken away by load, once a minute at the most."""
    if not before or not after or before == after:
        return ()  # to zero and back is told as such
    try:
        recently = (now - datetime.fromisoformat(scaling.last_scale_time)).total_seconds() < OVER
    except (ValueError, TypeError):  # never, or somebody edited the status
        recently = False
    if recently:
        return ()
    reason = Reason.SCALED_UP if after > before else Reason.SCALED_DOWN
    return (Event(False, reason, f"from {before} to {after} replicas: {why}"[:LONGEST]),)


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
