"""Scenes in which somebody steps in: aborts, pauses, promotes by hand, or applies a newer version."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from cluster.rollouts import GOOD, HALF, ROLLOUT, SERVES, Act, Scene
from cluster.services import Json

LONG: Json = {"steps": [{"weight": 20, "minDuration": "10m"}]}
OTHER = {"runtime": {"args": ["--max-num-seqs=32"]}}


def aborted(
    phase: str,
    change: Json,
    replicas: int = 1,
    *,
    on: Json | None = None,
    promote: bool = False,
    rate: float = 6,
    **rollout: Any,
) -> Act:
    async def act(scene: Scene) -> None:
        """Somebody aborts in a phase: stable alone is left, unhurt, and the action, which stays, does nothing more."""
        await scene.begin(replicas, rollout, **(on or {}))
        async with scene.requests(rate) as traffic:
            await scene.apply(change)
            if promote:
                await scene.phase("Observing")
                await scene.act(f"promote@{scene.canary}")
            await scene.phase(phase)
            canary, asked = scene.canary, time.time()
            await scene.act(f"abort@{canary}")
            await scene.phase("RolledBack")
            scene.say(f"aborted while {phase}: rolled back {time.time() - asked:.1f} s later")
            await scene.gone(canary)
            await scene.apply()
        scene.rejected(canary, "Aborted")
        scene.stable_unhurt()
        scene.nobody_failed(traffic)

    return act


async def after_promotion(scene: Scene) -> None:
    """Somebody finds it bad after all: the old pods are still there, and get everything at once."""
    stable = await scene.begin(1, {"steps": [], "keepWarm": "1m", "retainPrevious": "10m"})
    async with scene.requests(6) as traffic:
        await scene.apply(GOOD)
        canary = (await scene.phase("Retaining")).status["stableRevision"]
        asked = time.time()
        await scene.act(f"abort@{canary}")
        await scene.until("back", lambda moment: moment.weights == {stable: 100})
        scene.say(f"aborted after the promotion: back {time.time() - asked:.1f} s later")
        await scene.phase("RolledBack")
        await scene.gone(canary)
    scene.rejected(canary, "Aborted")
    scene.stable_unhurt()
    scene.nobody_failed(traffic)


async def paused(scene: Scene) -> None:
    """Somebody pauses it, looks, and aborts."""
    await scene.begin(1, LONG)
    async with scene.requests(6) as traffic:
        await scene.apply(GOOD)
        await scene.phase("Observing")
        canary = scene.canary
        await scene.act(f"pause@{canary}")
        await scene.until("paused", lambda moment: moment.rollout.get("paused"))
        await asyncio.sleep(1)
        assert scene.now.weights == {scene.stable: 80, canary: 20}, "it rests where it was"
        await scene.act(f"abort@{canary}")
        await scene.phase("RolledBack")
        await scene.gone(canary)
    scene.rejected(canary, "Aborted")
    scene.stable_unhurt()
    scene.nobody_failed(traffic)


async def newer(scene: Scene) -> None:
    """A third version comes during the second's canary: it is compared with the first, and the second goes."""
    first = await scene.begin(1, LONG)
    async with scene.requests(15) as traffic:
        await scene.apply(GOOD)
        second = (await scene.phase("Observing")).rollout["canary"]
        await scene.apply({**OTHER, "rollout": {**ROLLOUT, "steps": [HALF]}})
        begun = await scene.until("the third", lambda moment: moment.rollout["canary"] not in ("", first, second))
        third = begun.rollout["canary"]
        assert begun.rollout["stable"] == first and second not in begun.weights
        scene.stable_unhurt()
        await scene.gone(second)
        await scene.phase("Retaining")
        scene.stable_unhurt()
    history = [(each["revision"], each["stable"], each["outcome"]) for each in scene.now.rollout["history"]]
    assert history == [(third, first, "Promoted"), (second, first, "Superseded")]
    assert not scene.now.rollout["rejected"]
    scene.nobody_failed(traffic)


async def hurried(scene: Scene) -> None:
    """Somebody knows better, and promotes it now."""
    await scene.begin(1, LONG)
    async with scene.requests(6) as traffic:
        await scene.apply(GOOD)
        await scene.phase("Observing")
        canary = scene.canary
        await asyncio.to_thread(scene.stage.cli, "rollout", "promote", scene.name)
        await scene.conditions(SERVES)
        await scene.phase("Retaining", "Succeeded")
    assert scene.now.weights == {canary: 100}
    scene.nobody_failed(traffic)
