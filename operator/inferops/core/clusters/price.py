"""What a replica costs in a cluster: US dollars an hour, with what spot nodes cost beside.

One of these is taken away now and then, and what replaces it is paid for while it loads. Prices are the cluster's own,
else the Accelerator's; an accelerator without a price costs as much as any other, so that clusters are compared by what
else is known of them.
"""

from __future__ import annotations

from inferops.core.clusters.kinds import Kind
from inferops.core.clusters.seen import ClusterView
from inferops.core.placement.terms import Moving

UNPRICED = 1.0  # US dollars an hour of an accelerator
INTERRUPTED = 0.05  # of spot replicas, in an hour
MOVING = Moving()


def cost(cluster: ClusterView, kind: Kind) -> float:
    """Of one replica, an hour."""
    choice, price = kind.choice, kind.accelerator.price
    each = UNPRICED if price is None else price.usd_per_hour
    spot = None if price is None else price.spot_usd_per_hour
    for own in cluster.spec.prices:
        if own.accelerator == choice.type:
            each, spot = own.usd_per_hour, own.spot_usd_per_hour
    if choice.spot:
        return choice.count * (each if spot is None else spot) * (1 + INTERRUPTED * MOVING.hours)
    return choice.count * each
