"""Canaries on a real Kubernetes, good and bad, under requests that never stop: operator, two gateways, real evidence.

All scenes play at the same time. Seconds are those from the evidence (the first bad answer, the first crash, the
deadline) until the canary gets nothing more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import pytest
import pytest_asyncio

from cluster.interventions import newer
from cluster.rollouts import ACTION, GOOD, HALF, ROLLOUT, SERVES, Act, Play, Scene, bad, playing
from cluster.services import Say, Services
from cluster.stage import Stage, staged
from cluster.streams import Request
from controlplane import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGAIN = 1.0  # seconds between two times that Git applies what it holds
KEPT_WARM = 4.0  # seconds


async def good(scene: Scene) -> None:
    """A canary with nothing wrong gets its share step by step, then everything; nobody notices."""
    stable = await scene.begin(2, {"keepWarm": f"{KEPT_WARM:.0f}s", "retainPrevious": "6s"})
    async with scene.requests(30) as traffic:
        await scene.apply(GOOD)
        began = time.time()
        await scene.until("half", lambda moment: moment.phase == "Observing" and moment.rollout["weight"] == 50)
        canary, tried = scene.canary, [pod for pod in scene.pods(scene.canary) if pod.there]
        scene.stable_unhurt()
        await scene.phase("Retaining")
        served = [pod for pod in scene.pods(canary) if pod.there]
        assert {pod.uid for pod in tried} <= {pod.uid for pod in served} and len(served) == 2
        scene.stable_unhurt()
        await scene.conditions(SERVES)
        await scene.phase("Succeeded")
        await scene.until("the old one goes", lambda moment: all(pod.deleted for pod in scene.stable_pods))
        await scene.until("and is forgotten", lambda moment: len(moment.status["revisions"]) == 1)
    scene.nobody_failed(traffic)
    scene.untouched(served)
    scene.told_all_along()
    promoted = scene.first("Retaining")
    scene.say(f"promoted {promoted - began:.1f} s after it was applied; {len(traffic.ended)} requests, none failed")
    assert min(pod.deleted or 0 for pod in scene.stable_pods) - promoted >= KEPT_WARM - 1.5, "times are whole seconds"
    status = scene.now.status
    assert (status["stableRevision"], scene.now.weights) == (canary, {canary: 100})
    assert [(each["revision"], each["outcome"]) for each in status["rollout"]["history"]] == [(canary, "Promoted")]
    share = _shares(scene, traffic.ended, canary)
    scene.say(f"share of its requests at 20 % and 50 %: {share[20]:.2f}, {share[50]:.2f}")
    assert 0.1 <= share[20] <= 0.3 and 0.4 <= share[50] <= 0.6
    assert stable not in {each.revision for each in traffic.ended if each.began > promoted + 2}


def _shares(scene: Scene, requests: list[Request], canary: str) -> dict[int, float]:
    """Share of the requests that the canary got, by the weight in force; gateways hear of a weight a little later."""
    found: dict[int, list[bool]] = {}
    for moment, after in zip(scene.moments, scene.moments[1:], strict=False):
        weight = moment.weights.get(canary, 0)
        within = [each for each in requests if moment.at + 0.3 < each.began < after.at]
        found.setdefault(weight, []).extend(each.revision == canary for each in within)
    return {weight: sum(hits) / max(1, len(hits)) for weight, hits in found.items()}


def erring(share: float, rate: float) -> Act:
    async def act(scene: Scene) -> None:
        """A share of its answers is 500. Applied again and again it stays rejected."""
        await scene.begin(2)
        async with scene.requests(rate) as traffic:
            await scene.apply(bad(f"errors={share}"))
            await scene.phase("RolledBack")
            canary = scene.canary
            await scene.gone(canary)
            pods = len(scene.pods(canary))
            for _ in range(3):
                await scene.apply()
                await asyncio.sleep(AGAIN)
            assert scene.now.phase == "RolledBack" and len(scene.pods(canary)) == pods
        evidence = await scene.first_of(lambda record: record["attempts"] > 1 or record["status"] >= 500)
        entry = scene.rejected(canary, "HarmShown", "ErrorBurst")
        assert "%" in entry["message"] or "of" in entry["message"], "the counts"
        scene.rolled_back_within(evidence, canary)
        scene.stable_unhurt()
        scene.told_all_along()
        await scene.only_the_canary_failed(traffic, canary)

    return act


async def slow(scene: Scene) -> None:
    """It answers late and otherwise well: the SLO says so."""
    judged = {**ROLLOUT["analysis"], "metrics": ["errorRate", "ttft"]}
    await scene.begin(2, {"analysis": judged}, slo={"ttft": "700ms"})
    async with scene.requests(25) as traffic:
        await scene.apply(bad("slow=100"))
        await scene.phase("RolledBack")
        canary = scene.canary
        await scene.gone(canary)
    evidence = await scene.first_of(lambda record: record["revision"] == canary and (record["firstMs"] or 0) > 700)
    scene.rejected(canary, "HarmShown")
    [ttft] = [each for each in scene.now.rollout["analysis"]["metrics"] if each["name"] == "ttft"]
    late = {arm: ttft[arm]["bad"] / ttft[arm]["total"] for arm in ("canary", "stable")}
    assert ttft["verdict"] == "Harm" and late["canary"] > late["stable"], ttft
    # On a busy machine stable is late too, so that it takes more requests until harm is shown.
    scene.rolled_back_within(evidence, canary, 45.0)
    scene.stable_unhurt()
    scene.nobody_failed(traffic)


def ending(fault: str, reason: str) -> Act:
    async def act(scene: Scene) -> None:
        """Its engines end, again and again or for want of memory."""
        await scene.begin(2)
        async with scene.requests(5) as traffic:
            await scene.apply(bad(fault))
            await scene.phase("RolledBack")
            canary = scene.canary
            await scene.gone(canary)
        scene.rejected(canary, reason)
        scene.rolled_back_within(min(at for pod in scene.pods(canary) for at in pod.ends), canary)
        scene.stable_unhurt()
        scene.told_all_along()
        await scene.only_the_canary_failed(traffic, canary)

    return act


async def too_large(scene: Scene) -> None:
    """It does not fit the GPU. Nobody is asked to wait for it; somebody tries it once more, and it is the same."""
    await ending("load-oom", "OutOfMemory")(scene)
    canary, seen = scene.canary, len(scene.moments)
    await asyncio.to_thread(scene.stage.cli, "rollout", "retry", scene.name)
    # It may be over before the command has ended.
    await scene.until("once more", lambda _: any(each.phase != "RolledBack" for each in scene.moments[seen:]))
    await scene.phase("RolledBack")
    scene.rejected(canary, "OutOfMemory")
    assert len(scene.now.rollout["rejected"]) == 1 and len(scene.now.rollout["history"]) == 2
    scene.stable_unhurt()


async def never_ready(scene: Scene) -> None:
    """It loads for ever. The deadline fires by itself, and nobody ever asks it."""
    await scene.begin(2, {"deadlines": {"load": "6s"}})
    async with scene.requests(5) as traffic:
        await scene.apply(bad("never-ready"))
        loading = await scene.until("a deadline", lambda moment: moment.rollout.get("deadline"))
        await scene.until("of its load", lambda moment: moment.rollout.get("clocks", {}).get("load"))
        loading = scene.now
        await scene.phase("RolledBack")
        canary = scene.canary
        await scene.gone(canary)
    scene.rejected(canary, "LoadDeadlineExceeded")
    scene.rolled_back_within(datetime.fromisoformat(loading.rollout["deadline"]).timestamp(), canary)
    scene.stable_unhurt()
    scene.nobody_failed(traffic)
    assert {each.revision for each in traffic.ended} == {scene.stable}


async def git(scene: Scene) -> None:
    """Git applies what it holds again and again, an old action included; then it goes back, and the old one is warm."""
    stable = await scene.begin(2, {"steps": [HALF], "keepWarm": "20s"})
    scene.manifest["metadata"]["annotations"] = {ACTION: f"promote@{stable}"}
    async with scene.requests(12) as traffic:
        applying = asyncio.create_task(_keep_applying(scene))
        scene.manifest["spec"] |= GOOD
        await scene.phase("Retaining")
        canary, served = scene.canary, [pod for pod in scene.pods(scene.canary) if pod.there]
        scene.stable_unhurt()
        await asyncio.sleep(3 * AGAIN)  # what leads to it settles
        before = scene.stage.written(scene.name)
        await asyncio.sleep(3 * AGAIN)
        assert scene.stage.written(scene.name) == before, "nothing is written for what is there already"
        scene.untouched(served)
        del scene.manifest["spec"]["runtime"]
        back = time.time()
        await scene.until("back", lambda moment: moment.status["stableRevision"] == stable)
        took = time.time() - back
        await scene.conditions(SERVES)
        applying.cancel()
        await asyncio.wait([applying])
    scene.say(f"back to the revision before {took:.1f} s after Git changed, applying every {AGAIN:.0f} s")
    scene.nobody_failed(traffic)
    scene.stable_unhurt()
    assert {pod.uid for pod in scene.pods(stable)} == {pod.uid for pod in scene.stable_pods}, "no pod was made for it"
    assert took <= AGAIN + 3
    phases = [phase for phase in scene.phases() if phase != "Idle"]
    assert len([phase for phase in phases if phase == "Promoting"]) <= 2 and "RollingBack" not in phases, phases
    assert [each["revision"] for each in scene.now.rollout["history"]][-1] == canary


async def _keep_applying(scene: Scene) -> None:
    while True:
        await scene.apply()
        await asyncio.sleep(AGAIN)


async def swapped(scene: Scene) -> None:
    """Two replicas on the only two GPUs: they are exchanged one by one, and one of them always serves."""
    await scene.begin(2, {"steps": []}, accelerators=[{"type": "nvidia-a100-80gb"}])
    async with scene.requests(12) as traffic:
        began = time.time()
        await scene.apply(GOOD)
        await scene.phase("WaitingForCapacity")
        await scene.phase("Retaining", "Succeeded")
        took = time.time() - began
        canary = scene.canary
        await scene.conditions(SERVES)
    scene.say(f"2 replicas exchanged on 2 GPUs in {took:.1f} s")
    scene.nobody_failed(traffic)
    scene.told_all_along()
    scene.untouched([pod for pod in scene.pods(canary) if pod.there])
    assert scene.now.weights == {canary: 100} and len([pod for pod in scene.pods(canary) if pod.serving]) == 2
    assert any(moment.rollout.get("yielded") for moment in scene.moments)


ACTS: dict[str, Act] = {
    "good": good,
    "errors-half": erring(0.5, 15),
    "errors-few": erring(0.15, 25),
    "slow": slow,
    "crashing": ending("crash-after=2", "CrashLoop"),
    "out-of-memory": ending("oom-after=3", "OutOfMemory"),
    "too-large": too_large,
    "never-ready": never_ready,
    "git": git,
    "newer": newer,
    "swapped": swapped,
}


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[Stage]:
    """GPUs enough for all but one."""
    with staged(cluster, "6x8xnvidia-h100-80gb,1x2xnvidia-a100-80gb", "rollouts") as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def play(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Play]:
    """All scenes whose tests are to run, begun."""
    async with playing(stage, ACTS, request) as play:
        yield play


@pytest.mark.parametrize("name", ACTS)
async def test_rollout(play: Play, name: str, say: Say) -> None:
    await play.end(name, say)


async def test_the_operator_saw_no_bug_was_denied_nothing_and_told_all_once(play: Play, stage: Stage) -> None:
    await play.all_ended()
    stage.sound()
    await Services(stage.api, stage.namespace).told_once()
