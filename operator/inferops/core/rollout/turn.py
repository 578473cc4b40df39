"""A step of a rollout while it is taken: what it sees, what it remembers, what it tells, when it looks again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from inferops.api.conditions import Reason
from inferops.api.rolloutstatus import UNDER_WAY, Phase, RolloutStatus
from inferops.core.event import Event
from inferops.core.observation import PodView, RevisionView
from inferops.core.rollout import clocks
from inferops.core.rollout.view import Splitter, View

LONGEST = 1024  # characters of a sentence


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas of a revision there are, and how far they have come."""

    present: int = 0  # those that end are among them: they hold their GPUs
    live: int = 0
    placed: int = 0
    started: int = 0
    ready: int = 0
    unschedulable: int = 0


def count(revision: RevisionView | None) -> Replicas:
    """Replicas of a revision. One on several nodes is a group of pods, and is where all of them are."""
    if revision is None:
        return Replicas()
    groups: dict[str, list[PodView]] = {}
    for pod in revision.pods:
        groups.setdefault(pod.group or pod.name, []).append(pod)
    live = [[pod for pod in pods if not pod.deleting] for pods in groups.values()]
    live = [pods for pods in live if any(not pod.worker for pod in pods)]
    size = revision.pods_per_replica
    answering = [any(pod.ready and not pod.worker for pod in pods) for pods in live]

    def all_of(pods: list[PodView], hold: Iterable[bool]) -> bool:
        return len(pods) >= size and all(hold)

    return Replicas(
        present=len(groups),
        live=len(live),
        placed=sum(
            ok or all_of(pods, (bool(pod.node) for pod in pods)) for ok, pods in zip(answering, live, strict=True)
        ),
        started=sum(
            ok or all_of(pods, (pod.started for pod in pods)) for ok, pods in zip(answering, live, strict=True)
        ),
        ready=revision.ready,
        unschedulable=sum(any(pod.unschedulable and not pod.node for pod in pods) for pods in live),
    )


@dataclass(slots=True)
class Turn:
    """One step. `state` changes as it is taken; nothing else of it lasts."""

    view: View
    state: RolloutStatus
    stable: str  # hash of the revision that serves
    events: list[Event] = field(default_factory=list[Event])
    due: list[float] = field(default_factory=list[float])  # seconds until time alone may change something
    counted: dict[str, Replicas] = field(default_factory=dict[str, Replicas])

    @property
    def now(self) -> datetime:
        return self.view.now

    @property
    def wanted(self) -> int:
        """Replicas of whoever serves, by scaling."""
        return self.view.replicas

    @property
    def carries(self) -> int:
        """Replicas that carry the requests: all, where nobody knows. What needs few now may need more in a moment,
        and a replica takes minutes to load: at most a quarter of them is done without, or one."""
        wanted, needed = self.view.replicas, self.view.needed
        return wanted if needed is None else min(max(needed, wanted - max(wanted // 4, 1)), wanted)

    @property
    def under_way(self) -> bool:
        return self.state.phase in UNDER_WAY

    @property
    def splits(self) -> bool:
        return self.view.splitter is not Splitter.NOBODY

    def of(self, hash_: str) -> Replicas:
        if hash_ not in self.counted:
            self.counted[hash_] = count(self.view.revisions.get(hash_))
        return self.counted[hash_]

    def elapsed(self, since: str) -> float:
        return clocks.elapsed(self.now, since)

    def wake(self, seconds: float) -> None:
        """Look again after so many seconds at the latest."""
        self.due.append(seconds)

    def set(self, **changes: Any) -> None:
        self.state = self.state.model_copy(update=changes)

    def say(self, reason: Reason | str, message: str) -> None:
        """Why it is where it is."""
        self.set(reason=str(reason), message=message[:LONGEST])

    def tell(self, reason: Reason | str, message: str, *, warning: bool = False) -> None:
        """Something that happened, for people."""
        self.events.append(Event(warning, str(reason), message[:LONGEST], rollout=True))

    def enter(self, phase: Phase, reason: Reason | str, message: str, *, warning: bool = False) -> None:
        """Another phase, or another step in it. Staying in one is no news."""
        if phase != self.state.phase:
            self.set(phase=phase, since=clocks.stamp(self.now))
            self.tell(reason, message, warning=warning)
        self.say(reason, message)

    def carrying(self, hash_: str) -> bool:
        """Whether requests may still be sent to a revision, by whoever does so."""
        view = self.view
        if hash_ in view.carried or hash_ in (view.recorded, view.routed_to) or view.weights.get(hash_, 0) > 0:
            return True
        ours = hash_ in (self.stable, self.state.canary, self.state.previous)
        return ours and self.splits and not view.in_force and self.of(hash_).ready > 0
