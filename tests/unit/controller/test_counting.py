"""What was counted of services in a rollout: who answers, from when to when, and what is said where nobody does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inferops.controller import counting as module
from inferops.controller.counting import UNASKED, Counting
from inferops.controller.following import Ask
from inferops.controller.store import Key
from inferops.core.observation import PodView
from inferops.core.signal import Count, Window
from inferops.signals.cumulative import Tally
from unit.controller.counted import LLAMA, Gateways, both, counted

START = datetime(2025, 11, 3, 12, tzinfo=UTC)
PODS = {name: PodView(name, revision, ready=True) for name, revision in (("s1", "aaa"), ("c1", "bbb"))}
ASK = Ask(pods=PODS, ttft=0.8, tpot=0.05)


class World:
    def __init__(self) -> None:
        self.time = 0.0
        self.gateways = Gateways()
        self.counting = Counting(self.now, self.gateways)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)

    def window(self, since: float | None = None) -> Window:
        window, why = self.counting.window(LLAMA, START + timedelta(seconds=since) if since is not None else None)
        assert window is not None, why
        return window

    def why(self, key: Key = LLAMA) -> str:
        window, why = self.counting.window(key, None)
        assert window is None
        return why


def flat(window: Window) -> dict[str, Any]:
    return {each.pod: (each.requests, *((c.bad, c.total) for c in each.counts.values())) for each in window.replicas}


def test_what_gateways_count() -> None:
    world = World()
    world.counting.want(LLAMA, ASK)
    world.gateways.tell(both(1000, 0))
    world.time = 5.5
    world.gateways.tell(both(1090, 10, bad=2, now=3))
    world.time = 6.0
    window = world.window()
    assert (window.since, window.until) == (START, START + timedelta(seconds=6))
    assert window.source == "gateway"
    assert {each.pod: each.revision for each in window.replicas} == {"s1": "aaa", "c1": "bbb"}
    assert flat(window) == {"s1": (90, (0, 90), (0, 90), (0, 90)), "c1": (10, (2, 10), (0, 8), (0, 8))}
    assert window.replicas[0].counts["errorRate"] == Count(2, 10)
    assert window.in_flight == {"s1": 3, "c1": 3}
    world.gateways.tell(both(1090, 11, bad=3))
    world.time = 9.2
    again = world.window(since=6)
    assert (again.since, again.until) == (window.until, START + timedelta(seconds=9))
    assert flat(again) == {"s1": (0, (0, 0), (0, 0), (0, 0)), "c1": (1, (1, 1), (0, 0), (0, 0))}
    last = world.window(since=9)
    assert last.since == last.until, "nothing is newer"


def test_what_was_told_before_anybody_asked_is_where_it_begins() -> None:
    world = World()
    world.gateways.tell(both(1000, 50))
    world.counting.want(LLAMA, ASK)
    world.time = 1.0
    world.gateways.tell(both(1001, 51))
    world.time = 2.0
    assert flat(world.window()) == {"s1": (1, (0, 1), (0, 1), (0, 1)), "c1": (1, (0, 1), (0, 1), (0, 1))}


def test_all_gateways_together_and_each_start_of_them() -> None:
    world = World()
    world.counting.want(LLAMA, ASK)
    world.gateways.tell(both(100, 0, now=1), "g 1")
    world.gateways.tell(both(500, 0, now=1), "h 1")
    world.time = 1.0
    world.gateways.tell(both(101, 0, now=1), "g 1")
    world.gateways.tell(both(502, 0, now=1), "h 1")
    del world.gateways.told["h 1"]
    world.time = 2.0
    world.gateways.tell(both(2, 1, now=1), "h 2")
    world.time = 3.0
    world.gateways.tell(both(6, 1, now=1), "h 2")
    world.time = 4.0
    window = world.window()
    assert {each.pod: each.requests for each in window.replicas} == {"s1": 1 + 2 + 4, "c1": 0}
    assert window.in_flight == {"s1": 2, "c1": 2}


def test_a_metric_without_an_slo_is_left_out() -> None:
    world = World()
    world.counting.want(LLAMA, Ask(pods=PODS, ttft=0.8))
    world.gateways.tell(both(10, 1))
    [*replicas] = world.window().replicas
    assert [list(each.counts) for each in replicas] == [["errorRate", "ttft"]] * 2


def test_replicas_that_are_gone_count_until_they_are_long_gone() -> None:
    world = World()
    world.counting.want(LLAMA, ASK)
    world.gateways.tell(both(10, 1))
    world.gateways.tell(counted(old=("aaa", Tally((1, 0, 0), requests=1), 0)))
    world.time = 3.0
    assert set(flat(world.window())) == {"s1", "c1", "old"}
    assert set(flat(world.window(since=1))) == {"s1", "c1"}


def test_whoever_tells_nothing_holds_and_says_why() -> None:
    world = World()
    assert world.why() == "counting has not begun"
    world.counting.want(LLAMA, Ask(source="gateway", pods=PODS))
    assert world.why() == "no gateway tells of replicas of two revisions"
    world.gateways.tell(both(1, 1))
    world.time = 1.0
    assert world.window().until == world.now()
    world.gateways.told.clear()
    assert world.why() == "no gateway tells of replicas of two revisions"
    world.time = 60.0
    world.gateways.tell(both(3, 1))
    world.time = 61.0
    assert flat(world.window(since=1))["s1"] == (2, (0, 2), (0, 2), (0, 2)), "what was counted meanwhile is not lost"


def test_a_clock_that_goes_back_stands_still() -> None:
    world = World()
    world.time = 10.0
    world.counting.want(LLAMA, ASK)
    world.gateways.tell(both(1, 0))
    world.time = 12.0
    assert world.window().until == world.now()
    world.time = 3.0
    world.gateways.tell(both(5, 0))
    assert world.window(since=12).until == START + timedelta(seconds=12)
    world.time = 14.0
    assert flat(world.window(since=12))["s1"][0] == 4


def test_nobody_is_counted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVICES", 2)
    world = World()
    others = [Key("InferenceService", "chat", name) for name in ("a", "b")]
    for key in (*others, LLAMA):
        world.counting.want(key, ASK)
    assert world.why() == "more than 2 services are counted already"
    world.counting.forget(others[0])
    world.counting.want(LLAMA, ASK)
    world.gateways.tell(both(1, 1))
    assert world.window().source == "gateway"
    world.time = UNASKED.total_seconds() + 1
    world.counting.want(LLAMA, ASK)
    world.counting.want(others[0], ASK)
    world.counting.forget(others[0])
    assert world.why(others[1]) == "counting has not begun", "nobody asked for it any more"
