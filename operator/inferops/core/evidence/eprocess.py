"""Sequential tests of two proportions: evidence that may be looked at at any time.

A window is a block of n_c requests of the canary, y_c of them bad, and n_s of stable, y_s of them bad, drawn with
shares (theta_c, theta_s) that may be others in each window. For an alternative p = (p_c, p_s), chosen before the window
was seen, and a closed convex null set N of shares, let q = (q_c, q_s) be the point of N with the least
K(t) = n_c KL(p_c | t_c) + n_s KL(p_s | t_s), the reverse information projection of p. Then

    S = product over both arms g of (p_g / q_g)^y_g ((1 - p_g) / (1 - q_g))^(n_g - y_g)

is an e-variable: its mean is at most 1 for every theta in N. Proof: log E[S] = n_c log f_c(theta_c) +
n_s log f_s(theta_s) with f_g(t) = t p_g / q_g + (1 - t)(1 - p_g) / (1 - q_g), which is affine in t, so log E[S] is
concave. At q both f are 1, so log E[S] = 0 there, and its slope in theta_g is n_g (p_g - q_g) / (q_g (1 - q_g)), which
is minus the slope of K at q. That q minimises K over N therefore says that no way from q into N leads upwards, and of
a concave function that makes q the maximum. The product of the S of all windows is then a test martingale or less,
and by Ville's inequality exceeds 1/alpha at any time at all with a probability of at most alpha.

The construction is that of Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping" (arXiv 2106.02693), for blocks of any sizes and with the shifted null sets of Turner and
Grünwald, "Exact anytime-valid confidence intervals for contingency tables and beyond" (arXiv 2203.09785); that the
shares may differ from block to block is the stratified case of "Safe sequential testing and effect estimation in
stratified count data" (arXiv 2205.14762).

Here N is {theta_c <= theta_s + shift} to show harm and {theta_c >= theta_s + shift} to show that there is none of
that size. Its border is the same line, so one projection serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, log1p

TINY = 1e-12  # nearest to 0 and 1 that a share comes
STEPS = 80
CLOSE = 1e-13  # relative change of a share that is none any more


@dataclass(frozen=True, slots=True)
class Block:
    """What both arms did in one window: requests, and how many of them were bad."""

    canary_bad: int
    canary: int
    stable_bad: int
    stable: int


@dataclass(frozen=True, slots=True)
class Shares:
    """A share of bad requests for each arm, strictly between 0 and 1."""

    canary: float
    stable: float


def border(p: Shares, canary: int, stable: int, shift: float) -> Shares:
    """The point of {theta_c = theta_s + shift} nearest to `p` in information, for blocks of these sizes."""
    if shift == 0.0:
        pooled = (canary * p.canary + stable * p.stable) / (canary + stable)
        return Shares(pooled, pooled)
    at_p, beside = p.stable, p.canary - shift  # the best share of stable lies between these two
    low, high = max(TINY, min(at_p, beside)), min(1 - shift - TINY, max(at_p, beside))
    share = (low + high) / 2
    for _ in range(STEPS):  # Newton's, kept within the bracket
        moved = share + shift
        slope = canary * _slope(p.canary, moved) + stable * _slope(p.stable, share)
        low, high = (share, high) if slope > 0 else (low, share)
        bend = canary * _bend(p.canary, moved) + stable * _bend(p.stable, share)
        better = share + slope / bend
        if not low < better < high:
            better = (low + high) / 2
        if abs(better - share) <= CLOSE * share:
            break
        share = better
    return Shares(share + shift, share)


def _slope(p: float, q: float) -> float:
    """How fast KL(p | q) falls as q grows."""
    return p / q - (1 - p) / (1 - q)


def _bend(p: float, q: float) -> float:
    """How fast that falls in turn."""
    return p / (q * q) + (1 - p) / ((1 - q) * (1 - q))


def log_growth(block: Block, p: Shares, shift: float) -> float:
    """log S of the block, for an alternative `p` that lies beyond the border; 0 where one arm has no requests."""
    if block.canary == 0 or block.stable == 0:
        return 0.0
    q = border(p, block.canary, block.stable, shift)
    return _log_ratio(block.canary_bad, block.canary, p.canary, q.canary) + _log_ratio(
        block.stable_bad, block.stable, p.stable, q.stable
    )


def _log_ratio(bad: int, total: int, p: float, q: float) -> float:
    return bad * log(p / q) + (total - bad) * (log1p(-p) - log1p(-q))


def hedged(log_s: float, stake: float) -> float:
    """log of (1 - stake) + stake S: the rest is not risked, so a window takes no more than that stake."""
    kept = log1p(-stake) if stake < 1 else -inf
    risked = log(stake) + log_s
    high, low = max(kept, risked), min(kept, risked)
    return high + log1p(exp(low - high))
