"""The stream of who waits: all at first, news within milliseconds, traffic every second, and no reader in the way;
and what replicas have counted, while a service has those of two revisions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiohttp import HttpVersion, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.test_utils import make_mocked_request

from inferops.controller.demandline import counted_of, line_of
from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.signals.demand import MOST_READERS, PATIENCE, TICK, Demand
from inferops.gateway.signals.meters import GONE, Meters
from inferops.gateway.table import Backend, Cluster, Replica, Revision, ServiceKey, Table
from inferops.runtimes import ENGINES
from inferops.signals.cumulative import Tally
from inferops.signals.totals import FIELDS, NONE, Totals
from unit.gateway.metering import record
from unit.kube.virtualtime import now, run

LLAMA, QWEN = ServiceKey("chat", "llama"), ServiceKey("chat", "qwen")
REPLICA = Replica("llama-1", "10.0.0.1:8000")


class Reader(AbstractStreamWriter):
    """Takes lines as they come, unless it hangs or is gone."""

    def __init__(self) -> None:
        self.told: list[tuple[float, dict[str, Any]]] = []
        self.hangs = self.gone = False

    async def write(self, chunk: Any) -> None:
        if self.gone:
            raise ConnectionResetError
        if self.hangs:
            await asyncio.Event().wait()
        line = bytes(chunk)
        assert line.endswith(b"\n") and line.count(b"\n") == 1
        self.told.append((now(), json.loads(line)))

    async def write_eof(self, chunk: bytes = b"") -> None: ...

    async def drain(self) -> None: ...

    def enable_compression(self, *_: Any, **__: Any) -> None: ...

    def enable_chunking(self) -> None: ...

    async def write_headers(self, *_: Any) -> None: ...

    def services(self, since: float = 0.0) -> list[dict[str, Any]]:
        """What it was told of services from then on, heartbeats left out."""
        return [line["services"] for at, line in self.told if at >= since and line["services"]]


def backend(key: ServiceKey, *replicas: Replica) -> Backend:
    revisions = (Revision("aaa", 100, replicas),)
    return Backend(key, ENGINES["vllm"].api, (key.name,), revisions, queue_timeout=3600)


async def ask(fleet: Fleet, seconds: float = 0.0) -> None:
    """One request, which takes so long once it has a replica."""
    pool = fleet.pool(LLAMA)
    assert pool is not None
    lease = await pool.acquire(session=None, affinity=None)
    await asyncio.sleep(seconds)
    lease.done(Outcome.OK)


class Stream:
    """Two services without replicas, and one that reads of them."""

    def __init__(self) -> None:
        self.fleet = Fleet(now, lambda: 0.5)
        self.fleet.update(Table([backend(LLAMA), backend(QWEN)]))
        self.meters = Meters(now, lambda: self.fleet.table, lambda key: 0)
        self.demand = Demand(self.fleet, self.meters, "gateway-0", now)
        self.reader = Reader()

    def read(self, reader: Reader | None = None) -> asyncio.Task[web.StreamResponse]:
        request = make_mocked_request("GET", "/demand", version=HttpVersion(1, 1), writer=reader or self.reader)
        return asyncio.create_task(self.demand.handle(request))

    def wake(self, *replicas: Replica) -> None:
        self.fleet.update(Table([backend(LLAMA, *replicas), backend(QWEN)]))


def played(play: Callable[[Stream], Awaitable[None]]) -> None:
    async def main() -> None:
        await play(Stream())

    run(main())


def test_first_comes_all_that_is_known() -> None:
    async def play(stream: Stream) -> None:
        await asyncio.sleep(7)
        reading = stream.read()
        await asyncio.sleep(0)
        quiet = {"waiting": 0, "inFlight": 0, "idle": 7.0, "load": [0] * FIELDS}
        [(at, line)] = stream.reader.told
        assert at == 7.0
        assert line.pop("boot")
        assert line == {"gateway": "gateway-0", "up": 7.0, "services": {"chat/llama": quiet, "chat/qwen": quiet}}
        reading.cancel()

    played(play)


def test_news_come_within_milliseconds() -> None:
    async def play(stream: Stream) -> None:
        stream.read()
        await asyncio.sleep(10.3)
        asked = now()
        waiting = [asyncio.create_task(ask(stream.fleet)) for _ in range(3)]
        await asyncio.sleep(0.01)
        [line] = stream.reader.services(asked)
        load = line["chat/llama"].pop("load")
        assert line == {"chat/llama": {"waiting": 3, "inFlight": 0, "idle": 0.0}}
        assert 0 < Totals(*load).queued < 0.03
        came = now()
        stream.wake(REPLICA)
        await asyncio.gather(*waiting)
        await asyncio.sleep(0.01)
        [empty] = stream.reader.services(came)
        assert empty["chat/llama"]["waiting"] == 0

    played(play)


def test_traffic_is_told_every_second_and_silence_is_a_heartbeat() -> None:
    async def play(stream: Stream) -> None:
        stream.wake(REPLICA)
        stream.read()
        await asyncio.sleep(5.1)
        began = now()
        await ask(stream.fleet, seconds=2.5)
        await asyncio.sleep(3)
        told = [line["chat/llama"] for line in stream.reader.services(began)]
        assert [each["inFlight"] for each in told] == [1, 1, 0]
        assert [each["idle"] for each in told] == [0.0, 0.0, 0.4]
        ticks = [at for at, _ in stream.reader.told]
        assert ticks == [TICK * number for number in range(len(ticks))], "one a second, whether there is news or not"
        assert all("chat/qwen" not in line for line in stream.reader.services(began))

    played(play)


def test_a_flapping_room_does_not_hold_up_the_ticks() -> None:
    async def play(stream: Stream) -> None:
        stream.read()
        for _ in range(600):
            stream.demand.changed(QWEN)
            await asyncio.sleep(0.005)
        await asyncio.sleep(TICK)
        assert len(stream.reader.told) < 600
        busy = asyncio.create_task(ask(stream.fleet))
        await asyncio.sleep(TICK)
        assert stream.reader.services(now() - TICK)[-1]["chat/llama"]["waiting"] == 1
        busy.cancel()

    played(play)


def test_a_service_that_came_or_went_is_no_trouble() -> None:
    async def play(stream: Stream) -> None:
        stream.read()
        await asyncio.sleep(3.5)
        new = ServiceKey("chat", "new")
        stream.fleet.update(Table([backend(LLAMA), backend(new)]))
        stream.demand.changed(QWEN)
        await asyncio.sleep(TICK)
        assert [set(line) for line in stream.reader.services(3.5)] == [{"chat/new"}]

    played(play)


def test_a_slow_reader_is_dropped_and_others_do_not_notice() -> None:
    async def play(stream: Stream) -> None:
        slow = Reader()
        reading, other = stream.read(slow), stream.read()
        await asyncio.sleep(0)
        slow.hangs = True
        began = now()
        await reading
        assert now() - began <= TICK + PATIENCE
        assert not other.done()
        assert len(stream.reader.told) >= PATIENCE / TICK
        for _ in range(MOST_READERS - 1):
            stream.read(Reader())
        await asyncio.sleep(0)
        assert (await stream.read(Reader())).status == 503, "there is room for so many, the slow one's place included"

    played(play)


def test_a_reader_that_went_away_is_forgotten() -> None:
    async def play(stream: Stream) -> None:
        reading = stream.read()
        await asyncio.sleep(0)
        stream.reader.gone = True
        await asyncio.sleep(2 * TICK)
        assert reading.done()

    played(play)


def test_closing_ends_every_stream() -> None:
    async def play(stream: Stream) -> None:
        readings = [stream.read(Reader()) for _ in range(3)]
        await asyncio.sleep(0.1)
        stream.demand.close()
        await asyncio.wait(readings, timeout=0.1)
        assert all(each.done() for each in readings)

    played(play)


def test_what_was_asked_of_a_service_is_told() -> None:
    async def play(stream: Stream) -> None:
        stream.wake(REPLICA)
        stream.read()
        await asyncio.sleep(1.2)
        stream.meters.needed(LLAMA)
        await ask(stream.fleet, seconds=2.5)
        values = {"stream": True, "first": 0.5, "duration": 2.5, "tokens_in": 7, "tokens_out": 5}
        stream.meters.finished(record("aaa", key=LLAMA, arrived=1.2, **values), backend(LLAMA, REPLICA))
        await asyncio.sleep(1)
        told = [Totals(*line["chat/llama"]["load"]) for line in stream.reader.services(1.1)]
        assert [(each.arrivals, each.busy, each.ended) for each in told] == [(1, 0.8, 0), (1, 1.8, 0), (1, 2.5, 1)]
        last = NONE._replace(arrivals=1, ended=1, busy=2.5, tokens_in=7, tokens_out=5, counted=1)
        assert told[-1] == last._replace(ttft=0.5, firsts=1, tpot=0.5, paced=1)

    played(play)


def test_what_other_clusters_answer_is_told_apart_and_as_a_need() -> None:
    """Else a service at zero would not wake, since nobody waits for it."""

    async def play(stream: Stream) -> None:
        near = replace(backend(LLAMA), spillover=(Cluster("eu", "http://eu"),))
        stream.fleet.update(Table([near, backend(QWEN)]))
        stream.read()
        await asyncio.sleep(5.5)
        began, pool = now(), stream.fleet.pool(LLAMA)
        assert pool is not None
        pool.away(1)
        pool.spilled()
        pool.away(-1)
        await asyncio.sleep(0.01)
        [line] = stream.reader.services(began)
        assert line["chat/llama"]["waiting"] == 1
        assert Totals(*line["chat/llama"]["load"]) == NONE._replace(spilled=1)
        await asyncio.sleep(6)
        told = [line["chat/llama"]["waiting"] for line in stream.reader.services(began)]
        assert told == [1, 1, 1, 0], "it is told that it is over, and then nothing any more"

    played(play)


def test_whoever_gave_up_is_told_of_though_nobody_is_there() -> None:
    async def play(stream: Stream) -> None:
        stream.read()
        await asyncio.sleep(5.5)
        gone = record("", key=LLAMA, arrived=1.5, duration=4.0, queued=4.0, status=499, attempts=0)
        stream.meters.finished(gone, replace(backend(LLAMA), ttft=0.5))
        await asyncio.sleep(1)
        [line] = stream.reader.services(5.5)
        assert Totals(*line["chat/llama"]["load"]) == NONE._replace(judged=1, missed=1)

    played(play)


def rollout(stream: Stream, *canaries: Replica) -> None:
    """Llama's revision aaa with a replica beside bbb with these."""
    both = (Revision("aaa", 90, (REPLICA,)), Revision("bbb", 10, canaries))
    llama = Backend(LLAMA, ENGINES["vllm"].api, ("llama",), both)
    stream.fleet.update(Table([llama, backend(QWEN)]))


