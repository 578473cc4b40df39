"""What a metric's test remembers from one look to the next, as the numbers that its status holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from inferops.core.evidence.dispersion import Sketches

CANARY_SKETCHES = 2
STABLE_SKETCHES = 3
LENGTH = 11 + CANARY_SKETCHES + STABLE_SKETCHES


@dataclass(frozen=True, slots=True)
class Recent:
    """Requests of both arms, the older ones counting less and less."""

    canary_bad: float = 0.0
    canary: float = 0.0
    stable_bad: float = 0.0
    stable: float = 0.0


@dataclass(frozen=True, slots=True)
class Stakes:
    """A test's wealth, 1 at first: what it holds back for an effect that begins later, and what is bet on each
    alternative."""

    held: float
    bets: tuple[float, ...]

    @property
    def wealth(self) -> float:
        """Evidence so far."""
        return self.held + sum(self.bets)

    def staked(self, share: float) -> Stakes:
        """With `share` of what is held put onto the bets, the same onto each."""
        added = share * self.held / len(self.bets)
        return Stakes(self.held * (1 - share), tuple(bet + added for bet in self.bets))


HARM = Stakes(1.0, (0.0, 0.0)).staked(0.5)
NO_WORSE = Stakes(1.0, (0.0,)).staked(0.5)
NO_CANARY = Sketches(0.0, (0.0,) * CANARY_SKETCHES)
NO_STABLE = Sketches(0.0, (0.0,) * STABLE_SKETCHES)


@dataclass(frozen=True, slots=True)
class Memory:
    """All that a metric's next look goes on from, besides its counts."""

    harm: Stakes = HARM
    no_worse: Stakes = NO_WORSE
    recent: Recent = Recent()
    canary: Sketches = NO_CANARY
    stable: Sketches = NO_STABLE

    def numbers(self) -> list[float]:
        """As the status holds it, to six significant digits."""
        recent = self.recent
        numbers = [
            self.harm.held,
            *self.harm.bets,
            self.no_worse.held,
            *self.no_worse.bets,
            *(recent.canary_bad, recent.canary, recent.stable_bad, recent.stable),
            self.canary.variance,
            *self.canary.sums,
            self.stable.variance,
            *self.stable.sums,
        ]
        return [float(f"{number:.6g}") for number in numbers]

    @staticmethod
    def of(numbers: Sequence[float]) -> Memory | None:
        """From what the status holds; None where that is no memory of ours, since somebody edited it."""
        if len(numbers) != LENGTH or not all(map(isfinite, numbers)):
            return None
        if min(numbers[:10]) < 0 or numbers[9 + 1 + CANARY_SKETCHES] < 0:
            return None
        return Memory(
            harm=Stakes(numbers[0], tuple(numbers[1:3])),
            no_worse=Stakes(numbers[3], tuple(numbers[4:5])),
            recent=Recent(*numbers[5:9]),
            canary=Sketches(numbers[9], tuple(numbers[10 : 10 + CANARY_SKETCHES])),
            stable=Sketches(numbers[10 + CANARY_SKETCHES], tuple(numbers[11 + CANARY_SKETCHES :])),
        )

    def at_a_new_weight(self) -> Memory:
        """Half of what is held back goes onto harm, since a higher load may be what brings it about; what spoke for
        no harm spoke of the weight before."""
        return replace(self, harm=self.harm.staked(0.5), no_worse=NO_WORSE)
