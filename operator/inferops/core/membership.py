"""Whether a member cluster can be relied on, by when its API server answered and whether its gateways do.

Silence alone proves little: the link, the hub or the member's API server may be what failed, while its replicas serve
on. So a silence is passed over at first, then nothing new is placed there, and only a long one of both its API server
and its gateways counts as its loss. Where more than half of the members fall silent, it is the hub that is cut off, and
nobody is lost. Who refuses the credentials answers, and is not lost either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

EVERY = 10.0  # seconds between two probes
SUSPECT = 30.0  # seconds of silence
LOST = 300.0
STABLE = 30.0  # seconds for which one that comes back has to answer

State = Literal["Probing", "Healthy", "Suspect", "Lost", "Returning", "Unauthorized"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of asking a member once."""

    answered: bool
    denied: bool = False  # it answered that it does not know us
    gateways: bool | None = None  # whether its gateways answer; None: it is not known where they are
    why: str = ""  # it did not answer, or denied


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one member. Times are Unix seconds."""

    state: State = "Probing"
    silent: float | None = None  # since when it does not answer
    back: float | None = None  # since when it answers again
    gateways: bool | None = None
    why: str = ""


def probed(before: Health, probe: Probe, now: float, cut_off: bool) -> Health:
    """Its health after a probe. `cut_off`: the hub itself may be what is alone."""
    if not probe.answered:
        return _silent(before, probe, now, cut_off)
    if probe.denied:
        return Health("Unauthorized", gateways=probe.gateways, why=probe.why)
    if before.state not in ("Suspect", "Lost", "Returning"):
        return Health("Healthy", gateways=probe.gateways)
    back = now if before.back is None else before.back
    if now - back >= STABLE:
        return Health("Healthy", gateways=probe.gateways)
    return Health("Returning", back=back, gateways=probe.gateways)


def _silent(before: Health, probe: Probe, now: float, cut_off: bool) -> Health:
    since = now if before.silent is None else before.silent
    state: State = before.state
    if before.state in ("Returning", "Unauthorized") or (now - since >= SUSPECT and before.state != "Lost"):
        state = "Suspect"
    if state == "Suspect" and now - since >= LOST and probe.gateways is False and not cut_off:
        state = "Lost"
    # The first reason is kept: how else it fails later on is no news.
    why = before.why if before.silent is not None else probe.why
    return Health(state, silent=since, gateways=probe.gateways, why=why)


def cut_off(members: Iterable[Health], now: float) -> bool:
    """Whether so many fell silent that it must be the hub: more than half of those that were not lost before."""
    there = [each for each in members if each.state != "Lost"]
    return 2 * sum(each.silent is not None and now - each.silent >= SUSPECT for each in there) > len(there)
