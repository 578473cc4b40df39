"""Times that a rollout remembers, and what follows from them: how long ago, until when, and what was broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from inferops.api.rolloutstatus import Clocks, RolloutStatus

PARTS = ("capacity", "pull", "load")  # of bringing up replicas, in this order


def stamp(moment: datetime) -> str:
    """RFC 3339, in UTC, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse(text: str) -> datetime | None:
    """The moment that `text` (RFC 3339) names; None where it names none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def elapsed(now: datetime, since: str) -> float:
    """Seconds from `since` to `now`. Never negative, since clocks are set back at times; 0 where there is no time."""
    begun = parse(since)
    return max((now - begun).total_seconds(), 0.0) if begun is not None else 0.0


def later(moment: str | datetime, seconds: float) -> str:
    """`moment`, so many seconds later; empty where there is none. Beyond the last year there is no later."""
    found = parse(moment) if isinstance(moment, str) else moment
    if found is None:
        return ""
    try:
        return stamp(found + timedelta(seconds=seconds))
    except OverflowError:
        return stamp(found)


def left(now: datetime, until: str) -> float:
    """Seconds from `now` to `until`, negative once it is over; 0 where there is no time."""
    end = parse(until)
    return (end - now).total_seconds() if end is not None else 0.0


def put_off(clocks: Clocks, seconds: float) -> Clocks:
    """The clocks of a rollout that rested for so long: what it waited for does not count against it."""
    moved = {part: later(getattr(clocks, part), seconds) for part in (*PARTS, "warm_up")}
    return clocks.model_copy(update=moved)


def repaired(state: RolloutStatus, now: datetime) -> RolloutStatus:
    """The same without times that cannot be read, such as an edit leaves: what they were for begins now, anew."""
    fresh = stamp(now)

    def sound(text: str, otherwise: str = fresh) -> str:
        return text if not text or parse(text) is not None else otherwise

    clocks = {name: sound(getattr(state.clocks, name), "") for name in Clocks.model_fields}
    changes = {name: sound(getattr(state, name)) for name in ("since", "started", "warm_until", "retained_until")}
    paused = state.paused
    return state.model_copy(
        update={
            **changes,
            "since": changes["since"] or (fresh if state.phase != "Idle" else ""),
            "clocks": state.clocks.model_copy(update=clocks),
            "paused": paused and paused.model_copy(update={"since": sound(paused.since)}),
            "gates": [gate.model_copy(update={"since": sound(gate.since)}) for gate in state.gates],
            "analysis": state.analysis.model_copy(update={"until": sound(state.analysis.until, "")}),
        }
    )
