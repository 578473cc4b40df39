"""The Jobs of gates: made while they are wanted, stopped when they are not, and read when they have ended.

Nothing is remembered of them that a new process would miss: a Job tells by its annotations which gate it is of. One
that judged stays until its time to live is over, so that its log can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferops.api.resources import InferenceService
from inferops.controller.jobs import JobView
from inferops.controller.store import Child, Key, Store
from inferops.controller.webhooks import plain
from inferops.core.observation import GateView
from inferops.core.rollout.view import GateWanted
from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import JOB, POD
from inferops.kube.owned import Object
from inferops.render.gatejob import CONTAINER, Compared, job_name, render_gate_job

AGAIN = 10.0  # seconds until a Job that the API server refused is tried again
OF_JOB = "batch.kubernetes.io/controller-uid"  # label of a Job's pods: its uid


class GateJobs:
    """The Jobs that judge canaries."""

    def __init__(self, kube: Kube, store: Store, add: Callable[[Key, float], None], clock: Callable[[], float]) -> None:
        """`add`: asks for a run of a service in so many seconds."""
        self._kube, self._store, self._add, self._clock = kube, store, add, clock
        self._said: dict[Key, dict[str, str]] = {}  # by uid of a Job that has ended: what its container said
        self._refused: dict[Key, dict[str, tuple[float, GateView]]] = {}  # by gate: until when, and why

    def views(self, key: Key) -> dict[str, GateView]:
        """What the service's Jobs say, by the names of their gates."""
        said = self._said.get(key, {})
        views = {gate: view for gate, (_, view) in self._refused.get(key, {}).items()}
        for name, child, job in self._jobs(key):
            views[job.gate] = _view(name, job, said.get(child.uid))
        return views

    async def ask(
        self, key: Key, service: InferenceService, wanted: Sequence[GateWanted], told: Callable[[GateWanted], Compared]
    ) -> None:
        """Make the Jobs of the gates that are `wanted`, and stop those of others. Raises KubeError and Fenced."""
        jobs = {name: (child, job) for name, child, job in self._jobs(key)}
        names = {job_name(key.name, each): each for each in wanted}
        self._forget_others(key, {each.name for each in wanted}, {child.uid for child, _ in jobs.values()})
        for name, (child, job) in jobs.items():
            # Before another is made: two would ask for the resources of both. What judged nothing makes room, too: its
            # gate may be asked again.
            if job.outcome in ("Running", "Unjudged") and name not in names and not child.deleting:
                await self._kube.delete(JOB, key.namespace, name, child.uid)
        for name, each in names.items():
            if name in jobs:
                await self._read(key, name, *jobs[name], each)
            else:
                await self._make(key, service, each, told(each))

    def forget(self, key: Key) -> None:
        """The service is gone; its Jobs go with it."""
        self._said.pop(key, None)
        self._refused.pop(key, None)

    def _jobs(self, key: Key) -> list[tuple[str, Child, JobView]]:
        """The service's Jobs that are of gates, and no namesake's of an earlier service."""
        parent = self._store.parent(key)
        return [
            (name, child, child.view)
            for name, child in self._store.children(key, JOB).items()
            if isinstance(child.view, JobView) and child.view.gate and parent is not None and child.owner == parent.uid
        ]

    async def _make(self, key: Key, service: InferenceService, wanted: GateWanted, told: Compared) -> None:
        refused = self._refused.setdefault(key, {})
        if wanted.name in refused and self._clock() < refused[wanted.name][0]:
            return
        try:
            answer = await self._kube.apply(JOB, render_gate_job(service, wanted, told), force=False)
        except KubeError as error:
            if error.status != 409 and not error.final:
                raise
            # Quota, pod security, a policy of the cluster: nothing was judged, and people may act.
            why = plain(f"the API server refuses its Job: {error.message}")
            refused[wanted.name] = (self._clock() + AGAIN, GateView("Waiting", why))
            self._add(key, AGAIN)
            return
        refused.pop(wanted.name, None)
        self._take_in(answer)

    async def _read(self, key: Key, name: str, child: Child, job: JobView, wanted: GateWanted) -> None:
        """Look at a Job that may have ended. One that judged nothing makes room for another where its gate is asked
        anew, as after a pause."""
        if job.outcome == "Running" or child.deleting:
            return
        if job.outcome == "Unjudged":
            if job.since != wanted.since.isoformat():
                await self._kube.delete(JOB, key.namespace, name, child.uid)
            return
        said = self._said.setdefault(key, {})
        if child.uid not in said:
            said[child.uid] = await self._last_words(key, child.uid)
            self._add(key, 0.0)

    async def _last_words(self, key: Key, uid: str) -> str:
        """What the container of a Job's last pod said at its end. Without an answer a verdict goes without it."""
        pods: list[Object] = []
        try:
            async for page, _ in self._kube.pages(POD, f"{OF_JOB}={uid}", namespace=key.namespace):
                pods += page
        except KubeError:
            return ""
        last = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default={})
        return plain(_terminated(last))

    def _forget_others(self, key: Key, gates: set[str], uids: set[str]) -> None:
        """Remember nothing of other gates and Jobs than these."""
        refused, said = self._refused.get(key, {}), self._said.get(key, {})
        for gate in refused.keys() - gates:
            del refused[gate]
        for uid in said.keys() - uids:
            del said[uid]
        if not refused and not said:
            self.forget(key)

    def _take_in(self, answer: Object) -> None:
        for key in self._store.put(JOB, answer):
            self._add(key, 0.0)


def _terminated(pod: Object) -> str:
    """The message that the container of a gate's pod left."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        if container.get("name") == CONTAINER:
            ended = (container.get("state") or {}).get("terminated") or {}
            return str(ended.get("message") or "")
    return ""


def _view(name: str, job: JobView, said: str | None) -> GateView:
    """`said`: None while it was not read."""
    if job.outcome == "Running":
        return GateView("Waiting", f"Job {name} has not ended")
    if job.outcome == "Unjudged":
        return GateView("Waiting", plain(f"Job {name}: {job.message}"))
    if said is None:
        return GateView("Waiting", f"Job {name} has ended; what it said is being read")
    how = f"Job {name} succeeded" if job.outcome == "Passed" else f"Job {name} failed: {job.message}"
    return GateView(job.outcome, plain(f"{how}: {said}" if said else how))
