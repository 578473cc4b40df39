"""The rules that are compared, each as entries that a worker process can play: its name and its settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import bench_autoscale_ours
from bench_autoscale_cases import Floats, Service
from bench_autoscale_ours import ABLATIONS, OURS
from inferops.simulate.scaling.peers import PEERS, PeerGoals
from inferops.simulate.scaling.peers.clairvoyant import Clairvoyant
from inferops.simulate.scaling.peers.clairvoyant import Settings as Foresight
from inferops.simulate.scaling.policy import Policy

BOUND = "clairvoyant"
STATIC = "static"
TUNED = "tuned"
DEFAULTS = "defaults"
WINDOWS = (60, 300)  # seconds over which the bound knows the demand
LOADS = (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1)  # shares of the capacity that it plans


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule with one setting."""

    rule: str
    settings: Any
    kind: str = TUNED

    @property
    def told(self) -> str:
        """Its settings for people, those that differ from the defaults."""
        if self.rule == BOUND:
            return f"demand of {self.settings[0]} s, load {self.settings[1]:g}"
        return str(self.settings).partition("(")[2].removesuffix(")")


def grids(goals: PeerGoals, names: Iterable[str], thin: int = 1) -> list[Entry]:
    """What is tuned over: every `thin`th setting of each rule. The bound is not tuned."""
    return [Entry(name, settings) for name in names if name != BOUND for settings in _grid(name, goals)[::thin]]


def defaults(goals: PeerGoals, names: Iterable[str]) -> list[Entry]:
    """Each rule with its own defaults."""
    return [Entry(name, _defaults(name, goals), DEFAULTS) for name in names if name not in (BOUND, STATIC, *ABLATIONS)]


def bounds(names: Iterable[str]) -> list[Entry]:
    """The bound, which is not tuned."""
    return [Entry(BOUND, (window, load)) for window in WINDOWS for load in LOADS] if BOUND in names else []


def fleets(goals: PeerGoals, names: Iterable[str]) -> list[Entry]:
    """Every other fleet that stays the same: what somebody would have who knew the days to come."""
    return [Entry(STATIC, settings) for settings in PEERS[STATIC].grid(goals)[::2]] if STATIC in names else []


def made(entry: Entry, service: Service, arrivals: Floats) -> Policy:
    """The rule of an entry for one run, whose arrivals are those of the seconds given."""
    if entry.rule == BOUND:
        window, load = entry.settings
        return Clairvoyant(
            Foresight(
                demand=averaged(arrivals, window),
                step=window,
                cold=service.cell.cold * 1.15,  # what nearly all cold starts stay within
                capacity=service.goals.capacity,
                load=load,
                every=30.0,
            )
        )
    if entry.rule.startswith(OURS):
        return bench_autoscale_ours.made(entry.rule, entry.settings, service)
    return PEERS[entry.rule].rule(entry.settings)


def averaged(arrivals: Floats, window: int) -> list[float]:
    """Requests a second, by windows of so many seconds."""
    whole = np.pad(arrivals, (0, -len(arrivals) % window), mode="edge")
    means: list[float] = whole.reshape(-1, window).mean(axis=1).tolist()
    return means


def _grid(name: str, goals: PeerGoals) -> list[Any]:
    return list(bench_autoscale_ours.grid(name)) if name.startswith(OURS) else PEERS[name].grid(goals)


def _defaults(name: str, goals: PeerGoals) -> Any:
    return bench_autoscale_ours.Settings() if name == OURS else PEERS[name].defaults(goals)
