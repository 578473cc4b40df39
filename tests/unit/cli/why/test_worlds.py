"""`inferops why` of services as the operator's own worlds leave them: at zero, in clusters that are lost, refused by
the API server; and, whatever state there is, an answer that says something."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from inferops.api.resources import InferenceService
from inferops.cli.lines import line
from inferops.cli.why.ask import told
from inferops.cli.why.chain import explain
from inferops.cli.why.seen import Seen
from inferops.core.membership import LOST
from inferops.kube.kinds import DEPLOYMENT, INFERENCE_SERVICE
from unit.cli.scenes import NOW, gated, loading, observing, paused, retaining, rolled_back, service
from unit.cli.why.worlds import homeless, scene, seen, waiting, world
from unit.controller import placed
from unit.controller.fakekube import refusal
from unit.controller.test_placing import play, silence
from unit.controller.zero import asleep


async def test_asleep_it_says_that_the_first_request_wakes_it() -> None:
    [first, *_] = explain(seen(await asleep()))
    assert not first.wrong
    assert first.verdict.startswith("nothing is wrong") or "the first request starts a replica" in first.verdict
    answers = " ".join(each.verdict for each in explain(seen(await asleep())))
    assert "it is at zero since nobody asked for 1m, and the first request starts a replica" in answers


async def test_what_the_api_server_refuses_is_told_in_its_words() -> None:
    made = await world()
    made.fake.refuses = lambda verb, desired: (
        refusal(403, message="admission webhook denied it") if desired.get("kind") == DEPLOYMENT.kind else None
    )
    made.ask(model={"uri": "hf://Qwen/Qwen3-8B", "maxModelLen": 4096})
    await made.settle()
    [first, *_] = explain(seen(made))
    assert first.wrong and "admission webhook denied it" in first.verdict
    assert any("goes on serving" in each for each in first.evidence)


def test_a_cluster_that_is_lost_and_one_that_was_not_taken() -> None:
    async def run(hub: placed.World) -> None:
        hub.ask(scaling={"replicas": 4}, placement={**placed.ALL, "minClusters": 2})
        await asyncio.sleep(60)
        [gone, *_] = hub.shares
        silence(hub.members[gone])
        await asyncio.sleep(LOST + 120)
        raw = hub.hub.read(INFERENCE_SERVICE, placed.CHAT, "llama")
        assert raw is not None and hub.record[gone][0] == "Lost"
        of = Seen(InferenceService.model_validate(raw), NOW)
        [first, *_] = explain(of)
        assert first.wrong and f"cluster {gone} is Lost" in first.verdict
        for name in hub.members:
            [found] = explain(Seen(of.service, NOW, cluster=name))
            placed_there = name in hub.record
            assert found.verdict.startswith(f"it is {'' if placed_there else 'not '}placed in {name}: "), found

    play(run)


SCENES = [observing(), paused(), gated(), loading(), rolled_back(), retaining(), {"phase": "RollingBack"}, {}]


@pytest.mark.parametrize("rollout", SCENES, ids=lambda each: each.get("phase", "none"))
@pytest.mark.parametrize("ready", ["True", "False", "Unknown", ""])
def test_in_every_state_there_is_an_answer(rollout: Any, ready: str) -> None:
    condition = {"type": "Ready", "status": ready, "reason": "Undecided", "lastTransitionTime": NOW.isoformat()}
    of = scene(service(rollout, conditions=[condition] if ready else []))
    answers = explain(of)
    assert answers and all(each.verdict and "None" not in each.verdict for each in answers)
    lines = [line(each).plain for each in told(of, answers, [])]
    assert lines[0].startswith("chat/llama: ") and all("\n" not in each for each in lines)


@pytest.mark.parametrize(
    "pod", [homeless("none"), waiting("CrashLoopBackOff"), waiting("Whatever"), {"conditions": []}], ids=str
)
async def test_with_every_pod_there_is_an_answer_and_something_to_do(pod: Any) -> None:
    [first, *_] = explain(seen(await world(pod)))
    assert first.wrong and first.todo, first