def attempt(stream: Stream, revision: str, pod: str, outcome: Outcome) -> None:
    stream.meters.began(LLAMA, revision, pod)
    stream.meters.attempt(LLAMA, revision, pod, outcome)


CANARY = Replica("llama-2", "10.0.0.2:8000")


def test_replicas_of_two_revisions_are_told_of() -> None:
    async def play(stream: Stream) -> None:
        stream.wake(REPLICA)
        stream.read()
        attempt(stream, "aaa", "llama-1", Outcome.OK)
        await asyncio.sleep(2.5)
        assert all("replicas" not in told for line in stream.reader.services() for told in line.values())
        rollout(stream, CANARY)
        await asyncio.sleep(1)
        begins = {"aaa": {"llama-1": [1, 0, 0, 0, 0, 0, 1, 0]}, "bbb": {"llama-2": [0] * 8}}
        [line] = stream.reader.services(2.5)
        assert line["chat/llama"]["replicas"] == begins, "told before the canary has any request"
        await asyncio.sleep(2)
        assert stream.reader.services(3.5) == [], "and once"
        for outcome in (Outcome.FAILED, Outcome.GONE, Outcome.REFUSED, Outcome.TIMEOUT, Outcome.CLIENT):
            attempt(stream, "bbb", "llama-2", outcome)
        series = stream.meters.series(LLAMA, "bbb", "llama-2")
        series.judge(1, False)
        series.judge(2, True)
        stream.meters.began(LLAMA, "bbb", "llama-2")
        await ask(stream.fleet)
        await asyncio.sleep(1)
        [line] = stream.reader.services(5.5)
        assert line["chat/llama"]["replicas"]["bbb"] == {"llama-2": [3, 2, 1, 0, 1, 1, 6, 1]}

    played(play)


