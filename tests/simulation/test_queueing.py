"""The simulator against what queueing theory says in closed form, where it can be configured to be such a queue."""

from __future__ import annotations

from math import log

import pytest

from queueing import erlang_c, md1, mean_wait, mmc, reckoned_wait, requests, served

COUNT = 40_000


@pytest.mark.parametrize("use", [0.3, 0.6])
def test_m_d_1(use):
    assert mean_wait(requests(use, COUNT, constant=True), 1) == pytest.approx(md1(use), rel=0.03)


@pytest.mark.parametrize(("use", "servers"), [(0.5, 1), (0.6, 2), (0.6, 4)])
def test_m_m_c(use, servers):
    asked = requests(use * servers, COUNT, constant=False, seed=3)
    assert mean_wait(asked, servers) == pytest.approx(mmc(use, servers), rel=0.05)


@pytest.mark.parametrize(("constant", "servers"), [(True, 2), (False, 10)])
def test_on_the_same_arrivals_the_recursion_says_the_same(constant, servers):
    asked = requests(0.9 * servers, 10_000, constant)
    assert mean_wait(asked, servers) == pytest.approx(reckoned_wait(asked, servers), rel=1e-6)


def test_who_waits_in_m_m_c_waits_for_an_exponential_time():
    """Those who wait: P(W > t) = C exp(-(c - a) t). A quantile beyond 1 - C follows from it."""
    servers, use = 3, 0.6
    found = served(requests(use * servers, COUNT, constant=False, seed=3), servers)
    chance = erlang_c(use * servers, servers)
    assert found.ttft["p50"] < 0.05, "most do not wait"
    for name, share in (("p90", 0.9), ("p99", 0.99)):
        expected = log(chance / (1 - share)) / (servers * (1 - use))
        assert found.ttft[name] == pytest.approx(expected, rel=0.05)


def test_erlang_c_is_what_the_tables_say():
    assert erlang_c(0.5, 1) == pytest.approx(0.5)
    assert erlang_c(2.0, 3) == pytest.approx(4 / 9)
