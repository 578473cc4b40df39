"""How much more replicas of one version differ than chance allows, and what that takes from the evidence.

Requests are no independent draws: one replica sits on a slow node, another has a bad minute. The difference between
two versions must be larger than the differences within each. In every window each replica's bad requests less its share
of its arm's are its residual, whose variance and covariances are those of drawing the arm's bad requests without
replacement. A sketch is the sum of the residuals of all replicas and windows, each with the sign that the pod's name
hashes to: chance alone makes its square as large as its variance in the mean; replicas that keep being different, or
bursts of them, make it larger. phi is that ratio over some sketches, with a few parts of 1, of which sketches of few
replicas or few bad requests cannot lead far away. Sketches, not counts by replica, since the status must hold them.

Evidence W, an e-process under chance alone, counts as W^(1/phi) where it is above 1. That is never more than W itself
and so as safe however phi was found. Where outcomes come in clumps of phi equal ones it is the exact e-process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from inferops.core.evidence.arms import Replica

PRIOR = 2.0  # sketches' worth of trust in what is believed before
USUAL = 0.1  # spread of replicas' shares, relative to their mean, that is taken for granted


@dataclass(frozen=True, slots=True)
class Sketches:
    """What is remembered of one arm's residuals."""

    variance: float  # of a sketch under chance alone, the mean over the sketches
    sums: tuple[float, ...]

    def and_window(self, replicas: Sequence[Replica]) -> Sketches:
        """With another window."""
        total = sum(replica.total for replica in replicas)
        bad = sum(replica.bad for replica in replicas)
        if len(replicas) < 2 or bad in (0, total):
            return self  # all the same: it tells nothing of differences
        chance = bad * (total - bad) / (total - 1)
        variances, sums = [], []
        for sketch, before in enumerate(self.sums):
            signs = [_sign(replica.pod, sketch) for replica in replicas]
            lean = sum(sign * replica.total for sign, replica in zip(signs, replicas, strict=True)) / total
            variances.append(chance * (1 - lean * lean))
            residuals = (
                sign * (replica.bad - bad * replica.total / total)
                for sign, replica in zip(signs, replicas, strict=True)
            )
            sums.append(before + sum(residuals))
        return Sketches(self.variance + sum(variances) / len(variances), tuple(sums))

    def factor(self, believed: float) -> float:
        """phi of this arm, drawn towards what is believed."""
        if self.variance <= 0:
            return believed
        seen = sum(value * value for value in self.sums) / self.variance
        return (PRIOR * believed + seen) / (PRIOR + len(self.sums))


def dispersion(canary: Sketches, stable: Sketches, bad_per_replica: float) -> float:
    """phi of the comparison, at least 1.

    `bad_per_replica` are the bad requests to be expected of one canary replica in all that was counted: what
    replicas are taken to differ by anyway weighs the more, the more there are. What stable's replicas show is
    believed of the canary's, until these show otherwise.
    """
    usual = 1 + USUAL * USUAL * bad_per_replica
    within_stable = max(usual, stable.factor(usual))
    return max(usual, canary.factor(within_stable))


def _sign(pod: str, sketch: int) -> int:
    return 1 if sha256(pod.encode()).digest()[0] >> sketch & 1 else -1