def test_the_operator_reads_what_is_told() -> None:
    async def play(stream: Stream) -> None:
        rollout(stream, CANARY)
        for outcome in (Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.GONE):
            attempt(stream, "bbb", "llama-2", outcome)
        stream.meters.series(LLAMA, "bbb", "llama-2").judge(1, True)
        stream.meters.began(LLAMA, "bbb", "llama-2")
        stream.read()
        await asyncio.sleep(0)
        line = line_of(json.dumps(stream.reader.told[0][1]).encode())
        assert line is not None
        assert line.boot
        counted, dropped = counted_of(line.services["chat/llama"]["replicas"])
        assert counted is not None
        assert dropped == 0
        assert counted.revisions == {"llama-1": "aaa", "llama-2": "bbb"}
        assert counted.tallies == {"llama-1": Tally(), "llama-2": Tally((2, 0, 0), (1, 1, 0), 5)}
        assert counted.in_flight == {"llama-1": 0, "llama-2": 1}

    played(play)


def test_a_replica_that_crashes_is_told_of_for_a_while() -> None:
    async def play(stream: Stream) -> None:
        rollout(stream, CANARY)
        stream.meters.look()
        stream.read()
        attempt(stream, "bbb", "llama-2", Outcome.UNREACHABLE)
        rollout(stream)
        await asyncio.sleep(1.5)
        await ask(stream.fleet)
        await asyncio.sleep(1)
        told = stream.reader.services()[-1]["chat/llama"]["replicas"]
        assert told["bbb"] == {"llama-2": [1, 1, 0, 0, 0, 0, 1, 0]}
        stream.meters.look()
        await asyncio.sleep(GONE)
        stream.meters.look()
        await ask(stream.fleet)
        await asyncio.sleep(1)
        assert "replicas" not in stream.reader.services()[-1]["chat/llama"], "one revision is left that has replicas"
        assert {name[1] for name in stream.meters.of(LLAMA)} == {"aaa"}

    played(play)


def test_each_start_has_an_id_of_its_own() -> None:
    async def play(stream: Stream) -> None:
        other = Reader()
        stream.read()
        request = make_mocked_request("GET", "/demand", version=HttpVersion(1, 1), writer=other)
        again = asyncio.create_task(Demand(stream.fleet, stream.meters, "gateway-0", now).handle(request))
        await asyncio.sleep(1.5)
        ids = [{line["boot"] for _, line in reader.told} for reader in (stream.reader, other)]
        assert [len(each) for each in ids] == [1, 1]
        assert ids[0] != ids[1]
        again.cancel()

    played(play)
