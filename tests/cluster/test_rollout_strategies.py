"""Rollouts that something or somebody gets in the way of: full clusters, people, gates, newer versions, dead operators.

All scenes play at the same time. In the last one the operator is killed again and again: it ends as if it had not been.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from cluster.interventions import LONG, aborted, after_promotion, hurried, paused
from cluster.rollouts import GOOD, HALF, ROLLOUT, Act, Play, Scene, bad, playing
from cluster.services import Json, Say, eventually
from cluster.stage import Stage, staged
from cluster.watched import Moment
from controlplane import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODES = "4x8xnvidia-h100-80gb,1x1xnvidia-l40s,1x1xnvidia-a100-80gb,1xcpu"
JOBS = "/apis/batch/v1/namespaces/{}/jobs"


def on(accelerator: str) -> Json:
    return {"accelerators": [{"type": accelerator}]}


# 1. Gates


def gate(name: str, at: int, **kind: Any) -> Json:
    return {"name": name, "at": [at], **kind}


async def gated(scene: Scene) -> None:
    """A Job judges it before anybody asks it, a person at half of the requests."""
    judge = gate("judge", 0, job={"image": "example.com/judge:1"})
    person = gate("person", 50, manual=True)
    await scene.begin(1, {"steps": [HALF], "gates": [judge, person]})
    async with scene.requests(15) as traffic:
        await scene.apply(GOOD)
        waits = await scene.until("the person", lambda moment: _gate(moment.rollout, "person") == "Waiting")
        canary = scene.canary
        assert _gate(waits.rollout, "judge") == "Passed"
        assert waits.weights == {scene.stable: 50, canary: 50}
        passed = next(moment.at for moment in scene.moments if _gate(moment.rollout, "judge") == "Passed")
        early = [each for each in traffic.ended if each.revision == canary and each.began < passed - 0.5]
        assert not early, "nobody was to ask it before the Job said so"
        await asyncio.to_thread(scene.stage.cli, "rollout", "resume", scene.name)
        await scene.phase("Retaining")
    scene.nobody_failed(traffic)
    await _one_job(scene)


async def judged_bad(scene: Scene) -> None:
    """A Job that fails ends it, before anybody asked it."""
    judge = gate("judge", 0, job={"image": "example.com/judge:1", "command": ["vllm", "serve", "--judge"]})
    await scene.begin(1, {"gates": [judge]})
    async with scene.requests(6) as traffic:
        await scene.apply(GOOD)
        await scene.phase("RolledBack")
        canary = scene.canary
        await scene.gone(canary)
    scene.rejected(canary, "GateFailed")
    scene.stable_unhurt()
    scene.nobody_failed(traffic)
    assert {each.revision for each in traffic.ended} == {scene.stable}
    await _one_job(scene)


def _gate(rollout: Json, name: str) -> str:
    return next((str(each["verdict"]) for each in rollout.get("gates", ()) if each["name"] == name), "")


async def _one_job(scene: Scene) -> None:
    """However often the operator was killed, the gate was asked once; its log is kept for a while."""
    found = (await scene.stage.api.get(JOBS.format(scene.stage.namespace)))["items"]
    assert len([each for each in found if each["metadata"]["name"].startswith(f"{scene.name}-")]) == 1


# 2. No free GPU


async def alone(scene: Scene) -> None:
    """One replica on the only GPU: it waits and says for what; who can do without it for a while says so."""
    await scene.begin(1, {"keepWarm": "1s"}, **on("nvidia-l40s"))
    async with scene.requests(6) as traffic:
        await scene.apply(GOOD)
        await scene.phase("WaitingForCapacity")
        canary = scene.canary
        await asyncio.sleep(17)  # longer than it would wait to yield, if it might
        waits = scene.now
        assert waits.phase == "WaitingForCapacity" and waits.weights == {scene.stable: 100}, scene.story()
        for told in (waits.rollout["message"], waits.condition("Ready")["message"]):
            assert "nvidia-l40s" in told or "GPU" in told, told
        assert "recreate" in waits.rollout["message"]
        scene.say(waits.rollout["message"])
        scene.stable_unhurt()
        await scene.apply({"rollout": {**ROLLOUT, "strategy": "recreate"}})
        await scene.phase("Retaining", "Succeeded")
    assert scene.now.weights == {canary: 100}
    scene.nobody_failed(traffic)
    scene.say(f"recreated: the longest request took {max(each.ended - each.began for each in traffic.ended):.1f} s")


# 3. The operator is killed


async def killed(scene: Scene) -> None:
    """It is killed in each phase of a good canary, and of a bad one, and ends as if it had not been."""
    gates = [gate("person", 50, manual=True)]
    warms = {**ROLLOUT["analysis"], "warmUp": "20s"}  # longer than one that was killed while it loaded is away
    kept = {"keepWarm": "2m", "retainPrevious": "10m"}
    stable = await scene.begin(2, {"steps": [HALF], "gates": gates, "analysis": warms, **kept})
    hit: list[str] = []
    await scene.others("are over, or wait for a GPU", _quiet)
    async with scene.requests(20) as traffic:
        killing = asyncio.create_task(_kill_in_each_phase(scene, hit))
        await scene.apply(GOOD)
        await scene.until("the person", lambda moment: _gate(moment.rollout, "person") == "Waiting")
        await eventually("killed there", lambda: _in(hit, "Gated"))
        good, tried = scene.canary, [pod for pod in scene.pods(scene.canary) if pod.there]
        scene.untouched(tried)
        await scene.act(f"resume@{good}")
        await scene.phase("Retaining")
        await eventually("killed there", lambda: _in(hit, "Retaining"))
        scene.nobody_failed(traffic)
        scene.untouched(tried)
        scene.stable_unhurt()
        served = [pod for pod in scene.pods(good) if pod.there]
        await scene.apply({**bad("load-crash"), "rollout": ROLLOUT})
        await scene.phase("RolledBack")
        worse = scene.canary
        await eventually("killed there", lambda: _in(hit, "RolledBack"))
        killing.cancel()
        await asyncio.wait([killing])
        await scene.gone(worse)
    scene.say(f"the operator was killed while {', '.join(hit)}")
    assert {"Warming", "Observing", "Gated", "Promoting", "Retaining", "RolledBack"} <= set(hit)
    scene.untouched(served)
    scene.nobody_failed(traffic)
    history = [(each["revision"], each["stable"], each["outcome"]) for each in scene.now.rollout["history"]]
    assert history == [(worse, good, "RolledBack"), (good, stable, "Promoted")]
    assert scene.now.weights == {good: 100}
    for revision, number in ((good, 2), (worse, 2)):
        assert len(scene.pods(revision)) <= number, "none was made twice"


def _quiet(moment: Moment) -> bool:
    return moment.phase in ("Retaining", "Succeeded", "RolledBack") or "not given up" in moment.rollout["message"]


async def _in(hit: list[str], phase: str) -> bool:
    return phase in hit


async def _kill_in_each_phase(scene: Scene, hit: list[str]) -> None:
    """Kill it once in each, as soon as it is there. `hit`: the phases in which that was."""
    while True:
        phase = scene.now.phase
        if phase in ("Idle", *hit):
            await asyncio.sleep(0.02)
            continue
        await scene.stage.kill_operator()
        hit.append(phase)


ACTS: dict[str, Act] = {
    "alone": alone,
    "killed": killed,
    "gated": gated,
    "judged-bad": judged_bad,
    "hurried": hurried,
    "paused": paused,
    "while-waiting": aborted("WaitingForCapacity", GOOD, on=on("nvidia-a100-80gb")),
    "while-loading": aborted("Loading", bad("never-ready")),
    "while-warming": aborted("Warming", GOOD, analysis={"warmUp": "5m"}),
    "while-observing": aborted("Observing", GOOD, **LONG),
    "while-gated": aborted("Gated", GOOD, rate=15, steps=[HALF], gates=[gate("person", 50, manual=True)]),
    "while-promoting": aborted("Promoting", GOOD, 2, promote=True, **LONG),
    "after-promotion": after_promotion,
}


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[Stage]:
    """GPUs enough for most, and just enough for some."""
    with staged(cluster, NODES, "strategies") as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def play(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Play]:
    """All scenes whose tests are to run, begun."""
    async with playing(stage, ACTS, request) as play:
        yield play


@pytest.mark.parametrize("name", ACTS)
async def test_rollout(play: Play, name: str, say: Say) -> None:
    await play.end(name, say)


async def test_the_operator_saw_no_bug_and_was_denied_nothing(play: Play, stage: Stage) -> None:
    await play.all_ended()
    stage.sound()
