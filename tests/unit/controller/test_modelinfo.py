"""What is known of models: at once, asked for once, tried again, and told to whoever waits. In virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from inferops.api.inferenceservice import ModelSpec
from inferops.controller.modelhub import HubError
from inferops.controller.modelinfo import Known, ModelInfo, Pending, Times, Unknown
from inferops.controller.store import Key
from inferops.core.config_json import facts_of
from inferops.core.facts import ModelFacts, Precision
from inferops.kube.client import KubeError
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object
from unit.core.configs import CONFIGS
from unit.kube.virtualtime import run

LLAMA = facts_of(CONFIGS["llama-3.1-8b"], "acme/mine")
PRIVATE = ModelSpec(uri="hf://acme/mine")
PINNED = ModelSpec(uri="hf://acme/mine", revision="0123456789abcdef0123456789abcdef01234567")
MAPPED = ModelSpec.model_validate({"uri": "s3://models/mine", "config": {"name": "shapes"}})
GATED = HubError("401: gated", passing=False)
DOWN = HubError("did not answer", passing=True)
TIMES = Times()


@dataclass
class World:
    """A cluster's ConfigMaps, a hub that takes a second, and who was told of news."""

    hub_says: list[ModelFacts | Exception] = field(default_factory=lambda: [LLAMA])  # the last one again and again
    maps: dict[str, Object | KubeError] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    endpoint: str = "https://hub.example.com"

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self.asked.append((kind.kind, namespace, name))
        await asyncio.sleep(0.01)
        found = self.maps.get(f"{namespace}/{name}")
        if isinstance(found, KubeError):
            raise found
        return found

    async def facts(self, repository: str, revision: str | None = None) -> ModelFacts:
        self.asked.append(("hub", repository, revision or ""))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(1)
        self.under_way -= 1
        answer = self.hub_says.pop(0) if len(self.hub_says) > 1 else self.hub_says[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def key(name: str, namespace: str = "chat") -> Key:
    return Key("InferenceService", namespace, name)


def shapes(config: Any, **more: Any) -> Object:
    texts = {name: content if isinstance(content, str) else json.dumps(content) for name, content in more.items()}
    return {"data": {"config.json": config if isinstance(config, str) else json.dumps(config), **texts}}


def play(world: World, main: Callable[[ModelInfo], Awaitable[None]], *, hub: bool = True, at_a_time: int = 8) -> None:
    """Run `main`; `told` gets the names of the services that are to look again."""

    async def whole() -> None:
        info = ModelInfo(world, lambda key: world.told.append(key.name), world if hub else None, at_a_time=at_a_time)
        try:
            await main(info)
        finally:
            await info.close()

    run(whole())


def test_the_hub_is_asked_in_the_background_and_once() -> None:
    world = World()

    async def main(info: ModelInfo) -> None:
        first = info.facts(key("a"), PRIVATE)
        assert isinstance(first, Pending) and "hub.example.com" in first.reason
        assert info.facts(key("b"), PRIVATE) == first
        await asyncio.sleep(2)
        assert world.told == ["a", "b"]
        for name in "abc":
            assert info.facts(key(name), PRIVATE) == Known(LLAMA, "https://hub.example.com")
        await asyncio.sleep(3600)
        info.facts(key("a"), PRIVATE)
        await asyncio.sleep(2)
        assert world.asked == [("hub", "acme/mine", "")]
        assert world.told == ["a", "b"]

    play(world, main)


def test_a_branch_is_asked_for_again_and_a_commit_stays() -> None:
    world = World([LLAMA, LLAMA, GATED])

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), PRIVATE)
        info.facts(key("b"), PINNED)
        await asyncio.sleep(TIMES.branch + 10)
        assert len(world.asked) == 2, "nothing is asked again before somebody looks"
        assert isinstance(info.facts(key("a"), PRIVATE), Known)
        assert isinstance(info.facts(key("b"), PINNED), Known)
        await asyncio.sleep(10)
        assert world.asked[2:] == [("hub", "acme/mine", "")]
        assert isinstance(info.facts(key("a"), PRIVATE), Unknown)
        assert world.told == ["a", "b", "a"]

    play(world, main)


