"""A small world in virtual time that does what a rollout wants, and plays Kubernetes, a gateway and users to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import RolloutSpec
from inferops.api.rolloutstatus import RolloutStatus
from inferops.core.event import Event
from inferops.core.observation import GateView, PodView, RevisionView, WorkloadView
from inferops.core.rollout import GateWanted, Outcome, Splitter, View, step
from inferops.core.signal import Count, ReplicaCounts, Window

NOW = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
A, B, C, D = "aaaa", "bbbb", "cccc", "dddd"
Write = Callable[[], None]


def spec(**parts: Any) -> RolloutSpec:
    """A rollout of short steps, unless told otherwise."""
    steps = [{"weight": 5, "minDuration": "30s"}, {"weight": 50, "minDuration": "30s"}]
    short = {"warmUp": "10s", "alpha": 0.05, "maxHold": "5m", **parts.pop("analysis", {})}
    return RolloutSpec.model_validate({"steps": steps, "analysis": short, **parts})


@dataclass(frozen=True)
class Behaviour:
    """What the replicas of a revision do."""

    pull: float = 2.0  # seconds
    load: float = 10.0
    errors: float = 0.0  # share of requests that fail
    crashes: bool = False
    runs_out: bool = False  # of memory, once it is loaded
    loads: bool = True


@dataclass
class World:
    """One service. What users and clusters do is set from outside, at any time."""

    target: str = A
    replicas: int = 2
    spec: RolloutSpec = field(default_factory=spec)
    splitter: Splitter = Splitter.OWN
    gpus: int = 100
    needed: int | None = None
    rate: int = 60  # requests a second
    counted: bool = True
    action: str = ""
    delay: float = 1.0  # until a gateway goes by the weights on record
    grace: float = 2.0  # until a pod that was deleted is gone
    does: dict[str, Behaviour] = field(default_factory=dict)
    says: dict[str, GateView] = field(default_factory=dict)  # by the name of the gate in the spec

    now: datetime = NOW
    state: RolloutStatus = field(default_factory=RolloutStatus)
    stable: str = ""
    routed_to: str = ""
    weights: Mapping[str, int] = field(default_factory=dict)
    weighed: datetime = NOW  # when they were written
    carried: Mapping[str, int] = field(default_factory=dict)  # by which weights requests are sent
    records: dict[str, int] = field(default_factory=dict)  # order
    workloads: dict[str, int] = field(default_factory=dict)
    pods: dict[str, PodView] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)  # when pods got a node, or were deleted
    sent: list[tuple[datetime, str, str, int, int]] = field(default_factory=list)  # when, pod, revision, bad, all
    owed: dict[str, float] = field(default_factory=dict)  # requests that are still to fail, by pod
    got: dict[str, int] = field(default_factory=dict)  # requests by revision
    asked: tuple[GateWanted, ...] = ()
    events: list[Event] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    lost: int = 0  # requests that met no replica
    born: int = 0
    written: int = 0
    killed: int = 0  # how often the operator ended before a write

    # What the operator sees, and does

    def view(self) -> View:
        views = {hash_: self._revision(hash_) for hash_ in {*self.records, *self.workloads}}
        gates = {one.name: self.says[one.gate.name] for one in self.asked if one.gate.name in self.says}
        return View(
            now=self.now,
            target=self.target,
            replicas=self.replicas,
            spec=self.spec,
            slo=SLOSpec(),
            revisions=views,
            recorded=self.stable,
            routed_to=self.routed_to,
            splitter=self.splitter,
            carried=frozenset(hash_ for hash_, weight in self.carried.items() if weight),
            in_force=self.carried == self.weights,
            needed=self.needed,
            window=self._window() if self.counted else None,
            uncounted="" if self.counted else "the gateway does not answer",
            gates=gates,
            action=self.action,
            weights=self.weights,
        )

    def reconcile(self, crash_after: int | None = None) -> int:
        """One reconcile; the operator ends after `crash_after` writes. Returns the number of writes."""
        outcome = step(self.state, self.view())
        self.outcomes.append(outcome)
        count = 0
        for write in self._writes(outcome):
            if count == crash_after:
                self.killed += 1
                return count
            write()
            count += 1
            self.written += 1
        self.asked = outcome.gates
        if all(hash_ in self.records for hash_ in outcome.replicas) and outcome.state == self.state:
            self.events += outcome.events
        return count

    def _writes(self, outcome: Outcome) -> Iterator[Write]:
        """In the controller's order: records, the Service, the pods, the status, what goes."""
        fresh = [hash_ for hash_ in outcome.replicas if hash_ not in self.records]
        for hash_ in fresh:
            yield lambda hash_=hash_: self.records.update({hash_: 1 + max(self.records.values(), default=0)})  # type: ignore[misc]
        if outcome.route in self.records and outcome.route != self.routed_to:
            yield lambda: setattr(self, "routed_to", outcome.route)
        for hash_, replicas in outcome.replicas.items():
            if hash_ not in fresh and self.workloads.get(hash_) != replicas:
                yield lambda hash_=hash_, replicas=replicas: self.workloads.update({hash_: replicas})  # type: ignore[misc]
        if fresh:
            return
        if (outcome.state, outcome.stable, dict(outcome.weights)) != (self.state, self.stable, dict(self.weights)):
            yield lambda: self._write_status(outcome)
        for hash_ in outcome.removed:
            yield lambda hash_=hash_: self.workloads.pop(hash_, None)  # type: ignore[misc]
            yield lambda hash_=hash_: self.records.pop(hash_, None)  # type: ignore[misc]

    def _write_status(self, outcome: Outcome) -> None:
        self.state = RolloutStatus.model_validate(outcome.state.dump())  # as it reads when it comes back
        self.stable = outcome.stable
        if dict(outcome.weights) != dict(self.weights):
            self.weights, self.weighed = dict(outcome.weights), self.now

    # What the cluster does

    def live(self, seconds: float = 1.0) -> None:
        """Time passes: controllers, the scheduler, kubelets, the gateway and users do their part."""
        self.now += timedelta(seconds=seconds)
        self._end_pods()
        self._scale()
        for name in sorted(self.pods, key=lambda name: int(name.split("-")[1])):
            self.pods[name] = self._run(self.pods[name])
        if (self.now - self.weighed).total_seconds() >= self.delay:
            self.carried = self.weights
        self._send(seconds)

    def _end_pods(self) -> None:
        for name, pod in list(self.pods.items()):
            if pod.deleting and (self.now - self.since[name]).total_seconds() >= self.grace:
                del self.pods[name]

    def _scale(self) -> None:
        for hash_ in {*self.workloads, *(pod.revision for pod in self.pods.values())}:
            mine = [pod for pod in self.pods.values() if pod.revision == hash_ and not pod.deleting]
            wanted = self.workloads.get(hash_, 0)
            # As Kubernetes does it: pods that are not ready go first, of these the newest.
            order = sorted(mine, key=lambda pod: (pod.ready, bool(pod.node), -int(pod.name.split("-")[1])))
            for pod in order[: max(len(mine) - wanted, 0)]:
                self.pods[pod.name] = replace(pod, deleting=True)
                self.since[pod.name] = self.now
                if not pod.node:
                    del self.pods[pod.name]
            for _ in range(wanted - len(mine)):
                self.born += 1
                self.pods[f"{hash_}-{self.born}"] = PodView(f"{hash_}-{self.born}", hash_)

    def _run(self, pod: PodView) -> PodView:
        if pod.deleting:
            return pod
        if not pod.node:
            if sum(bool(other.node) for other in self.pods.values()) >= self.gpus:
                return replace(pod, unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
            self.since[pod.name] = self.now
            return replace(pod, node="node", unschedulable="")
        how = self.does.get(pod.revision, Behaviour())
        age = (self.now - self.since[pod.name]).total_seconds()
        if age < how.pull:
            return pod
        if how.crashes:
            return replace(
                pod, started=True, waiting="CrashLoopBackOff", restarts=2, exit="Error, exit code 1", ready=False
            )
        if not how.loads or age < how.pull + how.load:
            return replace(pod, started=True)
        if how.runs_out and age >= how.pull + how.load + 20:
            return replace(pod, ready=False, ready_since=None, restarts=1, exit="OOMKilled")
        return replace(pod, started=True, ready=True, ready_since=pod.ready_since or self.now, waiting="")

    def _send(self, seconds: float) -> None:
        shares = self.carried if self.splitter is not Splitter.NOBODY else {self.routed_to: 100}
        for hash_, weight in shares.items():
            pods = [pod for pod in self.pods.values() if pod.revision == hash_ and pod.ready and not pod.deleting]
            total = round(self.rate * seconds * weight / 100)
            if not pods:
                self.lost += total if self.stable else 0
                continue
            errors = self.does.get(hash_, Behaviour()).errors
            for number, pod in enumerate(pods):
                mine = total // len(pods) + (number < total % len(pods))
                owed = self.owed.get(pod.name, 0.0) + mine * errors  # a part of a request fails later
                self.owed[pod.name] = owed - int(owed)
                self.sent.append((self.now, pod.name, hash_, int(owed), mine))
                self.got[hash_] = self.got.get(hash_, 0) + mine

    def _revision(self, hash_: str) -> RevisionView:
        pods = tuple(pod for pod in self.pods.values() if pod.revision == hash_)
        workload = WorkloadView() if hash_ in self.workloads else None
        return RevisionView(hash_, image="image", order=self.records.get(hash_, 0), workload=workload, pods=pods)

    def _window(self) -> Window | None:
        until = self.state.analysis.until
        since = datetime.fromisoformat(until) if until else NOW
        self.sent = [each for each in self.sent if each[0] > since]  # nobody asks for what was judged
        counts: dict[tuple[str, str], tuple[int, int]] = {}
        for _, pod, hash_, bad, total in self.sent:
            before = counts.get((pod, hash_), (0, 0))
            counts[pod, hash_] = (before[0] + bad, before[1] + total)
        found = tuple(
            ReplicaCounts(pod, hash_, {"errorRate": Count(bad, total)}, total)
            for (pod, hash_), (bad, total) in counts.items()
        )
        return Window(since, self.now, "gateway", found)

    # What tests do

    def run(self, seconds: float, each: float = 1.0) -> World:
        """So many seconds, with a reconcile each."""
        for _ in range(round(seconds / each)):
            self.live(each)
            self.reconcile()
        return self

    def until(self, *phases: str, limit: float = 600, each: float = 1.0) -> World:
        """Until the rollout is in one of the phases."""
        for _ in range(round(limit / each)):
            if self.state.phase in phases:
                return self
            self.live(each)
            self.reconcile()
        raise AssertionError(f"still {self.state.phase} after {limit} s: {self.state.message}")

    def ready(self, hash_: str) -> int:
        return self._revision(hash_).ready

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]


def serving(**parts: Any) -> World:
    """A world in which A serves with all its replicas, and B is asked for."""
    world = World(**parts)
    for _ in range(60):
        world.live()
        world.reconcile()
        if world.stable == A and world.ready(A) == world.replicas and world.carried == {A: 100}:
            break
    else:
        raise AssertionError("A does not serve")
    world.target = B
    world.events.clear()
    world.outcomes.clear()
    world.sent.clear()
    world.got.clear()
    return world
