"""What a replica costs in a cluster: US dollars an hour, with what spot nodes cost beside.

One of these is taken away now and then, and what replaces it is paid for while it starts. Prices are the cluster's own,
else the Accelerator's; an accelerator without a price costs as much as any other, so that clusters are compared by what
else is known of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferops.core.clusters.kinds import Kind
from inferops.core.clusters.seen import ClusterView

UNPRICED = 1.0  # US dollars an hour of an accelerator
INTERRUPTED = 0.05  # of spot replicas, in an hour
FAR = 100.0  # times its price costs a replica within whose SLO nobody is served: it is left as soon as others have room


@dataclass(frozen=True, slots=True)
class Price:
    """Of one replica, US dollars an hour."""

    plain: float
    risk: float  # that its spot node is taken away

    @property
    def whole(self) -> float:
        return self.plain + self.risk


def price(cluster: ClusterView, kind: Kind, cold_start: float) -> Price:
    """`cold_start`: hours until a new replica serves there."""
    choice, known = kind.choice, kind.accelerator.price
    each = UNPRICED if known is None else known.usd_per_hour
    spot = None if known is None else known.spot_usd_per_hour
    for own in cluster.spec.prices:
        if own.accelerator == choice.type:
            each, spot = own.usd_per_hour, own.spot_usd_per_hour
    if not choice.spot:
        return Price(choice.count * each, 0.0)
    plain = choice.count * (each if spot is None else spot)
    return Price(plain, plain * INTERRUPTED * cold_start)


def cost(cluster: ClusterView, kind: Kind, cold_start: float) -> float:
    """Of one replica, an hour, as clusters are compared by it."""
    whole = price(cluster, kind, cold_start).whole
    return whole if kind.work else whole * FAR


def cost_of_work(cluster: ClusterView, kind: Kind, cold_start: float) -> float:
    """Of what a replica of the first kind next to its clients carries, an hour."""
    return cost(cluster, kind, cold_start) / (kind.work or kind.near)
