"""A clock is set while a member is silent for a moment: the silence is no longer for that, and nobody's replicas go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from inferops.controller.clock import SteadyClock
from unit.controller import placed
from unit.controller.placed import BEGAN, World
from unit.controller.test_placing import CHEAP, back, play, silence
from unit.kube.virtualtime import now

SHORT = 240.0  # seconds of silence: not long enough for the member to be lost


class Wall:
    """A clock that is set by so many seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return BEGAN + now() + self.ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)


def played(monkeypatch: pytest.MonkeyPatch, wall: Wall, clock: Callable[[], datetime], step: float) -> list[object]:
    """What is on record of the service before the step and for a while after it."""
    records: list[object] = []
    monkeypatch.setattr(placed, "at", clock)

    async def scene(world: World) -> None:
        world.register("west", prices=CHEAP)
        world.ask(scaling={"replicas": 2})
        await asyncio.sleep(120)
        records.append(world.shares)
        silence(world.members["west"])
        await asyncio.sleep(SHORT / 2)
        wall.ahead = step
        await asyncio.sleep(SHORT / 2)
        records.append(world.shares)
        back(world.members["west"])
        for _ in range(6):
            await asyncio.sleep(60)
            records.append(world.shares)

    play(scene)
    return records


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_moves_no_replica(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    wall = Wall()
    clock = SteadyClock(wall.time, lambda: now())
    records = played(monkeypatch, wall, clock.now, step)
    assert records == [{"west": 2}] * len(records)


def test_by_the_clock_on_the_wall_they_would_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above shows something."""
    wall = Wall()
    records = played(monkeypatch, wall, wall.now, 3600.0)
    assert records[0] == {"west": 2} and any(each != {"west": 2} for each in records)
