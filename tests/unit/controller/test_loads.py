"""What was asked of services by the word of the gateways: from when to when, whoever comes and goes or lags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller import loads as module
from inferops.controller.demandline import Asked
from inferops.controller.following import Ask
from inferops.controller.gatewayload import STALE
from inferops.core.load import Load
from inferops.signals.totals import NONE
from unit.controller.loaded import LLAMA, QWEN, START, Gateway, World

GATEWAY = Ask(source="gateway")


def test_a_window_of_what_a_gateway_told() -> None:
    world = World()
    world.gateways.tell(arrivals=500, busy=900.0)
    world.want()
    world.time = 10.0
    world.gateways.tell(
        waiting=2, in_flight=3, arrivals=30, ended=20, busy=40.0, queued=1.5, tokens_in=600, tokens_out=2000,
        counted=20, ttft=9.0, firsts=18, tpot=0.36, paced=18, judged=20, missed=1, spilled=4,
    )  # fmt: skip
    assert world.load() == Load(
        START, START + 10, "gateway", 30, 20, 40.0, 1.5, 2, 3, 600, 2000, 0.5, 0.02, 20, 1, 4
    ), "what was told before anybody asked is where it begins"
    until = world.time
    world.time = 25.0
    world.gateways.tell(arrivals=5)
    load = world.load(until)
    assert (load.since, load.until, load.arrivals) == (START + 10, START + 25, 5)
    assert (load.tokens_in, load.ttft, load.tpot, load.judged) == (0, None, None, 0)
    assert world.load(25.0).seconds == 0.0, "nothing is newer"


def test_tokens_that_no_engine_tells_are_not_none_at_all() -> None:
    world = World()
    world.want()
    world.time = 10.0
    world.gateways.tell(arrivals=3, ended=3)
    load = world.load()
    assert (load.tokens_in, load.tokens_out) == (None, None)


def test_silence_is_no_traffic_for_as_long_as_gateways_tell() -> None:
    world = World()
    world.want()
    world.time = 5.0
    world.gateways.tell(arrivals=3)
    world.load()
    world.time = 600.0
    load = world.load(5.0)
    assert (load.seconds, load.arrivals, load.until) == (595.0, 0, START + 600)


def test_the_window_ends_when_the_numbers_were_so() -> None:
    """One gateway told just now, the other half a second ago."""
    world = World("g", "h")
    world.want()
    world.time = 9.5
    world.gateways.tell("h", arrivals=1)
    world.time = 10.0
    world.gateways.tell("g", arrivals=2)
    load = world.load()
    assert (load.until, load.arrivals) == (START + 9.75, 3)


def test_any_moment_of_late_is_gone_on_from() -> None:
    world = World()
    world.want()
    for second in range(1, 400):
        world.time = float(second)
        world.gateways.tell(arrivals=1)
    for since in range(100, 390):
        load = world.load(float(since))
        assert load.since <= START + since < load.since + 6, "nobody asked in between"
        assert load.arrivals == round(load.seconds)


def test_gateways_come_and_go() -> None:
    world = World("g", "h")
    world.gateways.tell("g", arrivals=100)
    world.gateways.tell("h", arrivals=1000)
    world.want()
    world.time = 10.0
    world.gateways.tell("g", arrivals=1)
    world.gateways.tell("h", arrivals=2, in_flight=5)
    assert (world.load().arrivals, world.load().in_flight) == (3, 5)
    del world.gateways.listed["h"]
    world.time = 20.0
    world.gateways.tell("g", arrivals=1)
    assert (world.load().arrivals, world.load().in_flight) == (4, 0)
    world.gateways.listed["new"] = Gateway(began=15.0)
    world.gateways.listed["old"] = Gateway(began=-99.0)
    world.gateways.tell("new", arrivals=7)
    world.gateways.tell("old", arrivals=5000)
    world.time = 30.0
    world.gateways.tell("old", arrivals=10)
    assert world.load().arrivals == 4 + 7 + 10, "one that began since counts from 0, and others from where they are"


def test_a_gateway_that_begins_anew_loses_nothing_that_it_told() -> None:
    world = World()
    world.want()
    world.time = 10.0
    world.gateways.tell(arrivals=50, busy=5.0)
    world.gateways.restart()
    world.time = 12.0
    world.gateways.tell(arrivals=4, busy=1.0)
    world.time = 20.0
    world.gateways.tell(arrivals=60)
    load = world.load()
    assert (load.arrivals, load.busy) == (114, 6.0)


def test_numbers_that_begin_anew_within_a_start_count_from_0() -> None:
    """A service that is deleted and made anew."""
    world = World()
    world.want()
    world.gateways.tell(arrivals=50, busy=5.0)
    world.time = 10.0
    world.gateways.say("g", Asked(0, 0, 0.0, 0.0, load=NONE._replace(arrivals=2, busy=9.0)))
    load = world.load()
    assert (load.arrivals, load.busy) == (52, 9.0)


def test_what_is_told_twice_counts_once() -> None:
    world = World()
    world.want()
    for second in range(1, 8):
        world.time = float(second)
        world.gateways.tell(arrivals=3 if second == 1 else 0)
    assert world.load().arrivals == 3


@pytest.mark.parametrize(
    ("case", "gateway", "why"),
    [
        ("one that is silent", Gateway(tells=False), "1 of 2 gateways do not tell what is asked for: look into"),
        ("one of before", Gateway(told=Asked(0, 0, 0.0, 0.0)), "1 of 2 gateways tell nothing of load that can be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_some_gateways_say_is_not_all(case: str, gateway: Gateway, why: str) -> None:
    world = World()
    world.gateways.listed["h"] = gateway
    world.want()
    world.time = 5.0
    world.gateways.tell(arrivals=3)
    assert world.why().startswith(why), case
    gateway.ready = False
    assert world.why() == "the first counts are about to come", "one that takes no requests need not tell"
    world.time = 6.0
    world.gateways.tell(arrivals=2)
    assert world.load().arrivals == 2


def test_a_gateway_that_is_away_for_a_moment_is_waited_for() -> None:
    world = World("g", "h")
    world.want()
    world.time = 10.0
    for name in ("g", "h"):
        world.gateways.tell(name, arrivals=10)
    until = world.load().until - START
    world.gateways.listed["h"].tells = False
    world.time = until + STALE - 1
    world.gateways.tell("g", arrivals=5)
    assert world.load(until).seconds == 0.0
    world.time = until + STALE + 1
    assert "1 of 2 gateways do not tell" in world.why()
    world.gateways.listed["h"].tells = True
    world.gateways.tell("h", arrivals=50)
    load = world.load(until)
    assert (load.since, load.arrivals) == (START + until, 55), "what was counted meanwhile is not lost"


def test_nobody_tells() -> None:
    world = World()
    assert world.why() == "counting has not begun"
    del world.gateways.listed["g"]
    world.want()
    assert world.why().startswith("no built-in gateway takes requests: start one")
    world.gateways.listed["g"] = Gateway()
    assert world.why() == "the first counts are about to come"
    world.time = 1.0
    assert world.load().arrivals == 0
    world.loads.forget(LLAMA)
    assert world.why() == "counting has not begun"


def test_nobody_is_counted_beyond_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SERVICES", 1)
    world = World()
    world.loads.want(QWEN, GATEWAY)
    world.want()
    assert world.why() == "more than 1 services are counted already"


def test_a_clock_that_goes_back_stands_still() -> None:
    world = World()
    world.time = 10.0
    world.want()
    world.time = 12.0
    world.gateways.tell(arrivals=1)
    until = world.load().until
    world.time = 3.0
    world.gateways.tell(arrivals=1)
    assert world.load().until == until
    world.time = 14.0
    assert world.load(12.0).arrivals == 1


acts = st.lists(
    st.tuples(
        st.sampled_from(["tell", "tell", "tell", "again", "restart", "leave", "come", "silence", "look"]),
        st.sampled_from(["g", "h", "i"]),
        st.integers(0, 50),
        st.floats(0.01, 8),
    ),
    max_size=60,
)


@given(acts)
def test_nothing_told_is_lost_and_nothing_counts_twice(history: list[tuple[str, str, int, float]]) -> None:
    """Gateways restart, leave and come back; whoever goes on from where it was told up to gets all that they told."""
    world, truth, pieces, until = World("g", "h"), 0, 0, 0.0
    world.want()

    def read() -> None:
        nonlocal pieces, until
        load, why = world.loads.load(LLAMA, START + until)
        assert (load is None) == bool(why)
        if load is not None:
            assert load.arrivals >= 0 and load.seconds >= 0
            assert load.since == START + until
            pieces, until = pieces + load.arrivals, load.until - START

    for act, name, more, seconds in history:
        world.time += seconds
        there = world.gateways.listed
        match act:
            case "come" if name not in there:
                there[name] = Gateway(boot=str(world.time), began=world.time)
            case "leave":
                there.pop(name, None)
            case "restart" if name in there:
                world.gateways.restart(name)
            case "silence" if name in there:
                there[name].tells = not there[name].tells
            case "tell" | "again" if name in there and there[name].tells:
                more = more if act == "tell" else 0
                world.gateways.tell(name, arrivals=more)
                truth += more
            case "look":
                read()
    world.time += 1
    world.gateways.listed = {"g": Gateway(boot="last", began=world.time)}
    read()
    assert pieces == truth
