"""Events: what is said again raises a count, and an Event that cannot be written holds up nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferops.controller import events
from inferops.controller.events import Recorder
from inferops.core.event import Event
from inferops.kube.client import Fenced
from inferops.kube.kinds import EVENT
from unit.controller.fakekube import Fake, refusal
from unit.controller.world import LLAMA, READY, World, settled

CRASH = Event(True, "CrashLoop", "pod llama-1: CrashLoopBackOff: back-off 10s, 3 restarts")
NOON = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        self.time += timedelta(minutes=1)
        return self.time


def recorded(fake: Fake) -> list[tuple[str, str, int, str, str]]:
    return [
        (raw["type"], raw["reason"], raw["count"], raw["firstTimestamp"][11:16], raw["lastTimestamp"][11:16])
        for raw in fake.all(EVENT)
    ]


async def test_an_event_names_its_object() -> None:
    fake = Fake()
    await Recorder(fake, Clock()).record(LLAMA, "uid-1", [CRASH])
    [raw] = fake.all(EVENT)
    assert raw["involvedObject"] == {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "InferenceService",
        "namespace": "chat",
        "name": "llama",
        "uid": "uid-1",
    }
    assert raw["metadata"]["namespace"] == "chat" and raw["metadata"]["name"].startswith("llama.")
    assert (raw["type"], raw["reason"], raw["message"]) == ("Warning", "CrashLoop", CRASH.message)


async def test_what_is_said_again_raises_the_count() -> None:
    fake = Fake()
    recorder = Recorder(fake, Clock())
    for _ in range(3):
        await recorder.record(LLAMA, "uid-1", [CRASH])
    assert recorded(fake) == [("Warning", "CrashLoop", 3, "12:01", "12:03")]


async def test_other_numbers_do_not_make_it_another_event() -> None:
    """A crash loop counts its restarts for days: that is one Event, with the newest words."""
    fake = Fake()
    recorder = Recorder(fake, Clock())
    for restarts, wait in ((3, "10s"), (4, "20s"), (12, "40s")):
        message = f"pod llama-1: CrashLoopBackOff: back-off {wait}, {restarts} restarts"
        await recorder.record(LLAMA, "uid-1", [Event(True, "CrashLoop", message)])
    [raw] = fake.all(EVENT)
    assert "12 restarts" in raw["message"] and raw["count"] == 3


@pytest.mark.parametrize(
    "other",
    [
        (LLAMA, "uid-2", CRASH),
        (LLAMA, "uid-1", Event(False, CRASH.reason, CRASH.message)),
        (LLAMA, "uid-1", Event(True, "ImagePullFailed", CRASH.message)),
        (LLAMA, "uid-1", Event(True, CRASH.reason, "pod qwen: OOMKilled")),
        (LLAMA._replace(name="qwen"), "uid-3", CRASH),
    ],
    ids=["another object of the name", "another type", "another reason", "another message", "another object"],
)
async def test_what_is_different_is_another_event(other: Any) -> None:
    fake = Fake()
    recorder = Recorder(fake, Clock())
    await recorder.record(LLAMA, "uid-1", [CRASH])
    key, uid, event = other
    await recorder.record(key, uid, [event])
    assert [count for _, _, count, _, _ in recorded(fake)] == [1, 1]


async def test_a_new_replica_counts_anew_over_the_same_event() -> None:
    fake = Fake()
    await Recorder(fake, Clock()).record(LLAMA, "uid-1", [CRASH])
    await Recorder(fake, Clock()).record(LLAMA, "uid-1", [CRASH])
    assert [count for _, _, count, _, _ in recorded(fake)] == [1]


async def test_long_messages_are_cut() -> None:
    fake = Fake()
    await Recorder(fake, Clock()).record(LLAMA, "uid-1", [Event(True, "CrashLoop", "x" * 5000)])
    assert len(fake.all(EVENT)[0]["message"]) == events.MESSAGE_LIMIT


async def test_an_event_that_cannot_be_written_is_lost_and_the_next_is_not() -> None:
    fake = Fake(refuses=lambda verb, desired: refusal(403) if desired["reason"] == "CrashLoop" else None)
    await Recorder(fake, Clock()).record(LLAMA, "uid-1", [CRASH, Event(False, "Promoted", "revision a serves")])
    assert [reason for _, reason, _, _, _ in recorded(fake)] == ["Promoted"]


async def test_without_the_lease_no_event_is_written() -> None:
    fake = Fake(fenced=True)
    with pytest.raises(Fenced):
        await Recorder(fake, Clock()).record(LLAMA, "uid-1", [CRASH])


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 3)
    fake = Fake()
    recorder = Recorder(fake, Clock())
    said = [Event(False, "Promoted", f"revision {letter} serves") for letter in "abcd"]
    for event in [*said, said[3], said[0]]:
        await recorder.record(LLAMA, "uid-1", [event])
    assert len(recorder._said) == 3
    assert {raw["message"][9]: raw["count"] for raw in fake.all(EVENT)} == {"a": 1, "b": 1, "c": 1, "d": 2}


async def test_a_life_is_told_in_few_events() -> None:
    world = await settled()
    assert world.events() == [("Promoted", 1)]
    world.ask(model={"uri": "hf://Qwen/Qwen3-14B"})
    await world.settle()
    assert world.events() == [("Promoted", 1), ("RolloutStarted", 1), ("Promoting", 1), ("Promoted", 1)]


async def test_a_fault_and_its_end_are_told_once_though_the_first_run_stops_early() -> None:
    world = World()
    world.ask(runtime={"name": "tgi"})
    await world.settle()
    world.ask(runtime={"name": "vllm"})
    await world.settle()
    assert world.events() == [("RuntimeNotFound", 1), ("Valid", 1), ("Promoted", 1)]


async def test_a_pod_that_comes_and_goes_makes_no_end_of_events() -> None:
    world = await settled(scaling={"replicas": 2})

    def crash(restarts: int) -> dict[str, Any]:
        waiting = {"reason": "CrashLoopBackOff", "message": f"back-off {restarts * 10}s"}
        return {
            "containerStatuses": [{"name": "engine", "restartCount": restarts, "state": {"waiting": waiting}}],
            "conditions": [{"type": "Ready", "status": "False"}],
        }

    status = READY
    world.pod_status = lambda pod: status if pod["metadata"]["name"].endswith("-1") else READY
    for restarts in range(1, 12):
        for status in (crash(restarts), READY):  # noqa: B007
            await world.settle()
    assert world.events() == [("Promoted", 1), ("CrashLoop", 11)]
