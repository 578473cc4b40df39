"""A perfect cluster in virtual time: it does what a Decision says, write by write, and runs the pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.rollout import ACTION
from inferops.core.decide import Decision, RevisionPlan, decide
from inferops.core.observation import Demand, NodeView, Observation, PodView, RevisionView, WorkloadView
from inferops.core.revision import RevisionSpec
from inferops.core.scheduling import match
from unit.core.building import ACCELERATORS, NOW, node, seen, service

Write = Callable[[], None]
NODES = (node("big", "l4", 64), node("fast", "h100", 64))


@dataclass
class Cluster:
    """One service and the world around it. `spec` is what the user asks for and is set from outside."""

    spec: dict[str, Any] = field(default_factory=dict)
    choices: tuple[str, ...] = ("l4",)
    known_runtime: bool = True
    generation: int = 1
    status: InferenceServiceStatus = field(default_factory=InferenceServiceStatus)
    nodes: dict[str, NodeView] = field(default_factory=lambda: {node.name: node for node in NODES})
    records: dict[str, tuple[RevisionSpec, int]] = field(default_factory=dict)
    workloads: dict[str, int] = field(default_factory=dict)  # replicas
    pods: dict[str, PodView] = field(default_factory=dict)
    needs: dict[str, RevisionSpec] = field(default_factory=dict)  # what a Deployment's pods need, record or not
    routed_to: str = ""
    gateways: tuple[str, ...] = ()
    demand: Demand | None = None
    action: str = ""  # the annotation by which somebody acts on a rollout
    held_since: datetime | None = None  # when the gateways came behind the Service
    now: datetime = NOW
    born: int = 0

    def change(self, *choices: str, **spec: Any) -> None:
        """The user applies another spec."""
        self.spec, self.choices = {**self.spec, **spec}, choices or self.choices
        self.generation += 1

    def seen(self) -> Observation:
        self.now += timedelta(seconds=1)
        of = service(*self.choices, status=self.status, generation=self.generation, **self.spec)
        annotations = {ACTION: self.action} if self.action else {}
        of = of.model_copy(update={"metadata": of.metadata.model_copy(update={"annotations": annotations})})
        views = tuple(sorted(map(self._view, {*self.records, *self.workloads}), key=lambda one: (one.order, one.hash)))
        more = {} if self.known_runtime else {"runtime": None, "engine": None}
        found: Observation = seen(of, *views, nodes=tuple(self.nodes.values()), routed_to=self.routed_to, **more)
        told = {"gateways": self.gateways, "demand": self.demand, "held_since": self.held_since}
        return replace(found, now=self.now, **told)

    def _view(self, hash_: str) -> RevisionView:
        spec, order = self.records.get(hash_, (None, 0))
        workload = WorkloadView() if hash_ in self.workloads else None
        pods = tuple(pod for pod in self.pods.values() if pod.revision == hash_)
        image = "vllm/vllm-openai:v1" if spec else ""
        return RevisionView(hash_, spec, image, order=order, workload=workload, pods=pods)

    def writes(self, decision: Decision) -> Iterator[Write]:
        """The writes that bring the cluster to `decision`, in the controller's order. Unchanged is not written."""
        yield from self._write_route(decision)
        for plan in decision.revisions:
            if plan.new is None:
                yield from self._write_workload(plan)
        for plan in decision.revisions:
            if plan.new is not None:  # its pods and the status are left to the next run
                yield lambda plan=plan: self.records.update({plan.hash: (plan.new, plan.order)})  # type: ignore[misc]
                yield from self._write_route(decision)
                return
        yield from self._write_status(decision)
        if not decision.gateways and self.held_since is not None:
            yield lambda: setattr(self, "held_since", None)
        for hash_ in decision.removed:
            if hash_ in self.workloads:
                yield lambda hash_=hash_: self.workloads.pop(hash_)  # type: ignore[misc]
            if hash_ in self.records:
                yield lambda hash_=hash_: self.records.pop(hash_)  # type: ignore[misc]

    def _write_status(self, decision: Decision) -> Iterator[Write]:
        if self.status != decision.status:  # as it reads when it comes back from the API server
            stored = InferenceServiceStatus.model_validate(decision.status.dump())
            yield lambda: setattr(self, "status", stored)

    def _write_route(self, decision: Decision) -> Iterator[Write]:
        if decision.route_to in self.records and decision.gateways and self.held_since is None:
            yield lambda: setattr(self, "held_since", self.now)
        if decision.route_to in self.records and self.routed_to != decision.route_to:
            yield lambda: setattr(self, "routed_to", decision.route_to)

    def _write_workload(self, plan: RevisionPlan) -> Iterator[Write]:
        if plan.hash in self.records and self.workloads.get(plan.hash) != plan.replicas:
            self.needs[plan.hash] = self.records[plan.hash][0]
            yield lambda: self.workloads.update({plan.hash: plan.replicas})

    def run_pods(self, ready: bool = True) -> None:
        """The Deployment controller, the scheduler and the kubelet, each once."""
        for name, pod in list(self.pods.items()):
            if pod.deleting or pod.revision not in self.workloads:
                del self.pods[name]
        for hash_, replicas in self.workloads.items():
            mine = [name for name, pod in self.pods.items() if pod.revision == hash_]
            # As Kubernetes does it: pods that are not ready go first.
            for name in sorted(mine, key=lambda name: (self.pods[name].ready, name))[: max(len(mine) - replicas, 0)]:
                del self.pods[name]
            for _ in range(replicas - len(mine)):
                self.born += 1
                self.pods[f"pod-{self.born}"] = PodView(f"pod-{self.born}", hash_)
        for name, pod in self.pods.items():
            self.pods[name] = self._place(pod) if not pod.node else self._run(pod, ready)

    def _run(self, pod: PodView, ready: bool) -> PodView:
        since = pod.ready_since or self.now if ready else None
        return replace(pod, ready=ready, waiting="", started=True, ready_since=since)

    def _place(self, pod: PodView) -> PodView:
        need = self.needs[pod.revision].accelerator
        accelerator = ACCELERATORS[need.type]
        for usable in match(need, accelerator, list(self.nodes.values())).usable:
            there = [other for other in self.pods.values() if other.node == usable.name]
            taken = sum(self.needs[other.revision].accelerator.count for other in there)
            if usable.allocatable[accelerator.resource_name] - taken >= need.count:
                return replace(pod, node=usable.name, unschedulable="")
        return replace(pod, unschedulable=f"0/{len(self.nodes)} nodes: Insufficient {accelerator.resource_name}.")

    def reconcile(self, crash_after: int | None = None) -> int:
        """One reconcile; the operator ends after `crash_after` writes. Returns the number of writes."""
        count = 0
        for write in self.writes(decide(self.seen())):
            if count == crash_after:
                break
            write()
            count += 1
        return count

    def settle(self, crash_after: int | None = None, rounds: int = 20) -> int:
        """Until nothing changes any more; the operator ends once, after its write number `crash_after`.
        Returns the number of writes."""
        done = 0
        for _ in range(rounds):
            before = dict(self.pods)
            self.run_pods()
            count = self.reconcile(crash_after)
            done += count
            if count == 0 and before == self.pods:
                return done
            if crash_after is not None:
                crash_after = crash_after - count or None
        raise AssertionError(f"still changing after {rounds} rounds: {self.status.conditions}")

    def end(self) -> dict[str, Any]:
        """What is left of it all, without times and names of pods."""
        return {
            "records": {hash_: spec for hash_, (spec, _) in self.records.items()},
            "workloads": self.workloads,
            "routed to": self.routed_to,
            "ready": sorted(pod.revision for pod in self.pods.values() if pod.ready),
            "conditions": sorted((c.type, c.status, c.reason, c.message) for c in self.status.conditions),
            "revisions": self.status.revisions,
            "stable": self.status.stable_revision,
            "latest": self.status.latest_revision,
        }
