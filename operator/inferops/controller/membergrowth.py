"""What a member's node autoscaler may bring, as far as it is trusted: judged by the replicas that wait for it there.

Trust is what the cluster's status has of it when this operator begins, so an operator that is started anew goes on from
there; since when replicas wait, their pods say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.formats import seconds
from inferops.api.inferencecluster import ClusterGrowth, Offer
from inferops.core.growth import Kind, Trust, grown, judged, restored
from inferops.core.offers import Free

SOONEST = 1.0  # seconds: the least that is waited for a change


class Growing:
    """The growth of one member."""

    def __init__(self, offers: Sequence[Offer] = ()) -> None:
        """`offers`: of the cluster's status."""
        self.trust: dict[Kind, Trust] = restored(offers)
        self._present: dict[Kind, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._kept: tuple[Sequence[Free], object, tuple[Free, ...]] | None = None

    def look(
        self,
        growth: Sequence[ClusterGrowth],
        free: Sequence[Free],
        oldest: Mapping[Kind, float],
        now: float,
        again: Callable[[], None],
    ) -> None:
        """Judge it by what there is now. `oldest`: since when replicas wait, by accelerator; `now`: Unix seconds;
        `again`: asks for another look, when time alone will have changed something."""
        present, trust, thens = {(each.accelerator, each.spot): each.present for each in free}, {}, []
        for each in growth:
            kind = each.accelerator, each.spot
            there = present.get(kind, 0)
            came = there > self._present.get(kind, there)
            before = self.trust.get(kind, Trust())
            trust[kind], then = judged(before, now, seconds(each.provisioning), oldest.get(kind), came=came)
            thens += [then] if then is not None else []
        self._present = {kind: present.get(kind, 0) for kind in trust}
        self.trust = trust
        self.stop()
        if thens:
            wait = max(min(thens) - now, SOONEST)
            self._timer = asyncio.get_running_loop().call_later(wait, again)

    def stop(self) -> None:
        """Ask for no other look."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def grown(
        self, free: tuple[Free, ...], growth: Sequence[ClusterGrowth], accelerators: Mapping[str, AcceleratorSpec]
    ) -> tuple[Free, ...]:
        """`free` with what may come; the same again while nothing has changed."""
        if not growth:
            return free
        by = (growth, dict(self.trust), accelerators)
        if self._kept is None or self._kept[0] is not free or self._kept[1] != by:
            self._kept = free, by, grown(free, growth, self.trust, accelerators)
        return self._kept[2]
