"""What each arm did in one window, by replica: the counts that may be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inferops.api.rollout import Metric
from inferops.core.evidence.eprocess import Block
from inferops.core.signal import Count, ReplicaCounts, Window


@dataclass(frozen=True, slots=True)
class Arms:
    """Who is compared."""

    canary: str  # hash of the revision
    stable: str
    warm: frozenset[str]  # pods whose latencies of this window count: ready for analysis.warmUp before it began


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of an arm in one window. `bad` is from 0 to `total`."""

    pod: str
    bad: int
    total: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One metric in one window."""

    canary: tuple[Replica, ...]  # those with requests
    stable: tuple[Replica, ...]
    told: bool  # whether the source tells of this metric for both arms

    @property
    def block(self) -> Block:
        """Both arms, each added up."""
        return Block(
            canary_bad=sum(replica.bad for replica in self.canary),
            canary=sum(replica.total for replica in self.canary),
            stable_bad=sum(replica.bad for replica in self.stable),
            stable=sum(replica.total for replica in self.stable),
        )


def seen(window: Window, arms: Arms, metric: Metric) -> Seen | None:
    """What `window` tells of `metric`; None where it holds no replica of one arm, and so tells nothing at all."""
    canary = [replica for replica in window.replicas if replica.revision == arms.canary]
    stable = [replica for replica in window.replicas if replica.revision == arms.stable]
    if not canary or not stable or arms.canary == arms.stable:
        return None
    told = all(any(metric in replica.counts for replica in arm) for arm in (canary, stable))
    return Seen(_warm(canary, arms, metric), _warm(stable, arms, metric), told)


def _warm(replicas: Iterable[ReplicaCounts], arms: Arms, metric: Metric) -> tuple[Replica, ...]:
    return tuple(
        _replica(replica.pod, replica.counts[metric])
        for replica in replicas
        if metric in replica.counts
        and replica.counts[metric].total > 0
        # Caches that are cold excuse late requests, not failed ones.
        and (replica.pod in arms.warm or metric == "errorRate")
    )


def _replica(pod: str, count: Count) -> Replica:
    """Counts as they must be, whatever the source says: two counters are never read at quite the same moment."""
    return Replica(pod, min(max(count.bad, 0), count.total), count.total)
