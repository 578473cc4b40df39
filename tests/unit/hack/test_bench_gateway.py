"""The benchmark of the gateway: its figures, what it takes for a whole answer, and its engine and load together."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import bench_gateway_load
import bench_gateway_quiet
from bench_gateway_backend import COMPLETION, Engine
from bench_gateway_figures import added, percentile, slope
from bench_gateway_load import Address, Answers, Streams, closed, complete, steady, stream
from bench_gateway_profile import package
from bench_gateway_quiet import ALLOWED, TRIES, Quiet, busy, others
from bench_gateway_targets import NAMESPACE, SERVICE, requests, resources
from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.sources.files import Files
from inferops.gateway.table import ServiceKey

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1), st.floats(0, 1))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) <= share * len(values)


def test_of_nothing_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))


@given(st.lists(st.integers(0, 10_000), min_size=2, unique=True), st.integers(-100, 100), st.integers(-100, 100))
def test_the_slope_of_a_line_is_found(at: list[int], start: int, grows: int) -> None:
    assert slope([(float(x), float(start + grows * x)) for x in at]) == pytest.approx(grows, abs=1e-6)


def test_what_does_not_change_or_is_one_value_has_no_slope() -> None:
    assert slope([(1.0, 5.0)]) == slope([]) == slope([(1.0, 5.0), (2.0, 5.0), (9.0, 5.0)]) == 0


def test_what_is_added_is_compared_round_by_round() -> None:
    """The second round was slow for both, which adds nothing."""
    assert added([1.5, 9.5, 1.4], [1.0, 9.0, 1.0]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("answer", "is_complete"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", False),
        (COMPLETION, True),
    ],
)
def test_complete(answer: bytes, is_complete: bool) -> None:
    assert complete(answer) is is_complete


@pytest.fixture
async def address() -> AsyncIterator[Address]:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(partial(Engine, loop), "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield host, port


async def test_engine_and_load_understand_each_other(address: Address) -> None:
    small, flowing = requests(), requests(stream=True, max_tokens=3)
    for told in (await closed(address, small, 2, 0.02), await steady(address, small, 2, 500, 0.02)):
        assert isinstance(told, Answers) and told.times and not told.failed
    streams = await stream(address, flowing, 3, 3)
    assert isinstance(streams, Streams) and (streams.asked, streams.whole, len(streams.delays)) == (3, 3, 9)
    assert all(delay >= 0 for delay in streams.delays)


async def test_a_stream_that_lacks_tokens_is_broken(address: Address) -> None:
    told = await stream(address, requests(stream=True, max_tokens=2), 2, 3)
    assert (told.asked, told.whole, len(told.delays)) == (2, 0, 4)


async def test_an_answer_that_is_an_error_has_failed(address: Address) -> None:
    told = await steady(address, [b"GET /nothing HTTP/1.1\r\n\r\n"], 1, 500, 0.02)
    assert told.failed == 10 and not told.times


async def test_a_process_that_gets_no_time_still_asks_all_that_is_due(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = count()  # one passes between any two looks at the clock
    monkeypatch.setattr(bench_gateway_load, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    told = await steady(address, requests(), 1, 500, 0.02)
    assert len(told.times) == 10


async def test_the_gateway_reads_its_resources(tmp_path: Path) -> None:
    """Replicas, weights, keys and limits are in force as they are measured."""
    (tmp_path / "resources.yaml").write_text(yaml.safe_dump_all(resources(["127.0.0.1:7001", "127.0.0.1:7002"])))
    fleet = Fleet(lambda: 0.0)
    Files([tmp_path], fleet)
    backend = fleet.table.by_key[ServiceKey(NAMESPACE, SERVICE)]
    (revision,) = backend.revisions
    assert {replica.address for replica in revision.replicas} == {"127.0.0.1:7001", "127.0.0.1:7002"}
    assert revision.weight == 100 and revision.usd_per_hour == 2.5
    assert backend.access is not None and backend.access.limits.tokens_per_minute
    assert backend.max_concurrency == 1000 and backend.session_header


STAT = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 10 200 5000 30 1 2 7 0 0\ncpu1 1 0 2 9000 0 0 0 0 0 0\nintr 5\n"


def test_busy_leaves_out_idle_and_waiting() -> None:
    tick = os.sysconf("SC_CLK_TCK")
    assert busy(STAT, (0,)) == pytest.approx(320 / tick)
    assert busy(STAT, (0, 1)) == pytest.approx(323 / tick)
    assert busy(STAT, (7,)) == 0


def test_others_are_what_is_busy_and_not_ours() -> None:
    assert others((10.0, 5.0, 1.0), (14.0, 8.0, 2.0)) == pytest.approx(0.5)
    assert others((10.0, 5.0, 1.0), (14.0, 6.0, 2.5)) == 0, "clocks are coarse"


@pytest.mark.parametrize(
    ("shares", "kept", "tries"),
    [
        ([0.0], 0, 1),
        ([0.5, 0.2, ALLOWED, 0.0], 2, 3),
        ([0.5] * (TRIES - 1) + [0.4], TRIES - 1, TRIES),
        ([0.4] + [0.5] * (TRIES - 1), 0, TRIES),
    ],
)
def test_the_quietest_measurement_counts(
    shares: list[float], kept: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(shares)
    monkeypatch.setattr(bench_gateway_quiet, "others", lambda before, after: next(left))
    numbers = iter(range(100))
    quiet = Quiet((0,), ())
    assert quiet.measured(lambda: next(numbers), pause=lambda seconds: None) == kept
    assert (quiet.tries, quiet.shares) == (tries, [shares[kept]])
    assert f"{tries - 1} more were repeated" in quiet.told()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/x/operator/inferops/gateway/balance/pool.py", "inferops.gateway.balance.pool"),
        ("/x/lib/python3.11/site-packages/aiohttp/web.py", "aiohttp"),
        ("/x/lib/python3.11/json/decoder.py", "stdlib json.decoder"),
        ("~", "built-in"),
    ],
)
def test_package(file: str, name: str) -> None:
    assert package((file, 1, "f")) == name
