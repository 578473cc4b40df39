"""How long a new replica of a service takes to start in each cluster, as the clusters' own operators learned it.

Where none was learned the mean of those that were counts, or else the time that is taken to be usual. What is needed
while replicas start is not reserved here: a member that scales by load asks for what it will need by the time that new
ones are ready, so what slow starts take is in the number of replicas that it asks for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from inferops.core.clusters.seen import ClusterView
from inferops.core.placement.terms import Moving

USUAL = Moving().hours
STEP = 1.25  # ratio of two times that are told apart: a start that is a little quicker moves nobody and writes nothing


def cold_starts(clusters: Mapping[str, ClusterView]) -> dict[str, float]:
    """Hours, by cluster."""
    learned = {name: seconds for name, view in clusters.items() if (seconds := _learned(view)) is not None}
    mean = math.fsum(learned.values()) / len(learned) if learned else USUAL * 3600
    return {name: _rounded(learned.get(name, mean)) / 3600 for name in clusters}


def _learned(view: ClusterView) -> float | None:
    return view.child.cold_start if view.child is not None else None


def _rounded(seconds: float) -> float:
    """To the next of a geometric series that has the usual time in it."""
    usual = USUAL * 3600
    return usual * STEP ** round(math.log(max(seconds, 1.0) / usual, STEP))
