"""What engines count of themselves -> what was asked of their service: of real servers, and whatever comes and goes."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from operator import add
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.runtimes import ENGINES
from inferops.runtimes.base import Endpoint, Metrics
from inferops.signals.counters import LATE, Counters
from inferops.signals.engines import PODS, EngineSums, served
from inferops.signals.pods import samples
from inferops.signals.reading import Readout, Target, names_of, read, readout
from inferops.signals.totals import NONE, Totals
from unit.signals.scraped import fixture

VLLM, TRITON = ENGINES["vllm"].metrics, ENGINES["triton"].metrics
PLAIN = Metrics(Endpoint("http", "/metrics"), running="r", waiting="w", ttft="t", tpot="p", succeeded="s")


def of(page: bytes, metrics: Metrics, ttft: float | None = 0.8, tpot: float | None = 0.05) -> Readout:
    target = Target("chat", {}, metrics, 8000, ttft, tpot, load=True)
    return readout(samples(page, names_of(target)), metrics)


class Engines:
    """Those of one service, with what is too slow."""

    def __init__(self, metrics: Metrics = PLAIN, ttft: float | None = 0.8, tpot: float | None = 0.05) -> None:
        self.metrics, self.ttft, self.tpot = metrics, ttft, tpot
        self.sums = EngineSums()

    def tell(self, at: float, restarts: Mapping[str, int] | None = None, **pods: Readout) -> Totals:
        """What adds up once pods told so much."""
        reading = read(pods, self.metrics, self.ttft, self.tpot)
        self.sums.take(at, reading, self.metrics, restarts if restarts is not None else dict.fromkeys(pods, 0))
        return self.sums.total


def counted(ended: int, there: int = 0) -> Readout:
    return Readout(good=ended, there=there)


def test_a_real_vllm() -> None:
    idle, busy, after = (of(fixture(f"vllm-0.32.0-metrics-{each}"), VLLM) for each in ("idle", "busy", "after"))
    engines = Engines(VLLM)
    engines.tell(0, a=idle)
    assert (busy.there, busy.waiting) == (40, 36)
    total = engines.tell(10, a=busy)
    assert (total.arrivals, total.ended, total.busy, total.tokens_in) == (40, 0, 200.0, 960)
    total = engines.tell(50, a=after)
    assert (total.arrivals, total.ended) == (40, 40)
    assert 200 + 248 < total.busy < 200 + 400, "248 s is what they took, as told in the end; 800 by what was there"
    assert (total.tokens_in, total.tokens_out, total.counted) == (9600, 20000, 40)
    assert (total.ttft / total.firsts, total.firsts) == (pytest.approx(5.123, abs=1e-3), 40)
    assert (total.tpot / total.paced, total.paced) == (pytest.approx(0.00217, abs=1e-5), 40)
    assert (total.judged, total.missed) == (40, 36)


def test_a_real_triton() -> None:
    """It tells neither what runs nor of tokens, but how long requests took."""
    busy, after = (of(fixture(f"triton-2.51-metrics-{each}"), TRITON) for each in ("busy", "after"))
    engines = Engines(TRITON)
    engines.tell(0, a=busy)
    total = engines.tell(30, a=after)
    assert (total.arrivals, total.ended, total.busy) == (4, 12, pytest.approx(29.213311))
    assert (total.counted, total.firsts, total.judged) == (0, 0, 0)


@pytest.mark.parametrize(("each", "error"), [(1, 0.05), (5, 0.1), (60, 0.05)])
def test_time_at_replicas_by_what_ends_and_by_what_is_there(each: int, error: float) -> None:
    """Requests come at random, two a second, and take so long each; the engine is asked every five seconds."""
    random, engines = Random(7), Engines(VLLM, None, None)
    came = sorted(random.uniform(-120, 600) for _ in range(1440))
    for at in range(0, 601, 5):
        ended = sum(when + each <= at for when in came)
        there = sum(when <= at for when in came) - ended
        told = Readout(good=ended, there=there, numbers={f"{VLLM.e2e}_sum": float(ended * each)})
        engines.tell(at, a=told)
    truth = sum(max(0.0, min(when + each, 600) - max(when, 0.0)) for when in came)
    assert engines.sums.total.busy == pytest.approx(truth, rel=error)


def test_only_what_is_judged_is_asked_for_bound_by_bound() -> None:
    def names(**more: Any) -> frozenset[str]:
        return names_of(Target("chat", {}, VLLM, 8000, **more))

    assert f"{VLLM.ttft}_bucket" in names() & names(ttft=0.8, load=True)
    assert not any(name.endswith("_bucket") for name in names(load=True))
    assert {f"{VLLM.ttft}_sum", VLLM.prompt_tokens} <= names(load=True) - names()


@pytest.mark.parametrize(
    ("engine", "page", "ended", "missed"),
    [
        ("vllm", 'vllm:request_success_total{finished_reason="stop"} 7\n'
         'vllm:admission_rejections_total{reason="max_num_queued_reqs"} 3\n', 7, 3),
        ("triton", 'nv_inference_request_success{model="a"} 7\nnv_inference_request_failure{reason="CANCELED"} 2\n'
         'nv_inference_request_failure{reason="REJECTED"} 3\n', 9, 3),
        ("text-embeddings-inference", 'te_request_success 7\nte_request_failure{err="overloaded"} 3\n', 7, 3),
        ("bentoml", 'bentoml_service_request_total{http_response_code="200"} 7\n'
         'bentoml_service_request_total{http_response_code="503"} 3\n', 7, 3),
    ],
)  # fmt: skip
def test_whoever_finds_no_room_came_and_was_missed(engine: str, page: str, ended: int, missed: int) -> None:
    metrics = ENGINES[engine].metrics
    engines = Engines(metrics, None, None)
    engines.tell(0, a=Readout())
    total = engines.tell(10, a=of(page.encode(), metrics, None, None))
    assert (total.arrivals, total.ended) == (ended + missed, ended)
    assert (total.judged, total.missed) == (missed, missed)


@pytest.mark.parametrize(
    ("ttft", "tpot", "judged", "missed"),
    [(0.8, 0.05, 10, 3), (0.8, None, 10, 2), (None, 0.05, 8, 3), (None, None, 0, 0)],
)
def test_a_request_is_judged_once(ttft: float | None, tpot: float | None, judged: int, missed: int) -> None:
    """Ten had a first token, two of them too late; eight had others, three of them too slowly."""
    engines = Engines(PLAIN, ttft, tpot)
    engines.tell(0, a=Readout(ttft={1.0: 0, inf: 0}, tpot={0.05: 0, inf: 0}))
    total = engines.tell(5, a=Readout(good=10, ttft={1.0: 8, inf: 10}, tpot={0.05: 5, inf: 8}))
    assert (total.judged, total.missed) == (judged, missed)


def test_pods_come_and_go() -> None:
    engines = Engines()
    both = {"a": 0, "b": 0}
    engines.tell(0, both, a=counted(1000, 2))
    engines.tell(5, both, a=counted(1010, 2), b=counted(500, 1))
    assert engines.sums.total.arrivals == 10, "b was there before, and is counted from its first word"
    total = engines.tell(10, {"a": 0, "b": 0, "c": 0}, a=counted(1012, 0), b=counted(505, 3), c=counted(4, 6))
    assert (total.arrivals, total.ended) == (10 + 7 + 10, 12 + 5 + 4)
    total = engines.tell(15, {"c": 0}, c=counted(10, 0))
    assert total.arrivals == 27, "what was there with those that are gone is not taken back"
    total = engines.tell(20, both | {"c": 0}, a=counted(1014, 0), b=counted(506, 2), c=counted(10, 0))
    assert total.arrivals == 29, "one that comes back goes on"


def test_a_pod_that_restarts_counts_anew() -> None:
    engines = Engines()
    engines.tell(0, {"a": 0}, a=counted(1000, 4))
    total = engines.tell(5, {"a": 1}, a=counted(3, 2))
    assert (total.arrivals, total.ended) == (5, 3)
    total = engines.tell(10, {"a": 1}, a=counted(8, 0))
    assert (total.arrivals, total.ended) == (8, 8)


def test_what_is_told_late_counts_nothing() -> None:
    engines = Engines()
    for at, ended in enumerate((100, 110, 105, 120)):
        engines.tell(at, a=counted(ended))
    assert engines.sums.total.ended == 20


def test_requests_whose_clients_went_are_no_fewer_arrivals() -> None:
    """An engine may not count them as ended."""
    engines = Engines()
    engines.tell(0, a=counted(100, 10))
    assert engines.tell(5, a=counted(100, 0)).arrivals == 0
    assert engines.tell(10, a=counted(100, 15)).arrivals == 5
    total = engines.tell(10 + 2 * LATE, a=counted(130, 0))
    assert total.arrivals == 20


def test_another_bound_judges_from_now_on() -> None:
    engines = Engines(ttft=1.0)

    def told(requests: int) -> Readout:
        return Readout(good=requests, ttft={1.0: requests, 2.0: 2 * requests, inf: 4 * requests})

    engines.tell(0, a=told(0))
    engines.tell(5, a=told(10))
    assert (engines.sums.total.judged, engines.sums.total.missed) == (40, 30)
    engines.ttft = 2.0
    total = engines.tell(10, a=told(20))
    assert (total.arrivals, total.judged, total.missed) == (20, 40, 30), "requests go on, what is judged begins anew"
    total = engines.tell(15, a=told(30))
    assert (total.judged, total.missed) == (80, 50)


def test_memory_is_bounded() -> None:
    engines = Engines()
    for number in range(3 * PODS):
        engines.tell(number, {f"p{number}": 0}, **{f"p{number}": counted(1)})
    assert len(engines.sums._known) <= PODS
    assert engines.sums.total.ended == 3 * PODS - 1


acts = st.lists(
    st.tuples(
        st.sampled_from(["works", "works", "restarts", "gone", "late", "any"]),
        st.sampled_from("abc"),
        st.integers(0, 9),
        st.integers(0, 9),
        st.floats(0.5, 90),
    ),
    max_size=40,
)


@given(acts)
def test_totals_only_grow(history: list[tuple[str, str, int, int, float]]) -> None:
    """Whatever pods do, and whatever they tell."""
    engines, at = Engines(), 0.0
    pods = dict.fromkeys("abc", (0, 0))
    restarts = dict.fromkeys("abc", 0)
    engines.tell(at, restarts, **{name: counted(0) for name in pods})
    before, pieces = engines.sums.total, NONE
    for act, name, first, second, seconds in history:
        at, (ended, there) = at + seconds, pods[name]
        if act == "works":
            pods[name] = ended + min(there, first), there - min(there, first) + second
        elif act == "restarts":
            pods[name], restarts[name] = (0, 0), restarts[name] + 1
        shown = {"late": (max(ended - first, 0), second), "any": (first * 100, second)}.get(act, pods[name])
        told = {each: counted(*(shown if each == name else pods[each])) for each in pods}
        if act == "gone":
            del told[name]
        total = engines.tell(at, dict(restarts), **told)
        more = Totals._make(now - was for now, was in zip(total, before, strict=True))
        assert min(more) >= 0
        assert more.missed <= more.judged
        before, pieces = total, Totals._make(map(add, pieces, more))
    assert pieces.arrivals == engines.sums.total.arrivals


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(0.5, 30)), min_size=1, max_size=30))
def test_all_that_came_is_counted_of_pods_that_do_nothing_strange(steps: list[tuple[int, int, float]]) -> None:
    engines, at, came, ended, spent = Engines(), 0.0, 0, 0, 0.0
    engines.tell(at, a=counted(7))
    for more, done, seconds in steps:
        there = came - ended
        at, came, ended = at + seconds, came + more, ended + min(done, there)
        spent += (there + came - ended) / 2 * seconds
        total = engines.tell(at, a=counted(7 + ended, came - ended))
        assert (total.arrivals, total.ended, total.busy) == (came, ended, pytest.approx(spent))


@given(st.lists(st.lists(st.floats(0, 100), min_size=3, max_size=3), max_size=20), st.lists(st.integers(0, 2)))
def test_what_is_new_is_never_negative(told: list[list[float]], epochs: list[int]) -> None:
    own, seen = Counters((0.0, 0.0, 0.0)), Counters((0.0, 0.0, 0.0))
    for at, numbers in enumerate(told):
        assert min(own.counted(numbers)) >= 0
        assert min(seen.seen(numbers, sum(epochs[:at]), at * 60.0)) >= 0


def test_a_name_that_is_not_there_is_nothing() -> None:
    assert served(Readout(), ENGINES["sglang"].metrics, (None, None)) == served(Readout(), TRITON, (None, None))
