"""What a rollout sees of the world, and what it wants of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import Gate, RolloutSpec
from inferops.api.rolloutstatus import RolloutStatus
from inferops.core.event import Event
from inferops.core.observation import GateView, RevisionView
from inferops.core.signal import Window


class Splitter(StrEnum):
    """Who sends so many of 100 requests to each revision."""

    NOBODY = "nobody"  # all requests go to one revision, and steps are skipped
    OWN = "built-in gateway"
    GATEWAY_API = "Gateway API"


@dataclass(frozen=True, slots=True)
class View:
    """What a rollout sees."""

    now: datetime
    target: str  # hash of the revision that the spec asks for; empty: the spec is invalid, and nothing new begins
    replicas: int  # that scaling wants of whoever serves; 0: asleep, or stopped
    spec: RolloutSpec
    slo: SLOSpec
    revisions: Mapping[str, RevisionView]  # those that exist, by hash; the target may not be among them yet
    recorded: str = ""  # hash of the stable revision on record; empty: none has served yet
    routed_to: str = ""  # hash of the revision that the Service selects
    splitter: Splitter = Splitter.NOBODY
    carried: frozenset[str] = frozenset()  # hashes that may still get requests of a Gateway, whatever is on record
    in_force: bool = True  # whether the splitter is known to go by the weights on record
    needed: int | None = None  # replicas that today's requests need; None: not known, so all of them
    window: Window | None = None
    uncounted: str = ""  # why there is no window, or one without a metric
    gates: Mapping[str, GateView] = field(default_factory=dict[str, GateView])  # by gate_name
    action: str = ""  # the annotation inferops.dev/action
    weights: Mapping[str, int] = field(default_factory=dict[str, int])  # on record, by hash


@dataclass(frozen=True, slots=True)
class GateWanted:
    """A gate that must be asked now, or be kept asking. What it says comes back in `View.gates` under its name."""

    name: str
    gate: Gate
    canary: str  # hash
    stable: str
    weight: int  # at which it is asked; 0: before any request
    since: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rollout wants. The same view gives the same outcome."""

    state: RolloutStatus
    stable: str  # to be recorded as the one that serves; empty until one has
    route: str  # the revision that the Service selects where nobody splits; empty where nothing can be served
    replicas: Mapping[str, int]  # of every revision that must exist, by hash; the target is among them while wanted
    weights: Mapping[str, int]  # percentages by hash, none of them 0; they sum to 100, or there are none
    retiring: tuple[str, ...] = ()  # exist until requests have left them, then are removed
    removed: tuple[str, ...] = ()
    gates: tuple[GateWanted, ...] = ()
    events: tuple[Event, ...] = ()
    again: float | None = None  # seconds until time alone may change it


def gate_name(state: RolloutStatus, weight: int, gate: str) -> str:
    """The name by which a gate of this rollout is asked: another one for each rollout, so that no verdict of an
    earlier one passes for this one's."""
    begun = "".join(filter(str.isalnum, state.started)).lower()
    return f"{state.canary}-{begun}-{weight}-{gate}"
