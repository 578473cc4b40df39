"""Metrics asked of pods: what they tell is read, and what they do instead does no harm to others."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from inferops.runtimes import ENGINES
from inferops.runtimes.base import Metrics
from inferops.signals import pods as module
from inferops.signals.pods import Pods, parsed, samples
from inferops.signals.reading import Reading, Sample, Target, names, readout
from unit.signals.scraped import Handler, fixture, serving

VLLM = ENGINES["vllm"].metrics
PAGE = fixture("vllm-0.32.0-metrics-after")


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    made = Pods()
    yield made
    await made.close()


def target(port: int, **addresses: str) -> Target:
    return Target("chat", addresses or {"llama-1": "127.0.0.1"}, VLLM, port, 0.8, 0.05)


async def test_what_pods_tell(pods: Pods) -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers))
        return web.Response(body=PAGE)

    async with serving(handle) as port:
        answers = await pods.read({"llama": target(port, a="127.0.0.1", b="127.0.0.1"), "qwen": target(port)})
    llama = answers["llama"]
    assert isinstance(llama, Reading)
    assert {pod: tally.requests for pod, tally in llama.tallies.items()} == {"a": 40, "b": 40}
    assert isinstance(answers["qwen"], Reading)
    assert {path for path, _ in asked} == {"/metrics"}
    assert {headers["Accept-Encoding"] for _, headers in asked} == {"identity"}


async def test_some_of_a_service_are_enough(pods: Pods) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=PAGE)

    async with serving(handle) as port:
        answers = await pods.read({"llama": target(port, a="127.0.0.1", b="not an address", c="127.0.0.1")})
    assert isinstance(answers["llama"], Reading)
    assert set(answers["llama"].tallies) == {"a", "c"}
    assert await pods.read({"llama": target(port)}) == {
        "llama": "no pod tells: llama-1 does not answer: ClientConnectorError"
    }
    assert await pods.read({}) == {}
    assert await pods.read({"llama": Target("chat", {}, VLLM, port)}) == {
        "llama": "no pod tells: none could be asked in time"
    }


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1000):
        await response.write(b"vllm:num_requests_running 1\n" * 1000)
    return response


async def packed(request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"x" * 10**6), headers={"Content-Encoding": "gzip"})


async def elsewhere(request: web.Request) -> web.Response:
    raise web.HTTPFound("/metrics/other")


async def broken(request: web.Request) -> web.Response:
    return web.Response(status=500, body=PAGE)


async def torn(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"vllm:")
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize(
    ("handle", "why"),
    [
        (endless, "answers more than 1 MiB"),
        (packed, "answers compressed, though nobody asked for that"),
        (elsewhere, "answers 302"),
        (broken, "answers 500"),
        (torn, "does not answer: ClientPayloadError"),
    ],
)
async def test_who_misbehaves_is_not_read(
    handle: Handler, why: str, pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY", 2**20)
    async with serving(handle) as port:
        assert await pods.read({"llama": target(port)}) == {"llama": f"no pod tells: llama-1 {why}"}


async def test_who_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 4)
    monkeypatch.setattr(module, "ROUND", 0.3)
    held = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        if request.path.startswith("/metrics"):
            await held.wait()
        return web.Response(body=PAGE)

    pods = Pods()
    async with serving(handle) as port:
        stuck = target(port, a="127.0.0.1", b="127.0.0.1", c="127.0.0.1")
        answers = await pods.read({"stuck": stuck})
        assert answers == {"stuck": "no pod tells: none could be asked in time"}
        held.set()
        assert isinstance((await pods.read({"stuck": stuck}))["stuck"], Reading), "and may tell later"
    await pods.close()


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_passed_over(body: bytes) -> None:
    metrics = Metrics(VLLM.endpoint, succeeded="a", ttft="b")
    for page in (body, b"a{" + body, b"a " + body, b'b_bucket{le="' + body + b'"} 1', b'a{x="1"} ' + body):
        told = readout(samples(page, names(metrics)), metrics)
        assert told.good >= 0
        assert all(count >= 0 for count in told.ttft.values())


def test_only_what_is_wanted_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES", 3)
    monkeypatch.setattr(module, "LINE", 100)
    page = b'# HELP a A.\n# TYPE a counter\naa 1\na 1\na{x="' + b"y" * 100 + b'"} 9\na{x="1"} 2\nb 7\na nonsense\na 3\n'
    assert list(samples(page, frozenset({"a"}))) == [("a", {}, 1.0), ("a", {"x": "1"}, 2.0)]
    assert list(samples(PAGE, frozenset())) == []
    assert {name for name, _, _ in samples(PAGE, names(VLLM))} <= names(VLLM)


names_ = st.from_regex("[a-zA-Z_:][a-zA-Z0-9_:]{0,5}", fullmatch=True).filter(lambda name: name not in ("NaN", "Inf"))
labels_ = st.dictionaries(st.from_regex("[a-zA-Z][a-zA-Z0-9_]{0,5}", fullmatch=True), st.text("ab1 ,={}", max_size=6))
values_ = st.sampled_from(["0", "12", "12.5", "1e+06", "1.5e-05", "+Inf", "NaN", "-3", "1795249288.5"])


@given(names_, labels_, values_, st.booleans())
@example("a", {"le": "+Inf"}, "4.0", False)
def test_the_usual_line_is_read_as_the_library_reads_it(
    name: str, labels: dict[str, str], value: str, comma: bool
) -> None:
    told = ",".join(f'{label}="{word}"' for label, word in labels.items()) + ("," if comma and labels else "")
    line = f"{name}{{{told}}} {value}" if labels else f"{name} {value}"
    [family] = text_string_to_metric_families(line + "\n")
    [sample] = family.samples
    assert repr(parsed(line.encode())) == repr([(sample.name, sample.labels, float(sample.value))])


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b'a{x="1"} 2 1700000000000', [("a", {"x": "1"}, 2.0)]),
        (b'a{x="\\"1\\n"} 2', [("a", {"x": '"1\n'}, 2.0)]),
        (b'a{x="1} 2', []),
        (b"a 1_000", []),
        (b"a{\xff} 1", []),
    ],
)
def test_other_lines_are_left_to_the_library(line: bytes, read: list[Sample]) -> None:
    assert parsed(line) == read
