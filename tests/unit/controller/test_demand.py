"""The gateways' streams: what they tell is put together, wakes at once, and does no harm where it is broken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller import demand as module
from inferops.controller.demandline import asked_of, counted_of, line_of, name_of
from inferops.controller.store import Key
from inferops.core.observation import Demand
from inferops.signals.cumulative import Tally
from unit.controller.telling import LLAMA, QWEN, bench, boot, line, told


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how long these are."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(module, "GATHER", 0.02)


async def test_all_gateways_together() -> None:
    async with bench(2) as (world, [first, second]):
        first.say(line(llama=told(waiting=2, in_flight=1), qwen=told(idle=70.0)))
        await world.becomes(Demand(waiting=2, in_flight=1, idle=None))
        second.say(line(llama=told(in_flight=3, idle=0.0), qwen=told(idle=50.0)))
        await world.becomes(Demand(waiting=2, in_flight=4, idle=0.0))
        assert world.demands.of(QWEN) == Demand(idle=50.0)
        assert world.demands.telling == 2
        world.time += 2
        first.say(line())
        second.say(line(qwen=told(idle=0.5)))
        await world.becomes(Demand(idle=0.5), QWEN)
        world.time += 1
        assert world.demands.of(QWEN) == Demand(idle=1.5), "what is not mentioned had no request since"


async def test_a_silent_gateway_is_no_word() -> None:
    async with bench(2) as (world, [first, second]):
        first.say(line(llama=told(idle=600.0)))
        second.say(line(llama=told(idle=600.0)))
        await world.becomes(Demand(idle=600.0))
        world.time += 5.5
        first.say(line())
        await world.becomes(Demand(idle=None))
        world.time += 6
        assert world.demands.of(LLAMA) is None and world.demands.telling == 0


async def test_one_that_is_gone_is_asked_again_from_the_start() -> None:
    async with bench() as (world, [gateway]):
        gateway.say(line(llama=told(idle=600.0)))
        await world.becomes(Demand(idle=600.0))
        gateway.end()
        await world.becomes(None)
        gateway.say(line(qwen=told(idle=3.0)))
        await world.becomes(Demand(idle=3.0), QWEN)
        assert world.demands.of(LLAMA) is None, "what it told before it ended is not known any more"
        assert gateway.asked == 2


@pytest.mark.parametrize("status", [302, 404, 503])
async def test_one_that_refuses_is_asked_again(status: int) -> None:
    async with bench(0) as (world, _):
        gateway = await world.start()
        gateway.status = status
        world.list()
        await world.until(lambda: gateway.asked)
        gateway.status = 200
        gateway.say(line(llama=told(idle=1.0)))
        await world.becomes(Demand(idle=1.0))
        gateway.end()


async def test_one_on_its_way_out_counts_with_what_it_has() -> None:
    async with bench(2) as (world, [stays, leaves]):
        stays.say(line(llama=told(idle=600.0)))
        leaves.say(line(llama=told(in_flight=1)))
        await world.becomes(Demand(in_flight=1, idle=0.0))
        world.list(leaves)
        assert world.demands.of(LLAMA) == Demand(in_flight=1, idle=0.0), "its streams still run"
        leaves.end()
        await world.becomes(Demand(idle=600.0))
        assert world.demands.addresses == ("10.0.0.0:8080",)


async def test_who_sleeps_is_woken_at_once_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER", 60.0)
    async with bench() as (world, [gateway]):
        world.asleep = {LLAMA}
        gateway.say(line(llama=told(idle=600.0), qwen=told(waiting=1)))
        await world.becomes(Demand(waiting=1, idle=0.0), QWEN)
        assert world.added == []
        gateway.say(line(llama=told(waiting=1), other=told(waiting=1)))
        await world.until(lambda: world.added)
        assert world.added == [LLAMA]
        assert world.demands.asked(LLAMA) and world.demands.asked(QWEN)
        gateway.say(line(llama=told(idle=0.5), qwen=told(in_flight=1)))
        await world.becomes(Demand(idle=0.5))
        assert not world.demands.asked(LLAMA) and world.demands.asked(QWEN)


async def test_whoever_depends_on_the_gateways_is_told_of_them_once() -> None:
    async with bench(2) as (world, [first, second]):
        await world.until(lambda: world.added)
        assert sorted(world.added) == [LLAMA, QWEN], "there is a gateway now"
        world.added.clear()
        first.say(line(llama=told()))
        second.say(line(llama=told()))
        await world.until(lambda: world.added)
        assert world.added == [LLAMA], "both tell now"


@pytest.mark.parametrize(
    ("case", "text", "dropped"),
    [
        ("no JSON", b"hello", "line"),
        ("no text", b"\xff\xfe\x00", "line"),
        ("a list", b"[1, 2]", "line"),
        ("no services", b'{"gateway": "g"}', "line"),
        ("a list of services", b'{"services": ["chat/llama"]}', "line"),
        ("deeply nested", b"[" * 100_000, "line"),
        ("a negative number", line(llama=told(waiting=-1)), "service"),
        ("a number without end", b'{"services": {"chat/llama": {"waiting": 1, "inFlight": 0, "idle": Infinity}}}',
         "service"),
        ("a number beyond all measure", line(llama=told(in_flight=10**300)), "service"),
        ("half a request", line(llama={**told(), "waiting": 0.5}), "service"),
        ("a truth", line(llama={**told(), "waiting": True}), "service"),
        ("a text", line(llama={**told(), "idle": "0"}), "service"),
        ("nothing", line(llama=None), "service"),
        ("no name", b'{"services": {"chat": {"waiting": 1, "inFlight": 0, "idle": 0}}}', "service"),
        ("a name too long", b'{"services": {"chat/' + b"x" * 400 + b'": {}}}', "service"),
    ],
    ids=lambda value: value if isinstance(value, str) and value not in ("line", "service") else "",
)  # fmt: skip
async def test_what_is_broken_is_dropped_and_counted(
    case: str, text: bytes, dropped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER", 60.0)
    async with bench() as (world, [gateway]):
        world.asleep = {LLAMA}
        gateway.say(line(qwen=told(idle=600.0)))
        gateway.say(text)
        gateway.say(line(qwen=told(idle=9.0)))
        await world.becomes(Demand(idle=9.0), QWEN)
        assert world.dropped == [dropped]
        assert world.demands.of(LLAMA) is None and world.added == []
        assert gateway.asked == 1


async def test_what_is_broken_of_a_service_takes_its_word_away() -> None:
    async with bench() as (world, [gateway]):
        gateway.say(line(llama=told(idle=600.0)))
        await world.becomes(Demand(idle=600.0))
        gateway.say(line(llama={"idle": "soon"}))
        await world.becomes(None)


async def test_a_line_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE", 100_000)
    async with bench() as (world, [gateway]):
        gateway.lines.put_nowait(b"x" * 300_000)
        await world.until(lambda: world.dropped)
        gateway.end()
        gateway.say(line(llama=told(idle=1.0)))
        await world.becomes(Demand(idle=1.0))
        assert world.dropped == ["line"]


async def test_names_that_nobody_has_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    async with bench() as (world, [gateway]):
        gateway.say(line(**{f"made-up-{number}": told() for number in range(25)}))
        gateway.say(line(llama=told(idle=7.0)))
        await world.becomes(Demand(idle=7.0))
        for number in range(30):
            world.known.add(Key("InferenceService", "chat", f"real-{number}"))
        gateway.say(line(**{f"real-{number}": told() for number in range(30)}, llama=told(idle=8.0)))
        await world.becomes(Demand(idle=8.0))
        assert set(world.dropped) == {"service"}


async def test_a_new_leader_waits_for_their_word_and_not_for_long() -> None:
    async with bench() as (world, [gateway]):
        await world.demands.heard(0.05)
        assert world.demands.telling == 0
        gateway.say(line())
        await world.demands.heard(5)
        assert world.demands.telling == 1


def counting(**replicas: Any) -> dict[str, Any]:
    return {**told(), "replicas": replicas}


STABLE, CANARY = [90, 1, 80, 2, 70, 3, 95, 4], [10, 10, 0, 0, 0, 0, 12, 0]


async def test_what_replicas_have_counted_is_handed_on() -> None:
    async with bench(2) as (world, [first, second]):
        first.say(boot("one", llama=counting(aaa={"llama-1": STABLE}, bbb={"llama-2": CANARY}), qwen=told()))
        await world.until(lambda: world.counted)
        [(key, start, counted)] = world.counted
        assert key == LLAMA
        assert counted.revisions == {"llama-1": "aaa", "llama-2": "bbb"}
        assert counted.tallies["llama-1"] == Tally((89, 78, 67), (1, 2, 3), 95)
        assert counted.tallies["llama-2"] == Tally((0, 0, 0), (10, 0, 0), 12)
        assert counted.in_flight == {"llama-1": 4, "llama-2": 0}
        assert world.demands.counts(LLAMA) == {start: counted}
        assert world.demands.counts(QWEN) == {}
        second.say(boot("two", llama=counting(aaa={"llama-1": STABLE})))
        await world.until(lambda: len(world.counted) == 2)
        assert len(world.demands.counts(LLAMA)) == 2
        first.say(boot("one", llama=told()))
        await world.until(lambda: len(world.demands.counts(LLAMA)) == 1)  # its rollout has ended, for this one
        world.time += 6
        assert world.demands.counts(LLAMA) == {}, "nobody tells any more"


async def test_each_start_of_a_gateway_counts_for_itself() -> None:
    async with bench() as (world, [gateway]):
        for name in ("one", "one", "two"):
            gateway.say(boot(name, llama=counting(aaa={"llama-1": STABLE})))
        gateway.say(line(llama=counting(aaa={"llama-1": STABLE})))
        gateway.say(boot("not an id", llama=counting(aaa={"llama-1": STABLE})))
        gateway.say(line(qwen=told(idle=3.0)))
        await world.becomes(Demand(idle=3.0), QWEN)
        starts = [start for _, start, _ in world.counted]
        assert len(starts) == 3, "who does not say which start of it counts, is not comparable"
        assert starts[0] == starts[1] != starts[2]


@pytest.mark.parametrize(
    ("case", "replicas", "dropped", "left"),
    [
        ("no replicas", None, 1, None),
        ("a list", [], 1, None),
        ("a list of pods", {"aaa": ["llama-1"]}, 1, None),
        ("revisions without number", {f"r{number}": {} for number in range(17)}, 1, None),
        ("replicas without number", {"aaa": {f"llama-{number}": STABLE for number in range(1001)}}, 1, None),
        ("a hash that is none", {"../../etc": {"llama-1": STABLE}}, 1, {}),
        ("a pod that is none", {"aaa": {"x" * 254: STABLE, "A b": STABLE, "llama-1": STABLE}}, 2, {"llama-1": "aaa"}),
        ("a pod of two revisions", {"aaa": {"p": STABLE}, "bbb": {"p": STABLE}}, 1, {"p": "aaa"}),
        ("too few numbers", {"aaa": {"p": STABLE[:7]}}, 1, {}),
        ("more bad than judged", {"aaa": {"p": [1, 2, 0, 0, 0, 0, 2, 0], "q": CANARY}}, 1, {"q": "aaa"}),
        ("a negative number", {"aaa": {"p": [1, -1, 0, 0, 0, 0, 2, 0]}}, 1, {}),
        ("half a request", {"aaa": {"p": [1, 0.5, 0, 0, 0, 0, 2, 0]}}, 1, {}),
        ("a truth", {"aaa": {"p": [True, 0, 0, 0, 0, 0, 2, 0]}}, 1, {}),
        ("a number beyond all measure", {"aaa": {"p": [10**300, 0, 0, 0, 0, 0, 2, 0]}}, 1, {}),
        ("more there than ever came", {"aaa": {"p": [0, 0, 0, 0, 0, 0, 2, 3]}}, 1, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_broken_counts_are_dropped_and_the_demand_is_not(
    case: str, replicas: Any, dropped: int, left: dict[str, str] | None
) -> None:
    async with bench() as (world, [gateway]):
        gateway.say(boot("one", llama={**told(waiting=2), "replicas": replicas}))
        await world.becomes(Demand(waiting=2, idle=0.0))
        assert world.dropped == ["replica"] * dropped
        assert [counted.revisions for _, _, counted in world.counted] == ([left] if left is not None else [])


async def test_a_gateway_may_tell_of_so_many_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REPLICAS", 10)
    many = {f"p{number}": STABLE for number in range(6)}
    async with bench() as (world, [gateway]):
        gateway.say(boot("one", llama=counting(aaa=many), qwen=counting(aaa=many)))
        gateway.say(boot("one", llama=counting(aaa={"p": STABLE}), qwen=counting(aaa=many)))
        await world.until(lambda: len(world.counted) == 3)
        assert [key for key, _, _ in world.counted] == [LLAMA, LLAMA, QWEN]
        assert world.dropped == ["replica"]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_dropped(text: bytes) -> None:
    line = line_of(text)
    assert line is None or isinstance(line.services, dict)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
words = st.dictionaries(st.sampled_from(["waiting", "inFlight", "idle", "x"]), anything, max_size=4)


@given(anything | words)
def test_whatever_is_told_of_a_service_is_a_number_or_nothing(what: Any) -> None:
    asked = asked_of(what, 5.0)
    if asked is not None:
        assert asked.waiting >= 0 and asked.in_flight >= 0 and 0 <= asked.idle < float("inf")


numbers = st.lists(st.integers(-1, 20) | anything, min_size=7, max_size=9)


@given(anything | st.dictionaries(st.sampled_from(["aaa", "b", ""]), st.dictionaries(st.text(max_size=3), numbers)))
def test_whatever_is_told_of_replicas_is_sane_or_nothing(what: Any) -> None:
    counted, _ = counted_of(what)
    if counted is not None:
        assert counted.revisions.keys() == counted.tallies.keys() == counted.in_flight.keys()
        assert all(each >= 0 for tally in counted.tallies.values() for each in tally.flat())


@given(st.text(max_size=30))
def test_a_name_has_two_parts(text: str) -> None:
    name = name_of(text)
    assert name is None or ("/".join(name) == text and all(name) and not any("/" in part for part in name))
