"""The room: in order, bounded by deadlines, and nothing that is handed out gets lost."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.outcome import NoReplica, QueueTimeout, Withdrawn
from inferops.gateway.balance.room import Room
from unit.kube.virtualtime import now, run


def late() -> NoReplica:
    return QueueTimeout("too late", 7)


@dataclass
class Shelf:
    """Numbered things that are handed out to those who wait, one each; who wants evens alone is picky."""

    things: deque[int] = field(default_factory=deque)
    turns: list[int] = field(default_factory=list)  # lengths of the room when it told of a change
    room: Room[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.put, lambda: self.turns.append(len(self.room)), now)

    def put(self, *things: int) -> None:
        self.things.extend(things)
        self.room.serve(self.take, lambda want: want == "even")

    def take(self, want: str) -> int | None:
        fitting = [thing for thing in self.things if want == "any" or thing % 2 == 0]
        if not fitting:
            return None
        self.things.remove(fitting[0])
        return fitting[0]

    def waits(self, want: str = "any", seconds: float = 30.0) -> asyncio.Task[int]:
        return asyncio.create_task(self.room.wait(want, seconds, late))


async def turn() -> None:
    """Let everybody run who can."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_first_come_first_served() -> None:
    async def scene() -> None:
        shelf = Shelf()
        waiting = [shelf.waits() for _ in range(3)]
        await turn()
        shelf.put(10, 11)
        await turn()
        assert [task.result() for task in waiting[:2]] == [10, 11]
        assert not waiting[2].done()
        shelf.put(12)
        assert await waiting[2] == 12
        assert now() == 0

    run(scene())


def test_one_who_is_picky_holds_nobody_up_and_keeps_his_place() -> None:
    async def scene() -> None:
        shelf = Shelf()
        picky, other, last = shelf.waits("even"), shelf.waits(), shelf.waits()
        await turn()
        shelf.put(11)
        assert await other == 11
        shelf.put(12)
        assert await picky == 12
        assert not last.done()
        last.cancel()

    run(scene())


def test_a_deadline_is_kept_to_the_moment() -> None:
    async def scene() -> None:
        shelf = Shelf()
        first, second = shelf.waits(seconds=30), shelf.waits(seconds=5)
        with pytest.raises(QueueTimeout) as raised:
            await second
        assert (now(), raised.value.retry_after, len(shelf.room)) == (5, 7, 1)
        shelf.put(1)
        assert await first == 1

    run(scene())


def test_it_tells_when_the_first_begins_to_wait_and_when_none_does() -> None:
    async def scene() -> None:
        shelf = Shelf()
        waiting = [shelf.waits() for _ in range(3)]
        await turn()
        shelf.put(1, 2)
        await turn()
        waiting[2].cancel()
        await turn()
        assert shelf.turns == [1, 0]
        again = shelf.waits(seconds=2)
        with pytest.raises(QueueTimeout):
            await again
        assert shelf.turns == [1, 0, 1, 0]

    run(scene())


def test_all_are_sent_away_at_once() -> None:
    async def scene() -> None:
        shelf = Shelf()
        waiting = [shelf.waits() for _ in range(200)]
        await turn()
        shelf.room.fail(lambda: Withdrawn("gone"))
        assert all(isinstance(said, Withdrawn) for said in await asyncio.gather(*waiting, return_exceptions=True))
        assert (len(shelf.room), now()) == (0, 0)

    run(scene())


def test_what_was_handed_to_one_who_left_in_that_moment_goes_to_the_next() -> None:
    async def scene() -> None:
        shelf = Shelf()
        first, second = shelf.waits(), shelf.waits()
        await turn()
        shelf.put(1)
        first.cancel()  # after it was handed over, before it ran
        assert await second == 1
        assert first.cancelled()

    run(scene())


def test_one_who_left_in_the_moment_before_is_handed_nothing() -> None:
    async def scene() -> None:
        shelf = Shelf()
        first, second = shelf.waits(), shelf.waits()
        await turn()
        first.cancel()
        shelf.put(1)
        assert await second == 1

    run(scene())


acts = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from(["any", "even"])),
        st.tuples(st.just("put"), st.integers(1, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.just(0)),
        st.tuples(st.just("pass"), st.integers(1, 4)),
    ),
    max_size=60,
)


@given(acts)
def test_nothing_is_lost_and_nobody_waits_beside_what_he_could_have(history: list[tuple[str, object]]) -> None:
    run(_walk(history))


async def _walk(history: list[tuple[str, object]]) -> None:
    shelf, put = Shelf(), 0
    waiting: list[tuple[asyncio.Task[int], str]] = []
    for act, with_ in history:
        match act, with_:
            case "wait", str(want):
                waiting.append((shelf.waits(want, seconds=6), want))
            case "put", int(count):
                shelf.put(*range(put, put + count))
                put += count
            case "cancel", int(which) if waiting:
                waiting[which % len(waiting)][0].cancel()
            case "turn", _:
                await turn()
                shelf.put()  # for those who came in meanwhile
                await turn()
                left = [want for task, want in waiting if not task.done()]
                assert len(shelf.room) == len(left)
                assert not (left and any(thing % 2 == 0 for thing in shelf.things))
                assert not ("any" in left and shelf.things)
            case "pass", int(seconds):
                await asyncio.sleep(seconds)
    await asyncio.sleep(7)
    got = [task.result() for task, _ in waiting if not task.cancelled() and task.exception() is None]
    assert sorted([*got, *shelf.things]) == list(range(put))
    assert len(shelf.room) == 0