def test_a_refusal_is_tried_again_ever_more_rarely_until_it_is_none() -> None:
    world = World([GATED] * 9 + [LLAMA])

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), PRIVATE)
        await asyncio.sleep(5)
        assert info.facts(key("a"), PRIVATE) == Unknown("401: gated")
        await asyncio.sleep(3600)
        # after 15, 30, 60 s and so on up to half an hour
        assert 7 <= len(world.asked) <= 9
        for _ in range(100):
            info.facts(key("a"), PRIVATE)
        assert len(world.asked) <= 9, "looking again does not ask again"
        assert world.told == ["a"], "the same answer is no news"
        await asyncio.sleep(2 * TIMES.last)
        assert world.told == ["a", "a"]
        assert isinstance(info.facts(key("a"), PRIVATE), Known)

    play(world, main)


def test_the_hubs_own_wish_to_wait_is_kept() -> None:
    world = World([HubError("429", passing=True, retry_after=500.0), LLAMA])

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), PRIVATE)
        await asyncio.sleep(490)
        assert len(world.asked) == 1
        await asyncio.sleep(20)
        assert isinstance(info.facts(key("a"), PRIVATE), Known)

    play(world, main)


def test_an_outage_makes_nobody_forget() -> None:
    world = World([LLAMA, DOWN, DOWN, LLAMA])

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), PRIVATE)
        await asyncio.sleep(TIMES.branch + 10)
        for _ in range(20):
            assert isinstance(info.facts(key("a"), PRIVATE), Known)
            await asyncio.sleep(5)
        assert len(world.asked) == 4
        assert world.told == ["a"]

    play(world, main)


def test_nothing_is_tried_for_a_service_that_is_gone_or_asks_for_another() -> None:
    world = World([GATED])

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), PRIVATE)
        info.facts(key("b"), PRIVATE)
        await asyncio.sleep(5)
        info.forget(key("a"))
        assert isinstance(info.facts(key("b"), ModelSpec(uri="hf://Qwen/Qwen3-8B")), Known)
        await asyncio.sleep(86400)
        assert len(world.asked) == 1, "the try that was due finds nobody who waits"
        info.forget(key("a"))
        info.forget(key("never"))

    play(world, main)


def test_so_many_are_asked_at_a_time() -> None:
    world = World()

    async def main(info: ModelInfo) -> None:
        for number in range(100):
            info.facts(key(f"s{number}"), ModelSpec(uri=f"hf://acme/model-{number}"))
        await asyncio.sleep(200)
        assert len(world.asked) == len(world.told) == 100

    play(world, main, at_a_time=4)
    assert world.most == 4


def test_a_config_map_goes_before_all_others() -> None:
    world = World(maps={"chat/shapes": shapes(CONFIGS["qwen2.5-7b"])})
    mapped = ModelSpec.model_validate({"uri": "hf://Qwen/Qwen3-8B", "config": {"name": "shapes"}})

    async def main(info: ModelInfo) -> None:
        assert isinstance(info.facts(key("a"), mapped), Pending)
        await asyncio.sleep(1)
        found = info.facts(key("a"), mapped)
        assert isinstance(found, Known) and found.source == "ConfigMap chat/shapes"
        assert (found.facts.name, found.facts.hidden) == ("Qwen/Qwen3-8B", 3584)
        assert world.asked == [("ConfigMap", "chat", "shapes")]

    play(world, main)


def test_a_config_map_is_of_the_services_own_namespace() -> None:
    world = World(maps={"chat/shapes": shapes(CONFIGS["qwen2.5-7b"])})

    async def main(info: ModelInfo) -> None:
        info.facts(key("a", "other"), MAPPED)
        await asyncio.sleep(1)
        found = info.facts(key("a", "other"), MAPPED)
        assert isinstance(found, Unknown) and "ConfigMap other/shapes" in found.reason

    play(world, main)


def test_a_config_map_that_changes_is_seen_when_its_service_is_looked_at() -> None:
    world = World(maps={"chat/shapes": shapes(CONFIGS["qwen2.5-7b"])})

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), MAPPED)
        await asyncio.sleep(1)
        world.maps["chat/shapes"] = shapes(
            CONFIGS["llama-3.1-8b"], **{"hf_quant_config.json": {"quantization": {"quant_algo": "NVFP4"}}}
        )
        await asyncio.sleep(TIMES.config_map + 1)
        info.facts(key("a"), MAPPED)
        await asyncio.sleep(1)
        assert world.told == ["a", "a"]
        found = info.facts(key("a"), MAPPED)
        assert isinstance(found, Known)
        assert (found.facts.hidden, found.facts.precision) == (4096, Precision.NVFP4)

    play(world, main)


