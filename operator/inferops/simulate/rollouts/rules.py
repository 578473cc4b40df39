"""What every rule that judges rollouts has in common, and one rollout under a rule from its begin to its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from inferops.simulate.rollouts.scenarios import Scenario
from inferops.simulate.rollouts.traffic import Service, World

HORIZON = 3600.0  # seconds from its begin in which a rollout may hurt
Verdict = Literal["promoted", "rolled back"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a rule wants now."""

    weight: int  # percentage of requests to the canary
    canary: int  # replicas
    stable: int
    verdict: Verdict | None = None  # the end
    resting: bool = False  # it waits for a person, and nobody comes


class Rule(Protocol):
    """Who decides on a rollout. It is asked before every tick."""

    @property
    def compares(self) -> bool:
        """Whether it looks at stable, too."""

    def look(self, world: World) -> Wanted:
        """What it wants, from what the last tick of `world` showed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a rollout ended."""

    verdict: Verdict | Literal["undecided"]
    seconds: float  # from the canary's first request to the verdict
    hurt: float  # requests that were bad because of the canary, up to the horizon


def run(rule: Rule, scenario: Scenario, seed: int) -> Ended:
    """One rollout."""
    world = scenario.world(seed)
    world.compared = rule.compares
    world.size(stable=scenario.service.replicas, canary=0)
    begun: float | None = None
    wanted = rule.look(world)
    while world.time < HORIZON and wanted.verdict is None and not wanted.resting:
        world.size(stable=wanted.stable, canary=wanted.canary)
        if begun is None and wanted.weight:
            begun = world.time
        world.tick(wanted.weight)
        wanted = rule.look(world)
    ended = world.time - (begun or 0.0)
    if wanted.verdict == "promoted":
        world.size(stable=0, canary=scenario.service.replicas)
    weight = {"promoted": 100, "rolled back": 0, None: wanted.weight}[wanted.verdict]
    world.go_on(weight, HORIZON)
    return Ended(wanted.verdict or "undecided", ended, world.hurt)


def sized(service: Service, weight: int) -> int:
    """Replicas that carry so many of 100 requests."""
    return max(1, -(-service.replicas * weight // 100))
