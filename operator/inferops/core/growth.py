"""How far a node autoscaler is trusted to bring nodes: nobody knows before it has, and clouds run out of GPUs.

Nodes that may come count in full at first. Whenever replicas that were placed on them stay without a node for longer
than nodes take to come, trust is halved, so that placement looks elsewhere first; once nodes come, or an hour has
passed without such a replica, it is whole again. It stands in the cluster's status and is written when it changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.inferencecluster import ClusterGrowth, Offer
from inferops.core.offers import Coming, Free
from inferops.core.quotas import counted_as

MOST = 4  # times that trust is halved
FORGIVEN = 3600.0  # seconds after which it is whole again
FORMAT = "%Y-%m-%dT%H:%M:%SZ"

Kind = tuple[str, bool]  # an accelerator, and whether it is on spot nodes


@dataclass(frozen=True, slots=True)
class Trust:
    """How often nodes did not come of late."""

    missed: int = 0
    since: float = 0.0  # Unix seconds, when that changed; 0: never

    @property
    def share(self) -> float:
        """Of the nodes that may come, those that are reckoned with."""
        return 0.5**self.missed


def judged(
    before: Trust, now: float, provisioning: float, oldest: float | None, *, came: bool
) -> tuple[Trust, float | None]:
    """The trust now, and when time alone changes it; None: never. Times are Unix seconds.

    `provisioning`: seconds that nodes take to come; `oldest`: since when a replica is without a node, the first of
    them; `came`: nodes have come since `before`.
    """
    overdue = oldest is not None and now >= oldest + provisioning
    missed, since = before.missed, before.since
    if came and (missed or oldest is not None):
        missed, since = 0, float(int(now))
    elif oldest is not None and overdue and missed < MOST:
        began = max(oldest, since)
        times = max(0, math.floor((now - began) / provisioning))
        missed, since = min(missed + times, MOST), began + times * provisioning if times else since
    elif missed and not overdue and now >= since + FORGIVEN:
        missed, since = 0, float(int(now))
    thens = [max(oldest, since) + provisioning] if oldest is not None and missed < MOST else []
    thens += [since + FORGIVEN] if missed and not overdue else []
    return Trust(missed, since), min(thens, default=None)


def restored(offers: Sequence[Offer]) -> dict[Kind, Trust]:
    """What a status tells of it. Whatever cannot be read counts as nothing told."""
    found = {}
    for offer in offers:
        if offer.growth is not None and 0 < offer.growth.trust < 1:
            missed = min(round(-math.log2(offer.growth.trust)), MOST)
            found[offer.accelerator, offer.spot] = Trust(missed, _time(offer.growth.since))
    return found


def grown(
    free: Sequence[Free],
    growth: Sequence[ClusterGrowth],
    trust: Mapping[Kind, Trust],
    accelerators: Mapping[str, AcceleratorSpec],
) -> tuple[Free, ...]:
    """`free`, with the nodes that may come, also of accelerators that no node has."""
    found = {(each.accelerator, each.spot): each for each in free}
    for each in growth:
        kind, accelerator = (each.accelerator, each.spot), accelerators.get(each.accelerator)
        if accelerator is None:
            continue
        base = found.get(kind, Free(*kind, 0, 0, (), counted_as=counted_as(accelerator, claimed=False)))
        nodes, known = max(each.max_nodes - base.present, 0), trust.get(kind, Trust())
        since = datetime.fromtimestamp(known.since, UTC).strftime(FORMAT) if known.missed else ""
        coming = Coming((each.accelerators_per_node,) * nodes, math.floor(nodes * known.share), known.share, since)
        found[kind] = replace(base, coming=coming)
    return tuple(each for _, each in sorted(found.items()))


def _time(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
    except ValueError:  # somebody edited it
        return 0.0
