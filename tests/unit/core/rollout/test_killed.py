"""The operator ends between any two writes: the next one sees the old state and a newer world, and the end is the
same."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.api.rolloutstatus import RolloutStatus
from inferops.core.rollout import Splitter
from unit.core.rollout.building import A, B, Behaviour, C, World, serving, spec

QUICK: dict[str, Any] = {
    "steps": [{"weight": 50, "minDuration": "2s"}],
    "analysis": {"warmUp": "2s"},
    "keepWarm": "5s",
    "retainPrevious": "9s",
}
FAST = Behaviour(pull=1.0, load=2.0)


def quick(**parts: Any) -> dict[str, Any]:
    return {"rate": 200, "does": {A: FAST, B: FAST, C: FAST}, "spec": spec(**{**QUICK, **parts})}


TALES: dict[str, tuple[dict[str, Any], tuple[tuple[int, dict[str, Any]], ...]]] = {
    "a promotion": (quick(), ()),
    "a swap": ({**quick(), "replicas": 3, "gpus": 3}, ()),
    "one for the other": ({**quick(strategy="swap"), "replicas": 3}, ()),
    "stable first": ({**quick(strategy="recreate"), "gpus": 2}, ()),
    "where nobody splits": ({**quick(), "splitter": Splitter.NOBODY}, ()),
    "a crash": ({**quick(), "does": {B: Behaviour(pull=1.0, crashes=True)}}, ()),
    "harm": ({**quick(), "does": {B: Behaviour(load=2.0, errors=0.6)}}, ()),
    "an abort": ({**quick(), "replicas": 3, "gpus": 3}, ((24, {"action": f"abort@{B}"}),)),
    "another version": (quick(), ((8, {"target": C}),)),
    "there and back": (quick(), ((9, {"target": A}),)),
    "back after the promotion": (quick(), ((20, {"action": f"abort@{B}"}),)),
    "to sleep in the middle": (quick(), ((7, {"replicas": 0}),)),
}
END = 70  # seconds in which each tale comes to its end


def tell(tale: str, killed_at: int | None = None) -> tuple[World, int]:
    """The end of a tale, and how many writes it took. The operator ends once instead of that write."""
    parts, changes = TALES[tale]
    world = serving(**parts)
    before = world.written
    for second in range(END):
        for when, change in changes:
            if when == second:
                for name, value in change.items():
                    setattr(world, name, value)
        world.live()
        left = None if killed_at is None or world.killed else killed_at - (world.written - before)
        world.reconcile(left)
    return world, world.written - before


def end(world: World) -> dict[str, Any]:
    """What is left of it all, without times."""
    return {
        "serves": world.stable,
        "routed to": world.routed_to,
        "weights": world.weights,
        "workloads": world.workloads,
        "phase": world.state.phase,
        "reason": world.state.reason,
        "previous": world.state.previous,
        "rejected": [(one.hash, one.reason) for one in world.state.rejected],
        "history": [(one.revision, one.stable, one.outcome, one.reason) for one in world.state.history],
    }


@pytest.mark.parametrize("tale", TALES)
def test_the_end_is_the_same(tale: str) -> None:
    world, writes = tell(tale)
    assert writes >= 6
    assert world.state.phase in ("Idle", "Succeeded", "RolledBack")
    for killed_at in range(writes):
        again, _ = tell(tale, killed_at)
        assert again.killed == 1
        assert end(again) == end(world), f"killed before write {killed_at}"


@pytest.mark.parametrize("tale", ["a promotion", "a swap", "an abort", "a crash"])
def test_a_lost_status_comes_to_the_same_version(tale: str) -> None:
    """Whatever was remembered is gone, at any time: also that a version was rejected, so that it is judged anew."""
    parts, _ = TALES[tale]
    for second in range(1, 40, 6):
        world = serving(**parts).run(second)
        world.state, world.stable, world.weights = RolloutStatus(), "", {}
        world.run(END + 30)
        assert world.stable == (A if tale == "a crash" else B)
        assert world.state.phase in ("Idle", "Succeeded", "RolledBack")
        assert world.weights == {world.stable: 100}
