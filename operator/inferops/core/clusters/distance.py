"""How far each cluster is from a service's clients: a round trip to its gateways, in the mean over all of them.

A cluster is next to clients of its own region unless it tells otherwise. For a region of which it tells nothing the
longest round trip counts that any of the clusters tells: who does not say that they are near is not taken to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor

from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.api.placement import ClientRegion

STEP = 10  # milliseconds by which distances are told apart


@dataclass(frozen=True, slots=True)
class Distance:
    """Of a cluster from the clients."""

    milliseconds: float = 0.0
    guessed: tuple[str, ...] = ()  # regions of clients of which the cluster tells nothing

    @property
    def seconds(self) -> float:
        """As it counts: in steps, so that a round trip that is measured anew moves nobody."""
        return floor(self.milliseconds / STEP + 0.5) * STEP / 1000


NEAR = Distance()


def distances(clients: Sequence[ClientRegion], clusters: Mapping[str, InferenceClusterSpec]) -> dict[str, Distance]:
    """Of each cluster, by name."""
    told = {name: {**({spec.region: 0} if spec.region else {}), **_told(spec)} for name, spec in clusters.items()}
    worst = {
        each.region: max((known[each.region] for known in told.values() if each.region in known), default=0)
        for each in clients
    }
    weights = sum(each.weight for each in clients)
    return {
        name: Distance(
            sum(each.weight * known.get(each.region, worst[each.region]) for each in clients) / max(weights, 1),
            tuple(each.region for each in clients if each.region not in known),
        )
        for name, known in told.items()
    }


def ranks(found: Mapping[str, Distance]) -> dict[str, int]:
    """The order of the clusters, the nearest first; those that are as far have the same place, and of these the ones
    that tell come before those that do not."""
    keys = {name: (each.seconds, bool(each.guessed)) for name, each in found.items()}
    order = {key: place for place, key in enumerate(sorted(set(keys.values())))}
    return {name: order[key] for name, key in keys.items()}


def _told(spec: InferenceClusterSpec) -> dict[str, int]:
    return {each.region: each.milliseconds for each in spec.latency}
