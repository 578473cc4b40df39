"""What is bet on before a window is seen, and how its outcome moves the wealth."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from inferops.core.evidence.eprocess import Block, Shares, hedged, log_growth
from inferops.core.evidence.memory import Memory, Recent, Stakes

RISKED = 0.9  # of a bet in one window: an incident of both versions takes no more
TRICKLE = 0.01  # of what is held back, staked a window: an effect may begin at any time
LARGE = 0.15  # of the requests that would be good otherwise: the alternative for effects seen at once
HALF_LIFE = 200.0  # canary requests until an older one counts half
MOST = 1e290


def after(memory: Memory, block: Block, allowance: float, margin: float, most_no_worse: float) -> Memory:
    """What is remembered after a window in which both arms had requests, but for the replicas' spread.

    That there is no harm is remembered up to `most_no_worse`: good days are no reserve that bad ones must eat up first.
    """
    recent = memory.recent
    staked = memory.harm.staked(TRICKLE)
    harm = tuple(
        _grown(bet, block, alternative, allowance, MOST)
        for bet, alternative in zip(staked.bets, worse(recent, allowance), strict=True)
    )
    alike = no_worse(recent, margin)
    return replace(
        memory,
        harm=Stakes(staked.held, harm),
        no_worse=memory.no_worse if alike is None else _grown(memory.no_worse, block, alike, margin, most_no_worse),
        recent=remembered(recent, block),
    )


def worse(recent: Recent, allowance: float) -> tuple[Shares, Shares]:
    """Alternatives of harm: what was learned so far, and a large effect."""
    stable = _stable(recent)
    least = max(0.25 * stable, 0.002)
    expected = stable + allowance + max(0.5 * stable, 0.005)
    learned = (recent.canary_bad + 20 * min(expected, 0.9)) / (recent.canary + 20)
    learned = min(max(learned, stable + allowance + least), 0.5 + (stable + allowance) / 2)
    large = stable + allowance + LARGE * (1 - stable - allowance)
    return Shares(learned, stable), Shares(large, stable)


def no_worse(recent: Recent, margin: float) -> Shares | None:
    """The alternative to harm of `margin`, as it was learned. None while the canary looks about as bad as that, so that
    nothing is worth a bet: cold caches leave no debt."""
    stable = _stable(recent)
    learned = (recent.canary_bad + 20 * stable) / (recent.canary + 20)
    return Shares(learned, stable) if learned < stable + 0.8 * margin else None


def remembered(recent: Recent, block: Block) -> Recent:
    """With the requests of a window."""
    kept = 0.5 ** (block.canary / HALF_LIFE)
    return Recent(
        recent.canary_bad * kept + block.canary_bad,
        recent.canary * kept + block.canary,
        recent.stable_bad * kept + block.stable_bad,
        recent.stable * kept + block.stable,
    )


def _stable(recent: Recent) -> float:
    return (recent.stable_bad + 0.3) / (recent.stable + 30)


def _grown(bet: float, block: Block, alternative: Shares, shift: float, most: float) -> float:
    if bet <= 0:
        return 0.0
    growth = hedged(log_growth(block, alternative, shift), RISKED)
    return min(most, exp(min(log(most), log(bet) + growth)))
