"""No rule at all: always the same number of replicas."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.policy import Seen


@dataclass(frozen=True, slots=True)
class Settings:
    replicas: int


def defaults(goals: PeerGoals) -> Settings:
    """As many as there may be."""
    return Settings(goals.highest)


def sensible(goals: PeerGoals) -> Settings:
    return Settings(goals.highest)


def grid(goals: PeerGoals) -> list[Settings]:
    return [Settings(replicas) for replicas in range(max(1, goals.highest // 8), max(2, goals.highest * 3 // 4) + 1)]


class Static:
    """So many replicas."""

    name = "static"
    every = 60.0

    def __init__(self, settings: Settings) -> None:
        self._replicas = settings.replicas

    def look(self, seen: Seen) -> int:
        return self._replicas
