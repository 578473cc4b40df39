"""An engine's metrics -> what its replicas have counted: of real servers, and of whatever else may answer."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.runtimes import ENGINES
from inferops.runtimes.base import Metrics
from inferops.signals.cumulative import Tally
from inferops.signals.pods import samples
from inferops.signals.reading import HIGHEST, Readout, Sample, names, read, readout
from unit.signals.scraped import fixture


def of(page: bytes, engine: str) -> Readout:
    metrics = ENGINES[engine].metrics
    return readout(samples(page, names(metrics)), metrics)


@pytest.mark.parametrize(
    ("case", "ttft", "good", "bound"),
    [
        ("at a bound", 2.5, 11, 2.5),
        ("between bounds the higher one counts", 3.0, 20, 5.0),
        ("below all", 0.0001, 0, 0.001),
        ("beyond all nothing can be told", 5000.0, None, None),
        ("without an SLO nothing is asked", None, None, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_too_slow_is_beyond_a_bound(case: str, ttft: float | None, good: int | None, bound: float | None) -> None:
    metrics = ENGINES["vllm"].metrics
    reading = read({"p": of(fixture("vllm-0.32.0-metrics-after"), "vllm")}, metrics, ttft, None)
    assert reading.bounds == (bound, None)
    assert ("ttft" in reading.metrics) == (bound is not None)
    tally = reading.tallies["p"]
    assert (tally.good[1], tally.bad[1]) == ((good, 40 - good) if good is not None else (0, 0))


def test_what_real_servers_count() -> None:
    vllm = read({"p": of(fixture("vllm-0.32.0-metrics-after"), "vllm")}, ENGINES["vllm"].metrics, 0.8, 0.05)
    assert vllm.tallies == {"p": Tally((40, 4, 40), (0, 36, 0), 40)}
    assert vllm.metrics == {"ttft", "tpot"}, "it does not count what failed"
    busy = read({"p": of(fixture("vllm-0.32.0-metrics-busy"), "vllm")}, ENGINES["vllm"].metrics, 0.8, 0.05)
    assert busy.in_flight == {"p": 40}
    idle = read({"p": of(fixture("vllm-0.32.0-metrics-idle"), "vllm")}, ENGINES["vllm"].metrics, 0.8, 0.05)
    assert idle.tallies == {"p": Tally()}
    triton = read({"p": of(fixture("triton-2.51-metrics-after"), "triton")}, ENGINES["triton"].metrics, 0.8, 0.05)
    assert triton.tallies == {"p": Tally((12, 0, 0), (0, 0, 0), 12)}
    assert triton.metrics == {"errorRate"}, "it has no histograms"


@pytest.mark.parametrize(
    ("engine", "page", "tally", "told"),
    [
        ("triton", 'nv_inference_request_success{model="a",version="1"} 7\nnv_inference_request_success{model="b"} 3\n'
         'nv_inference_request_failure{model="a",reason="BACKEND"} 2\n'
         'nv_inference_request_failure{model="a",reason="CANCELED"} 30\n'
         'nv_inference_request_failure{model="a",reason="REJECTED"} 5\n', (10, 2, 47), True),
        ("text-embeddings-inference", 'te_request_success{method="single"} 7\nte_request_failure{err="inference"} 1\n'
         'te_request_failure{err="overloaded"} 9\nte_request_failure{err="validation"} 4\n', (7, 1, 21), True),
        ("tensorrt-llm", "trtllm_request_success_total 7\ntrtllm_request_error_total 3\n", (7, 3, 10), True),
        ("sglang", 'sglang:num_requests_total{model_name="m"} 7\nsglang:num_aborted_requests_total{model_name="m"} 3\n',
         (7, 0, 10), False),
        ("bentoml", 'bentoml_service_request_total{http_response_code="200"} 7\n'
         'bentoml_service_request_total{http_response_code="404"} 1\n'
         'bentoml_service_request_total{http_response_code="500"} 2\n'
         'bentoml_service_request_total{http_response_code="503"} 4\n'
         'bentoml_service_request_total{http_response_code="429"} 4\n', (8, 2, 18), True),
    ],
)  # fmt: skip
def test_failures_by_engine(engine: str, page: str, tally: tuple[int, int, int], told: bool) -> None:
    """A client that went away, one that asked for nonsense, and a queue that was full are no fault of a revision."""
    reading = read({"p": of(page.encode(), engine)}, ENGINES[engine].metrics, None, None)
    found = reading.tallies["p"]
    assert (found.good[0], found.bad[0], found.requests) == tally
    assert ("errorRate" in reading.metrics) == told


BOTH = Metrics(ENGINES["vllm"].metrics.endpoint, ttft="t", tpot="p", succeeded="s", failed="f", running="r")


def test_both_revisions_are_held_against_the_same_bound() -> None:
    """Another version of an engine may have other bounds."""
    old = Readout(ttft={0.5: 1, 1.0: 5, 2.0: 9, inf: 10})
    new = Readout(ttft={0.8: 2, 2.0: 7, inf: 10})
    reading = read({"old": old, "new": new, "no request yet": Readout()}, BOTH, 0.8, None)
    assert reading.bounds == (2.0, None)
    assert [each.good[1] for each in reading.tallies.values()] == [9, 7, 0]
    strange = read({"old": old, "new": Readout(ttft={0.7: 2, inf: 10})}, BOTH, 0.8, None)
    assert "ttft" not in strange.metrics


values = st.floats() | st.integers(0, 20).map(float)
bounds = st.sampled_from(["0.1", "1", "1.0", "+Inf", "Inf", "NaN", "-1", "x", ""])
words = st.sampled_from(["t_bucket", "p_bucket", "s", "f", "r", "other"])
found = st.lists(st.tuples(words, st.dictionaries(st.sampled_from(["le", "reason"]), bounds), values), max_size=20)


@given(found, st.none() | st.floats(0, 5), st.sampled_from([BOTH, replace(BOTH, failed=None, tpot=None)]))
def test_whatever_is_told_counts_sanely(told: list[Sample], slo: float | None, metrics: Metrics) -> None:
    reading = read({"p": readout(told, metrics)}, metrics, slo, slo)
    assert all(each >= 0 for each in reading.tallies["p"].flat())
    assert all(each >= 0 for each in reading.in_flight.values())


def test_what_is_no_count_is_passed_over() -> None:
    odd: list[Sample] = [("s", {}, value) for value in (-1.0, inf, float("nan"), HIGHEST * 4)]
    assert readout([*odd, ("s", {}, 3.0)], BOTH).good == 3
