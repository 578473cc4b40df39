"""What a metric's test remembers from one look to the next, as the numbers that its status holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from inferops.core.evidence.dispersion import NOTHING_SEEN, SKETCHES, Outlier, Spread

LENGTH = 13 + SKETCHES


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


@dataclass(frozen=True, slots=True)
class Memory:
    """All that a metric's next look goes on from, besides its counts."""

    harm: Stakes = HARM
    no_worse: float = 1.0  # wealth of the other test
    recent: Recent = Recent()
    spread: Spread = NOTHING_SEEN

    def numbers(self) -> list[float]:
        """As the status holds it, to six significant digits."""
        recent, spread, outlier = self.recent, self.spread, self.spread.outlier
        numbers = [
            *(self.harm.held, *self.harm.bets, self.no_worse),
            *(recent.canary_bad, recent.canary, recent.stable_bad, recent.stable),
            *(spread.variance, spread.squares, float(outlier.name), outlier.variance),
            *(outlier.residual, *spread.sketches),
        ]
        return [float(f"{number:.6g}") for number in numbers]

    @staticmethod
    def of(numbers: Sequence[float]) -> Memory | None:
        """From what the status holds; None where that is no memory of ours, since somebody edited it."""
        if len(numbers) != LENGTH or not all(map(isfinite, numbers)) or min(numbers[:12]) < 0:
            return None
        held, learned, large, no_worse, *rest = numbers
        recent, (variance, squares, name, of_outlier, residual, *sketches) = rest[:4], rest[4:]
        return Memory(
            harm=Stakes(held, (learned, large)),
            no_worse=no_worse,
            recent=Recent(*recent),
            spread=Spread(variance, squares, tuple(sketches), Outlier(round(name), residual, of_outlier)),
        )

    def at_a_new_weight(self) -> Memory:
        """Half of what is held back goes onto harm, since a higher load may be what brings it about; what spoke for
        no harm spoke of the weight before."""
        return replace(self, harm=self.harm.staked(0.5), no_worse=1.0)
