"""What is bet on before a window is seen, and how its outcome moves the wealth."""

from __future__ import annotations

from math import exp

from inferops.core.evidence.eprocess import Block, Shares, hedged, log_growth
from inferops.core.evidence.memory import Memory, Recent, Stakes

RISKED = 0.9  # of a bet in one window: an incident of both versions takes no more
TRICKLE_HARM = 0.01  # of what is held back, staked a window: an effect may begin at any time
TRICKLE_NO_WORSE = 0.03
LARGE = 0.15  # of the requests that would be good otherwise: the alternative for effects seen at once
HALF_LIFE = 200.0  # canary requests until an older one counts half
MOST = 1e290
MOST_NO_WORSE = 1e6  # no reserve of good days that a bad one would have to eat up first


def after(memory: Memory, block: Block, allowance: float, margin: float) -> Memory:
    """What is remembered after a window in which both arms had requests, but for the sketches."""
    if block.canary == 0 or block.stable == 0:
        return memory
    recent = memory.recent
    harm = _moved(memory.harm.staked(TRICKLE_HARM), block, worse(recent, allowance), allowance, MOST)
    alike = (no_worse(recent, margin),)
    none = _moved(memory.no_worse.staked(TRICKLE_NO_WORSE), block, alike, margin, MOST_NO_WORSE)
    return Memory(harm, none, remembered(recent, block), memory.canary, memory.stable)


def worse(recent: Recent, allowance: float) -> tuple[Shares, Shares]:
    """Alternatives of harm: what was learned so far, and a large effect."""
    stable = _stable(recent)
    least = max(0.25 * stable, 0.002)
    expected = stable + allowance + max(0.5 * stable, 0.005)
    learned = (recent.canary_bad + 20 * min(expected, 0.9)) / (recent.canary + 20)
    learned = min(max(learned, stable + allowance + least), 0.5 + (stable + allowance) / 2)
    large = stable + allowance + LARGE * (1 - stable - allowance)
    return Shares(learned, stable), Shares(large, stable)


def no_worse(recent: Recent, margin: float) -> Shares:
    """The alternative to harm of `margin`: what was learned, at most half of the margin worse."""
    stable = _stable(recent)
    learned = (recent.canary_bad + 20 * stable) / (recent.canary + 20)
    return Shares(min(learned, stable + margin / 2), stable)


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


def _moved(stakes: Stakes, block: Block, alternatives: tuple[Shares, ...], shift: float, most: float) -> Stakes:
    grown = tuple(
        min(most, bet * exp(min(600.0, hedged(log_growth(block, p, shift), RISKED)))) if bet > 0 else 0.0
        for bet, p in zip(stakes.bets, alternatives, strict=True)
    )
    return Stakes(stakes.held, grown)
