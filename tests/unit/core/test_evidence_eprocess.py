"""The mathematics of the evidence: exact expectations by enumeration, not by simulation."""

from math import comb, exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core.evidence.eprocess import Block, Shares, border, hedged, log_growth

share = st.floats(0.001, 0.999)
size = st.integers(1, 6)
shift = st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5])


def expectation(p: Shares, canary: int, stable: int, shift: float, theta: Shares, stake: float = 1.0) -> float:
    """Mean of S over all outcomes of a block, with shares theta."""

    def probability(bad: int, total: int, share: float) -> float:
        return comb(total, bad) * share**bad * (1 - share) ** (total - bad)

    return sum(
        probability(canary_bad, canary, theta.canary)
        * probability(stable_bad, stable, theta.stable)
        * exp(hedged(log_growth(Block(canary_bad, canary, stable_bad, stable), p, shift), stake))
        for canary_bad in range(canary + 1)
        for stable_bad in range(stable + 1)
    )


@given(share, share, size, size, shift, st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 1))
def test_no_harm_earns_nothing_in_the_mean(canary, stable, n_canary, n_stable, shift, theta_stable, part, stake):
    """Whatever alternative was bet on, and wherever in the null set the truth is."""
    p = Shares(max(canary, min(0.9999, stable + shift + 1e-4)), min(stable, 0.999 - shift))
    if p.canary <= p.stable + shift:
        return
    theta = Shares(part * min(1.0, theta_stable + shift), theta_stable)
    assert expectation(p, n_canary, n_stable, shift, theta, stake) <= 1 + 1e-9


@given(share, share, size, size, st.sampled_from([0.01, 0.05, 0.2, 0.5, 0.999]), st.floats(0, 1), st.floats(0, 1))
def test_harm_beyond_the_margin_earns_nothing_for_the_other_test(
    canary, stable, n_canary, n_stable, margin, theta_stable, part
):
    p = Shares(min(canary, stable + 0.9 * margin), stable)
    theta_stable *= 1 - margin
    theta = Shares(theta_stable + margin + part * (1 - theta_stable - margin), theta_stable)
    assert expectation(p, n_canary, n_stable, margin, theta) <= 1 + 1e-9


@given(share, share, st.integers(1, 1000), st.integers(1, 1000), shift, st.floats(0, 1))
def test_the_border_point_is_the_nearest_of_its_line(canary, stable, n_canary, n_stable, shift, part):
    def divergence(p: float, q: float) -> float:
        return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))

    def distance(q: Shares) -> float:
        return n_canary * divergence(canary, q.canary) + n_stable * divergence(stable, q.stable)

    nearest = border(Shares(canary, stable), n_canary, n_stable, shift)
    assert nearest.canary == pytest.approx(nearest.stable + shift)
    other = 1e-6 + part * (1 - shift - 2e-6)
    assert distance(nearest) <= distance(Shares(other + shift, other)) + 1e-6


def test_what_was_bet_on_earns_what_information_promises():
    p = Shares(0.3, 0.1)
    q = border(p, 50, 50, 0.0)
    assert q == Shares(pytest.approx(0.2), pytest.approx(0.2))
    promised = 50 * sum(
        one * log(one / other) + (1 - one) * log((1 - one) / (1 - other)) for one, other in ((0.3, 0.2), (0.1, 0.2))
    )
    assert log_growth(Block(15, 50, 5, 50), p, 0.0) == pytest.approx(promised)


@pytest.mark.parametrize("block", [Block(0, 0, 3, 50), Block(5, 10, 0, 0)])
def test_one_arm_alone_says_nothing(block):
    assert log_growth(block, Shares(0.5, 0.1), 0.0) == 0.0


@given(st.floats(-500, 500), st.floats(0.01, 1))
def test_a_hedge_bounds_the_loss(log_s, stake):
    assert hedged(log_s, stake) >= log(1 - stake) - 1e-12 if stake < 1 else True
    assert hedged(0.0, stake) == pytest.approx(0.0, abs=1e-12)
    assert hedged(log_s, stake) <= max(0.0, log_s) + 1e-12
