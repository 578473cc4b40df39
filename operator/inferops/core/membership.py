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

SUSPECT = 30.0  # seconds of silence
EVERY = SUSPECT / 3  # seconds between two probes
LOST = 300.0
STABLE = 30.0  # seconds for which one that comes back has to answer

State = Literal["Probing", "Healthy", "Suspect", "Lost", "Returning", "Unauthorized"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silence is borne, and how long one that is back has to answer, in seconds."""

    suspect: float = SUSPECT
    lost: float = LOST
    stable: float = STABLE

    @property
    def every(self) -> float:
        """Seconds between two probes: three of them fit into the silence that is passed over."""
        return self.suspect / 3


USUAL = Patience()


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
    gateways: bool | None = None  # whether its gateways answer; a short silence of theirs is passed over too
    why: str = ""
    quiet: float | None = None  # since when its gateways do not answer


def probed(before: Health, probe: Probe, now: float, cut_off: bool, patience: Patience = USUAL) -> Health:
    """Its health after a probe. `cut_off`: the hub itself may be what is alone."""
    quiet, gateways = _gateways(before, probe, now, patience)
    if not probe.answered:
        return _silent(before, probe, now, cut_off, quiet, gateways, patience)
    if probe.denied:
        return Health("Unauthorized", gateways=gateways, why=probe.why, quiet=quiet)
    if before.state not in ("Suspect", "Lost", "Returning"):
        return Health("Healthy", gateways=gateways, quiet=quiet)
    back = now if before.back is None else before.back
    if now - back >= patience.stable:
        return Health("Healthy", gateways=gateways, quiet=quiet)
    return Health("Returning", back=back, gateways=gateways, quiet=quiet)


def _gateways(before: Health, probe: Probe, now: float, patience: Patience) -> tuple[float | None, bool | None]:
    """Since when its gateways do not answer, and whether they do."""
    if probe.gateways is not False:
        return None, probe.gateways
    quiet = now if before.quiet is None else before.quiet
    return quiet, before.gateways if before.gateways is not None and now - quiet < patience.suspect else False


def _silent(
    before: Health,
    probe: Probe,
    now: float,
    cut_off: bool,
    quiet: float | None,
    gateways: bool | None,
    patience: Patience,
) -> Health:
    since = now if before.silent is None else before.silent
    state: State = before.state
    if before.state in ("Returning", "Unauthorized") or (now - since >= patience.suspect and before.state != "Lost"):
        state = "Suspect"
    if state == "Suspect" and now - since >= patience.lost and gateways is False and not cut_off:
        state = "Lost"
    # The first reason is kept: how else it fails later on is no news.
    why = before.why if before.silent is not None else probe.why
    return Health(state, silent=since, gateways=gateways, why=why, quiet=quiet)


def cut_off(members: Iterable[Health], now: float, patience: Patience = USUAL) -> bool:
    """Whether so many fell silent that it must be the hub: more than half of those that were not lost before."""
    there = [each for each in members if each.state != "Lost"]
    return 2 * sum(each.silent is not None and now - each.silent >= patience.suspect for each in there) > len(there)
