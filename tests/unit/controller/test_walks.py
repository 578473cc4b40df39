"""Random walks through an API server in memory: specs, edits, lost children, failing requests, and an operator that
ends at any write. When all is well again, the end is the same as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.kube.kinds import INFERENCE_SERVICE
from inferops.kube.owned import Object
from unit.controller.building import NAMESPACE, service
from unit.controller.fakekube import Crash, refusal
from unit.controller.world import NOT_READY, OURS, READY, World

SPECS: list[dict[str, Any]] = [
    {"model": {"uri": "hf://Qwen/Qwen3-8B"}},
    {"model": {"uri": "hf://Qwen/Qwen3-14B"}},
    {"model": {"uri": "hf://Qwen/Qwen3-32B"}, "scaling": {"replicas": 2}},
    {"runtime": {"name": "tgi"}},
    {"runtime": {"name": "vllm"}},
    {"scaling": {"replicas": 0}},
    {"slo": {"ttft": "soon"}},
    {"slo": {}},
]


def child(world: World, number: int) -> tuple[Any, str] | None:
    found = [(kind, name) for kind in OURS for name in sorted(world.children(kind))]
    return found[number % len(found)] if found else None


async def ask(world: World, number: int) -> None:
    world.ask(**SPECS[number % len(SPECS)])


async def lose(world: World, number: int) -> None:
    if (found := child(world, number)) is not None:
        world.fake.remove(found[0], NAMESPACE, found[1])


async def edit(world: World, number: int) -> None:
    """Not the labels, by which the watches see it, nor the owner: what is taken from us of what is on its way out
    stays."""

    def change(raw: Object) -> None:
        raw["metadata"].setdefault("annotations", {})["by"] = "hand"
        if raw["kind"] == "Deployment":
            raw["spec"]["replicas"] = 7
        elif raw["kind"] == "Service":
            raw["spec"]["selector"] = {"app": "other"}

    if (found := child(world, number)) is not None:
        world.fake.edit(found[0], NAMESPACE, found[1], change)


async def lose_status(world: World, number: int) -> None:
    world.fake.edit(INFERENCE_SERVICE, NAMESPACE, "llama", lambda raw: raw.update(status={}))


async def recreate(world: World, number: int) -> None:
    spec = (world.fake.read(INFERENCE_SERVICE, NAMESPACE, "llama") or {})["spec"]
    world.fake.remove(INFERENCE_SERVICE, NAMESPACE, "llama")
    again = service()
    again["metadata"]["uid"] = f"uid-{world.fake.version}"
    world.fake.put(INFERENCE_SERVICE, {**again, "spec": spec})


async def pods(world: World, number: int) -> None:
    world.pod_status = lambda pod: READY if number % 2 else NOT_READY
    world.run_pods()


async def operate(world: World, number: int) -> None:
    await world.settle()


async def crash(world: World, number: int) -> None:
    world.fake.requests.clear()
    world.fake.crash_after = 1 + number
    try:
        await world.settle()
    except Crash:
        world.restart()
    world.fake.crash_after = None


async def fail(world: World, number: int) -> None:
    left = iter(range(number))
    world.fake.refuses = lambda verb, desired: (
        refusal((0, 403, 409, 500)[number % 4]) if next(left, None) is None else None
    )
    await world.settle()
    world.fake.refuses = lambda verb, desired: None


STEPS: list[Callable[[World, int], Any]] = [ask, ask, lose, edit, lose_status, recreate, pods, operate, crash, fail]


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), max_size=12))
def test_whatever_happens_the_end_is_what_was_asked_for(taken: list[tuple[Callable[[World, int], Any], int]]) -> None:
    async def main() -> None:
        world = World()
        world.ask()
        for step, number in taken:
            await step(world, number)
        world.ask(runtime={"name": "vllm"}, slo={}, scaling={"replicas": 2})
        world.pod_status = lambda pod: READY
        for _ in range(3):
            await world.settle()
        assert world.errors == []
        asked = (world.fake.read(INFERENCE_SERVICE, NAMESPACE, "llama") or {})["spec"]
        fresh = World()
        fresh.ask(**asked)
        await fresh.settle()
        end = world.end()
        for raw in end.values():
            raw["metadata"].pop("annotations", None)
        assert end == fresh.end()
        world.fake.requests.clear()
        await world.settle()
        assert world.fake.requests == []

    asyncio.run(main())
