"""One request and any clusters, by a script: asked in order, each once a round, and never after the first byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.proxy.call import Call
from inferops.gateway.proxy.deadlines import Deadline
from inferops.gateway.proxy.errors import ApiError
from inferops.gateway.proxy.hop import Hop
from inferops.gateway.proxy.relay import Relay
from inferops.gateway.proxy.retries import BROKEN, Budget, Tries
from inferops.gateway.proxy.spill import MOST, Spill, Spilling
from inferops.gateway.proxy.upstream import Answer, Broken, Unreached, Upstream
from inferops.gateway.signals.record import Record
from unit.gateway.clusters import neighbours
from unit.gateway.metering import World
from unit.gateway.pools import KEY, backend, pool_of

# What a cluster does, and whether a replica may have broken on the request.
ENDS = {
    "nobody there": False,
    "cut off": True,
    "refused": False,
    "denied": False,
    "failed": True,
    "no gateway": False,
    "broken before": True,
    "broken after": True,
    "answered": False,
}
SENT = ("broken after", "answered")  # the client has something of it


@dataclass
class Far:
    """An answer of another gateway."""

    does: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    async def piece(self) -> bytes:
        return b""

    def close(self) -> None: ...


@dataclass
class Clusters:
    """Clusters that do as they are told, and a client that sees what is sent."""

    script: list[str]
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)  # what had been sent to the client when each was asked

    async def send(self, address: str, head: bytes, body: bytes, bodiless: bool = False) -> Answer:
        assert not self.sent, "its client has the first bytes of another answer"
        does = self.script[len(self.asked)]
        self.asked.append(address)
        if does in ("nobody there", "cut off"):
            raise Unreached(does, sent=does == "cut off")
        replica = {} if does in ("denied", "no gateway") else {"Inferops-Revision": "aaa"}
        status = {"refused": 503, "failed": 500, "denied": 401}.get(does, 200)
        return cast(Answer, Far(does, status, replica))

    async def answer(self, call: Call, answer: Answer, asked: object) -> Outcome:
        does = cast(Far, answer).does
        if does == "broken before":
            raise Broken(does)
        self.sent.append(does)
        call.reply = web.StreamResponse()
        return Outcome.OK if does == "answered" else Outcome.FAILED


def call_of(hop: Hop | None) -> Call:
    record = Record(0.0, method="POST", key=KEY)
    deadline = cast(Deadline, type("Never", (), {"at": 3600.0})())
    return Call(cast(Any, None), record, deadline, lambda: False, target=b"/v1/completions", hop=hop)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.lists(st.sampled_from(list(ENDS)), min_size=30, max_size=30), st.booleans())
def test_each_is_asked_once_a_round_and_none_after_the_first_byte(count: int, script: list[str], guest: bool) -> None:
    async def play() -> None:
        now = 0.0
        urls = [f"http://c{number}" for number in range(count)]
        pool = pool_of(lambda: now, backend(spillover=neighbours(*urls)))
        world, counters = Clusters(script), World()
        spill = Spill(cast(Upstream, world), counters.meters, cast(Relay, world), lambda: now)
        call = call_of(Hop() if guest else None)
        spilling = Spilling(pool, call.hop, lambda: now)
        tries, budget, rounds, done = Tries(), Budget(lambda: now), 0, False
        budget.request()
        while not done and rounds < 20:
            before, rounds = len(world.asked), rounds + 1
            try:
                done = await spill.answer(call, pool, spilling, tries, budget)
            except ApiError:
                done = True
            asked = world.asked[before:]
            assert asked == sorted(set(asked)), "the nearest first, each of them once"
            now += 60.0
        ends = script[: len(world.asked)]
        assert len(ends) <= MOST
        assert sum(ENDS[end] for end in ends) <= BROKEN
        assert not guest or not ends, "what was passed on goes no further"
        assert [end for end in ends if end in SENT] == world.sent == [end for end in ends[-1:] if end in SENT]
        assert (call.reply is not None) == bool(world.sent) == bool(call.record.spilled)
        assert (pool.waiting, pool.overflow.away) == (0, 0)
        told = counters.meters.services[KEY].spilled if ends else {}
        assert sum(told.values()) == len(ends)
        for number, end in enumerate(ends):
            assert end != "denied" or world.asked[number] not in world.asked[number + 1 :]

    asyncio.run(play())
