"""One reconcile of an InferenceService: observe, decide, apply.

Nothing is decided in this module and nothing is read or written in `core`: the two halves meet here and only
here, so that every decision can be replayed from an Observation in a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.api.resources import InferenceCluster
from inferops.api.traffic import GatewayRef
from inferops.controller.apply import Applier, Refused, Unroutable
from inferops.controller.autoscaling import Autoscaling
from inferops.controller.events import Recorder
from inferops.controller.members import Identity, Members
from inferops.controller.notify import Notifier
from inferops.controller.observe import Told, Unreadable, content, leaving, observe, unreadable
from inferops.controller.parents import FINALIZER
from inferops.controller.placing import Placing
from inferops.controller.rollouts import Rollouts
from inferops.controller.sizer import Sizer
from inferops.controller.store import Key, Raw, Store
from inferops.core import choices
from inferops.core.clusters import naming
from inferops.core.clusterstatus import NOT_ACTED_ON, Member, cluster_status
from inferops.core.decide import Decision, decide
from inferops.core.engine import Obstacle
from inferops.core.observation import Observation
from inferops.core.status import invalid
from inferops.kube.doing import note
from inferops.kube.kinds import INFERENCE_CLUSTER
from inferops.kube.tracing import part

AGAIN = 10.0  # seconds until another look at who is in a route's way
SOON = 1.0  # seconds until what has to wait for Kubernetes is tried again


@dataclass(slots=True)
class Reconciler:
    """What a reconcile works with."""

    store: Store
    applier: Applier
    recorder: Recorder
    now: Callable[[], datetime]
    sizer: Sizer | None = None  # without it nothing is sized
    gateway: GatewayRef | None = None  # for services that name none
    told: Told | None = None  # by the built-in gateways; without it there are none
    later: Callable[[Key, float], None] = lambda key, seconds: None  # asks for another run in so many seconds
    rollouts: Rollouts | None = None  # what was counted for them, and their gates; without it nothing is judged
    notifier: Notifier | None = None  # without it nobody is told but by Events
    members: Members | None = None  # other clusters; without it they are stored and not acted on
    placing: Placing | None = None  # what is placed on them; without it everything runs here
    autoscaling: Autoscaling | None = None  # what is asked of them; without it none is scaled by load
    barred: Callable[[str], bool] = lambda namespace: False  # whether not all is known of a namespace

    async def reconcile(self, key: Key) -> bool:
        """Bring what the cluster holds for `key` to what its InferenceService asks for.

        Safe to call at any time and any number of times: a second call on the same world writes nothing.
        Returns False where the service is gone: owner references take its children along. Raises Refused when
        the API server refuses an object for good (the status says so by then), KubeError when it does not
        answer; the queue retries both with back-off.
        """
        if key.kind == INFERENCE_CLUSTER.kind:
            return await self._tell_cluster(key)
        return self.barred(key.namespace) or await self._serve(key)

    async def _serve(self, key: Key) -> bool:
        """The same of an InferenceService."""
        if self.placing is not None and (going := leaving(self.store, key)) is not None:
            return not await self.placing.leave(key, going)
        seen = self._observe(key)
        if seen is None:
            for each in (self.sizer, self.rollouts, self.autoscaling):
                if each is not None:
                    each.forget(key)
            return False
        if isinstance(seen, Unreadable):
            await self._tell_unreadable(key, seen)
            return True
        if seen.looking and choices.waits_for_sizing(seen):
            return True
        if self.placing is not None and naming.is_placed(seen.service):
            with part("place"):
                news = await self.placing.place(key, seen)
            await self.recorder.record(key, seen.service.metadata.uid, news)
            return True
        try:
            decision, stands = await self._apply(key, seen)
        except Refused as refused:
            await self._tell_refused(key, refused)
            raise
        if stands:
            with part("follow up"):
                await self._follow_up(key, seen, decision)
        if decision.again is not None:
            self.later(key, decision.again)
        return True

    def _observe(self, key: Key) -> Observation | Unreadable | None:
        told = (self.sizer, self.gateway, self.told, self.rollouts, self.autoscaling)
        with part("observe"):
            seen = observe(key, self.store, self.now(), *told)
        if isinstance(seen, Observation):
            about = seen.service
            note(revision=about.status.latest_revision or "", generation=str(about.metadata.generation or ""))
        return seen

    async def _follow_up(self, key: Key, seen: Observation, decision: Decision) -> None:
        """What comes once the status stands: telling people, asking gates, and leaving gateways."""
        if self.autoscaling is not None:
            self.autoscaling.applied(key, decision.looked)
        await self.recorder.record(key, seen.service.metadata.uid, decision.events)
        if self.notifier is not None:
            self.notifier.notify(key, decision.events)
        if self.rollouts is not None:
            await self.rollouts.ask(key, seen.service, decision.gates)
        if not await self.applier.leave_gateways(key, seen, decision):
            self.later(key, SOON)
        if self.placing is not None and FINALIZER in seen.service.metadata.finalizers:
            await self.placing.come_home(key, seen, decision.status.conditions)

    async def _tell_refused(self, key: Key, refused: Refused) -> None:
        seen = self._observe(key)
        if seen is None or isinstance(seen, Unreadable):
            return
        told = decide(replace(seen, refused=refused.obstacle))
        before, uid = seen.service.status, seen.service.metadata.uid
        await self.applier.write_status(key, uid, before, told.status)
        await self.recorder.record(key, uid, told.events)

    async def _apply(self, key: Key, seen: Observation) -> tuple[Decision, bool]:
        """Decide and apply. Whoever stands in the way of the route or the export alone holds up nothing inside the
        cluster: it is told, and looked at again, since nobody tells when it goes."""
        while True:
            with part("decide"):
                decision = decide(seen)
            note(revision=decision.status.latest_revision or "")
            try:
                with part("apply"):
                    return decision, await self.applier.apply(key, seen, decision)
            except Unroutable as refused:
                self.later(key, AGAIN)
                seen = refused.noted(seen)

    async def _tell_unreadable(self, key: Key, seen: Unreadable) -> None:
        status = invalid(seen.status, seen.obstacle, seen.generation, self.now())
        await self.applier.write_status(key, seen.uid, seen.status, status)

    async def _tell_cluster(self, key: Key) -> bool:
        raw = content(self.store, key)
        if raw is None:
            if self.members is not None:
                self.members.forget(key)
            return False
        meta = raw["metadata"]
        try:
            before = InferenceClusterStatus.model_validate(raw.get("status") or {})
        except ValidationError:  # somebody made it unreadable: it counts as none, and is written anew
            before = InferenceClusterStatus()
        seen = self._member(key, raw, before)
        if seen is None:
            return True
        after = cluster_status(before, int(meta.get("generation") or 0), self.now(), seen)
        await self.applier.write_status(key, str(meta.get("uid", "")), before, after)
        return True

    def _member(self, key: Key, raw: Raw, before: InferenceClusterStatus) -> Member | Obstacle | None:
        if self.members is None:
            return NOT_ACTED_ON
        meta = raw["metadata"]
        uid, since = str(meta.get("uid", "")), str(meta.get("creationTimestamp", ""))
        identity = Identity(uid, since, meta.get("labels") or {})
        try:
            spec = InferenceCluster.model_validate({**raw, "status": {}}).spec
        except ValidationError as error:
            why = unreadable(error)
            self.members.unreadable(key, identity, why)
            return why
        return self.members.seen(key, identity, spec, before)
