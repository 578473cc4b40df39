"""Random walks of a service behind a Gateway that is slow, away or refuses: what it sends requests to stays, and when
it is well again nothing is left over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferops.core.decide import Decision, decide
from inferops.core.observation import HTTP_ROUTE, Observation, RouteView
from unit.core.cluster import Cluster, Write
from unit.core.rules import holds
from unit.core.test_walks import (
    DOES,
    Step,
    assert_serves_what_is_asked_for,
    facts_of_pods,
    heal,
    losses,
    model,
    specs,
)

NAMED = {"gatewayRef": {"name": "public"}}


@dataclass
class Gateway:
    """What the Gateway has read, and sends requests by."""

    observed: int = 0  # generation of the route
    accepted: bool = False
    sends_to: dict[str, int] = field(default_factory=dict)


@dataclass
class Routed(Cluster):
    """A cluster with a Gateway in front."""

    route: dict[str, int] | None = None
    version: int = 0
    gateway: Gateway = field(default_factory=Gateway)

    def seen(self) -> Observation:
        view = None
        if self.route is not None:
            new = self.gateway.observed == self.version
            view = RouteView(
                self.route,
                live=self.gateway.accepted,
                programmed=new and self.gateway.accepted,
                problem="no" if new and not self.gateway.accepted else "",
            )
        return replace(super().seen(), kinds=frozenset([HTTP_ROUTE]), route=view)

    def _write_status(self, decision: Decision) -> Iterator[Write]:
        wanted = decision.route
        if wanted is not None and self.route != wanted.weights:
            yield lambda: self._apply_route(dict(wanted.weights))
        if decision.unrouted and self.route is not None:
            yield self._delete_route
        yield from super()._write_status(decision)

    def _apply_route(self, weights: dict[str, int]) -> None:
        self.route, self.version = weights, self.version + 1

    def _delete_route(self) -> None:
        self.route, self.gateway = None, Gateway()

    def listen(self, accepts: bool) -> None:
        """The Gateway reads the route, and says what it makes of it."""
        if self.route is not None:
            self.gateway = Gateway(self.version, accepts, dict(self.route) if accepts else {})

    def run_pods(self, ready: bool = True) -> None:
        super().run_pods(ready)
        if self.attentive:
            self.listen(True)

    attentive: bool = False  # whether the Gateway follows at once


def listen(cluster: Routed, accepts: bool) -> None:
    cluster.listen(accepts)


def attach(cluster: Routed, named: bool) -> None:
    cluster.change(traffic=NAMED if named else {})


def reconcile(cluster: Routed, crash_after: int | None) -> None:
    """One reconcile, in which no ready revision goes that the Gateway sends requests to."""
    seen = cluster.seen()
    decision = decide(seen)
    holds(seen, decision)
    answering = {each.hash for each in seen.revisions if each.ready}
    assert not {*decision.removed} & answering & cluster.gateway.sends_to.keys()
    cluster.reconcile(crash_after)


ACTS: dict[str, Any] = {**DOES, "listen": listen, "attach": attach, "reconcile": reconcile}
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("reconcile"), st.none() | st.integers(0, 6)),
    st.tuples(st.just("reconcile"), st.none()),
    st.tuples(st.just("kubelet"), st.just(True) | st.booleans()),
    st.tuples(st.just("listen"), st.just(True) | st.booleans()),
    st.tuples(st.just("attach"), st.just(True) | st.booleans()),
    st.tuples(st.just("spec"), specs),
    st.tuples(st.just("pod"), st.tuples(st.integers(0, 5), facts_of_pods)),
)
SERVE: list[Step] = [("reconcile", None), ("kubelet", True), ("reconcile", None), ("kubelet", True)]
MOVES_WHILE_IT_IS_AWAY: list[Step] = [
    *SERVE, *SERVE, ("reconcile", None), ("listen", True), ("spec", {"model": model("b")}), *SERVE, *SERVE,
    ("reconcile", None), ("spec", {"model": model("c")}), *SERVE, *SERVE, ("reconcile", None), ("reconcile", None),
]  # fmt: skip


def walk(taken: list[Step]) -> Routed:
    cluster = Routed(spec={"model": model("a"), "traffic": NAMED})
    for name, how in taken:
        ACTS[name](cluster, how)
    return cluster


def test_the_walk_that_moves_while_the_gateway_is_away_keeps_what_it_sends_to() -> None:
    cluster = walk(MOVES_WHILE_IT_IS_AWAY)
    [first] = cluster.gateway.sends_to
    assert first in cluster.workloads and cluster.routed_to != first
    assert cluster.route == {cluster.routed_to: 100}
    cluster.attentive = True
    cluster.settle()
    assert first not in cluster.workloads and cluster.gateway.sends_to == {cluster.routed_to: 100}


@settings(max_examples=60)
@given(st.lists(steps, max_size=30))
@example(MOVES_WHILE_IT_IS_AWAY)
def test_what_a_gateway_sends_to_stays_until_it_does_not(taken: list[Step]) -> None:
    end(walk(taken))


@settings(max_examples=40)
@given(st.lists(steps | losses, max_size=25))
def test_losing_status_records_and_children_ends_the_same(taken: list[Step]) -> None:
    end(walk(taken))


def end(cluster: Routed) -> None:
    heal(cluster)
    cluster.change(traffic=NAMED)
    cluster.attentive = True
    cluster.settle(rounds=40)
    assert_serves_what_is_asked_for(cluster)
    assert cluster.gateway.sends_to == cluster.route == {cluster.routed_to: 100}
    routed = next(each for each in cluster.status.conditions if each.type == "Routed")
    replicas = cluster.spec.get("scaling", {}).get("replicas", 1)
    assert (routed.status, routed.reason) == (("True", "RouteAccepted") if replicas else ("Unknown", "NoEndpoints"))
    seen = cluster.seen()
    assert not list(cluster.writes(decide(seen))) and not decide(seen).events
