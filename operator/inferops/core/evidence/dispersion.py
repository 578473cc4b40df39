"""How much more replicas of one version differ than chance allows, and what that takes from the evidence.

Requests are no independent draws: one replica sits on a slow node, another has a bad minute. A difference between two
versions must be larger than the differences within each. In every window each replica's bad requests, less its share of
its arm's, are its residual; under chance alone its variance is that of drawing the arm's bad requests without putting
them back. Three things are remembered of residuals, as the status must hold them:

- their squares, which show bursts on single replicas, beside their variance;
- sketches of them: sums over all replicas and windows, each residual with a sign that the pod's name hashes to. Chance
  alone makes a sketch's square as large as the variance in the mean, and replicas that keep being different more;
- the sum of one replica of the canary, the one that stands out.

phi is how many times as large as by chance they are, drawn towards 1 while there is little of them. Evidence W, an
e-process under chance alone, counts as W^(1/phi) where it is above 1. That is never more than W, and so as safe however
phi was found. Where outcomes come in clumps of phi equal ones, it is the exact e-process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from math import log

from inferops.core.evidence.arms import Replica

SKETCHES = 3
PRIOR = 1.0  # a sketch's worth of trust in what is believed without them
PRIOR_VARIANCE = 3.0  # that of about so many bad requests: trust in chance alone
OWN = 2.0  # weight of what all replicas show beside what the canary's outlier does
APART = 10.0  # variances by which an outlier is worth telling of
MANY = 5.0  # bad requests too many, likewise
USUAL = 0.1  # spread of replicas' shares, relative to their mean, that is taken for granted


@dataclass(frozen=True, slots=True)
class Outlier:
    """The replica of the canary that stands out by its bad requests."""

    name: int = 0  # what the pod's name hashes to; 0: there is none
    residual: float = 0.0  # its sum
    variance: float = 0.0  # of that under chance alone

    def names(self, pod: str) -> bool:
        """Whether it is this pod."""
        return self.name == _hashed(pod)[1]


@dataclass(frozen=True, slots=True)
class Spread:
    """What is remembered of residuals."""

    variance: float = 0.0  # of all residuals under chance alone
    squares: float = 0.0
    sketches: tuple[float, ...] = (0.0,) * SKETCHES
    outlier: Outlier = Outlier()

    def and_window(self, canary: Sequence[Replica], stable: Sequence[Replica]) -> Spread:
        """With another window."""
        of_canary = _residuals(canary)
        both = [*of_canary, *_residuals(stable)]
        sketches = list(self.sketches)
        for pod, residual, _ in both:
            signs = _hashed(pod)[0]
            for sketch in range(SKETCHES):
                sketches[sketch] += residual if signs >> sketch & 1 else -residual
        return Spread(
            self.variance + sum(variance for _, _, variance in both),
            self.squares + sum(residual * residual for _, residual, _ in both),
            tuple(sketches),
            _standing_out(self.outlier, of_canary),
        )

    def phi(self, bad_per_replica: float, replicas: int) -> float:
        """At least 1. `bad_per_replica` are the bad requests to be expected of one canary replica in all that was
        counted: what replicas are taken to differ by anyway weighs the more, the more there are. The canary has so
        many `replicas`."""
        usual = 1 + USUAL * USUAL * bad_per_replica
        bursts = max(usual, (PRIOR_VARIANCE * usual + self.squares) / (PRIOR_VARIANCE + self.variance))
        lasting = bursts
        if self.variance > 0:
            seen = sum(sketch * sketch for sketch in self.sketches) / self.variance
            lasting = max(bursts, (PRIOR * bursts + seen) / (PRIOR + SKETCHES))
        return max(lasting, (OWN * lasting + self._standing_out(replicas)) / (OWN + 1))

    def apart(self, canary: Sequence[str]) -> str:
        """The pod of the canary that stands out by more than luck, if there is one."""
        if self.outlier.residual < MANY or self._standing_out(len(canary)) < APART:
            return ""
        return next((pod for pod in canary if self.outlier.names(pod)), "")

    def _standing_out(self, replicas: int) -> float:
        """How many times as far as by chance the outlier is out; some replica of many always is a little."""
        if self.outlier.variance <= 0 or replicas < 2:
            return 0.0
        return max(0.0, self.outlier.residual**2 / self.outlier.variance - 2 * log(replicas))


NOTHING_SEEN = Spread()


def _residuals(replicas: Sequence[Replica]) -> list[tuple[str, float, float]]:
    """Pod, residual and variance of each; none where all requests fared alike, which tells nothing of differences."""
    total = sum(replica.total for replica in replicas)
    bad = sum(replica.bad for replica in replicas)
    if len(replicas) < 2 or bad in (0, total):
        return []
    chance = bad * (total - bad) / (total - 1)
    shares = [replica.total / total for replica in replicas]
    return [
        (replica.pod, replica.bad - bad * share, chance * share * (1 - share))
        for replica, share in zip(replicas, shares, strict=True)
    ]


def _standing_out(before: Outlier, residuals: Sequence[tuple[str, float, float]]) -> Outlier:
    """The outlier so far, unless another replica was worse in this window alone than it was in all."""
    if not residuals:
        return before
    kept = before
    for pod, residual, variance in residuals:
        if before.names(pod):
            kept = Outlier(before.name, before.residual + residual, before.variance + variance)
    pod, residual, variance = max(residuals, key=lambda one: one[1])
    return Outlier(_hashed(pod)[1], residual, variance) if residual > max(0.0, kept.residual) else kept


@lru_cache(maxsize=4096)
def _hashed(pod: str) -> tuple[int, int]:
    """Signs, as bits, and a number other than 0."""
    digest = sha256(pod.encode()).digest()
    return digest[0], int.from_bytes(digest[1:4], "big") % 999_999 + 1