@pytest.mark.parametrize(
    ("case", "found", "words"),
    [
        ("none", None, ["ConfigMap chat/shapes (spec.model.config) is not there", "create it"]),
        ("no such key", {"data": {"b.json": "{}", "a.json": ""}}, ["no key 'config.json'", "a.json, b.json"]),
        ("no data", {}, ["no key 'config.json'", "none"]),
        ("no JSON", shapes("hidden_size: 1"), ["config.json in ConfigMap chat/shapes", "no JSON"]),
        ("no config", shapes({"model_type": "llama"}), ["config.json of models/mine", "is missing"]),
        ("a bad sidecar", shapes("{}", **{"hf_quant_config.json": "?"}), ["hf_quant_config.json in ConfigMap"]),
        ("too large", shapes(" " * 1_200_000), ["too large"]),
        ("forbidden", KubeError("get ConfigMap chat/shapes", 403, "Forbidden", "no"), ["get ConfigMap", "403"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_a_config_map_is_said_and_heals(
    case: str, found: Object | KubeError | None, words: list[str]
) -> None:
    world = World(maps={"chat/shapes": found} if found is not None else {})

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), MAPPED)
        await asyncio.sleep(1)
        answer = info.facts(key("a"), MAPPED)
        assert isinstance(answer, Unknown)
        assert all(word in answer.reason for word in words), answer.reason
        assert len(answer.reason) <= 700
        world.maps["chat/shapes"] = shapes(CONFIGS["qwen2.5-7b"])
        await asyncio.sleep(TIMES.first + 1)
        assert world.told == ["a", "a"], "without that anybody looked"
        assert isinstance(info.facts(key("a"), MAPPED), Known)

    play(world, main)


@pytest.mark.parametrize(
    ("uri", "hub", "words"),
    [
        ("s3://models/mine", True, ["s3://models/mine", "spec.model.config"]),
        ("pvc://weights/mine", True, ["pvc://weights/mine", "spec.model.config"]),
        ("hf://acme/mine", False, ["acme/mine", "no hub", "spec.model.config"]),
    ],
)
def test_where_nobody_can_be_asked_the_remedy_is_named(uri: str, hub: bool, words: list[str]) -> None:
    world = World()

    async def main(info: ModelInfo) -> None:
        answer = info.facts(key("a"), ModelSpec(uri=uri))
        assert isinstance(answer, Unknown)
        assert all(word in answer.reason for word in words), answer.reason
        await asyncio.sleep(1000)
        assert not world.asked and not world.told

    play(world, main, hub=hub)


def test_the_usual_models_need_nobody() -> None:
    world = World()

    async def main(info: ModelInfo) -> None:
        answer = info.facts(key("a"), ModelSpec(uri="hf://RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"))
        assert isinstance(answer, Known)
        assert (answer.source, answer.facts.precision) == ("the built-in table", Precision.FP8)

    play(world, main, hub=False)
    assert not world.asked


def test_a_mistake_of_ours_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World([RuntimeError("a bug"), LLAMA])

    async def main(info: ModelInfo) -> None:
        info.facts(key("a"), PRIVATE)
        await asyncio.sleep(5)
        answer = info.facts(key("a"), PRIVATE)
        assert isinstance(answer, Unknown) and "mistake of the operator" in answer.reason
        await asyncio.sleep(5)
        assert isinstance(info.facts(key("a"), PRIVATE), Known)

    play(world, main)
    assert "a bug" in caplog.text


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferops.controller.modelinfo.REMEMBERED", 10)
    world = World()

    async def main(info: ModelInfo) -> None:
        for number in range(100):
            info.facts(key("a"), ModelSpec(uri=f"hf://acme/model-{number}"))
            await asyncio.sleep(2)
        assert len(info._entries) <= 11
        info.facts(key("a"), ModelSpec(uri="hf://acme/model-99"))
        await asyncio.sleep(2)
        assert len(world.asked) == 100

    play(world, main)
