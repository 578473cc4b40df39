"""Our own rule: the rollout's state machine as it is, in virtual time, with the evidence that it judges by."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import RolloutSpec
from inferops.api.rolloutstatus import RolloutStatus
from inferops.core import rollout
from inferops.core.observation import PodView, RevisionView
from inferops.core.signal import Count, ReplicaCounts, Window
from inferops.simulate.rollouts.rules import Verdict, Wanted
from inferops.simulate.rollouts.traffic import Replica, Service, World

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
VERDICTS: dict[str, Verdict] = {"RollingBack": "rolled back", "RolledBack": "rolled back", "Retaining": "promoted"}
PASSES = 4  # steps of the machine in which an unchanged world is sure to be settled


@dataclass(slots=True)
class Tally:
    """What one replica did since its requests were judged last."""

    requests: int = 0
    failed: int = 0
    measured: int = 0
    late: int = 0


@dataclass(slots=True)
class Ours:
    """One rollout by it."""

    service: Service
    spec: RolloutSpec = field(default_factory=RolloutSpec)
    state: RolloutStatus = field(default_factory=RolloutStatus)
    tallies: dict[str, Tally] = field(default_factory=dict[str, Tally])
    judged: str = ""  # until when
    since: datetime = BEGIN
    weights: dict[str, int] = field(default_factory=lambda: {"stable": 100})

    @property
    def compares(self) -> bool:
        """Every window."""
        return True

    def look(self, world: World) -> Wanted:
        """Let the machine take its step, as often as it takes until it rests."""
        for replica in (*world.canary, *world.stable):
            self._count(replica)
        now = BEGIN + timedelta(seconds=world.time)
        for _ in range(PASSES):
            before = (self.state.phase, self.state.step, self.weights)
            outcome = rollout.step(self.state, self._view(world, now))
            self.state, self.weights = outcome.state, dict(outcome.weights)
            if self.state.analysis.until != self.judged:
                self.judged, self.since = self.state.analysis.until, now
                self.tallies.clear()
            if (self.state.phase, self.state.step, self.weights) == before:
                break
        replicas = outcome.replicas
        return Wanted(
            weight=self.weights.get("canary", 0),
            canary=replicas.get("canary", 0),
            stable=replicas.get("stable", 0),
            verdict=VERDICTS.get(self.state.phase),
            resting=self.state.paused is not None,
        )

    def _count(self, replica: Replica) -> None:
        tally = self.tallies.setdefault(replica.pod, Tally())
        tally.requests += replica.requests
        tally.failed += replica.failed
        tally.measured += replica.requests - replica.failed
        tally.late += replica.late

    def _view(self, world: World, now: datetime) -> rollout.View:
        return rollout.View(
            now=now,
            target="canary",
            replicas=self.service.replicas,
            spec=self.spec,
            slo=SLOSpec(ttft=f"{round(1000 * self.service.slo)}ms"),
            revisions={"stable": _revision("stable", world.stable, 0), "canary": _revision("canary", world.canary, 1)},
            recorded="stable",
            routed_to="stable",
            splitter=rollout.Splitter.OWN,
            window=self._window(world, now),
            weights=self.weights,
        )

    def _window(self, world: World, now: datetime) -> Window:
        tallied = ((replica, self.tallies.get(replica.pod)) for replica in (*world.canary, *world.stable))
        return Window(
            since=self.since,
            until=now,
            source="gateway",
            replicas=tuple(_counts(replica, tally) for replica, tally in tallied if tally is not None),
        )


def _counts(replica: Replica, tally: Tally) -> ReplicaCounts:
    return ReplicaCounts(
        pod=replica.pod,
        revision="canary" if replica.canary else "stable",
        counts={"errorRate": Count(tally.failed, tally.requests), "ttft": Count(tally.late, tally.measured)},
        requests=tally.requests,
    )


def _revision(hash_: str, replicas: list[Replica], order: int) -> RevisionView:
    return RevisionView(hash=hash_, order=order, pods=tuple(_pod(one.pod, hash_, one.since) for one in replicas))


@lru_cache(maxsize=256)
def _pod(name: str, hash_: str, since: float) -> PodView:
    ready = BEGIN + timedelta(seconds=since)
    return PodView(name=name, revision=hash_, node="node", ready=True, started=True, ready_since=ready)
