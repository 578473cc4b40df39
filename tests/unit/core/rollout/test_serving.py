"""Which revision serves, where records, Services and statuses are there, are lost, or say different things."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import RolloutSpec
from inferops.api.rolloutstatus import RolloutStatus
from inferops.core.observation import PodView, RevisionView
from inferops.core.revision import AcceleratorChoice, RevisionSpec
from inferops.core.rollout import Outcome, View, step
from inferops.core.rollout.serving import serving
from inferops.core.rollout.turn import Replicas, count
from unit.core.rollout.building import NOW, A, B, C


def revision(hash_: str, ready: int = 0, loading: int = 0, order: int = 0) -> RevisionView:
    pods = [PodView(f"{hash_}-{number}", hash_, node="n", ready=number < ready) for number in range(ready + loading)]
    return RevisionView(hash_, order=order or ord(hash_[0]), pods=tuple(pods))


def view(*revisions: RevisionView, target: str = A, recorded: str = "", **more: Any) -> View:
    there = {each.hash: each for each in revisions}
    return View(NOW, target, more.pop("replicas", 1), RolloutSpec(), SLOSpec(), there, recorded=recorded, **more)


def state(**parts: Any) -> RolloutStatus:
    return RolloutStatus(**parts)


@pytest.mark.parametrize(
    ("case", "remembered", "world", "serves"),
    [
        ("none has served yet", state(), view(revision(A, loading=1)), ""),
        ("the first replica serves", state(), view(revision(A, ready=1, loading=1)), A),
        ("the record counts, ready or not", state(), view(revision(A), revision(B, 1), recorded=A), A),
        ("a lost record: the Service", state(), view(revision(A, 1), revision(B, 1), routed_to=A, target=B), A),
        ("and where that is silent, the target", state(), view(revision(A), revision(B, 1), routed_to=A, target=B), B),
        ("or the newest that answers", state(), view(revision(A, 1), revision(B, 1), revision(C), target=C), B),
        ("a record of one that is gone", state(), view(revision(A, 1), revision(B), recorded=C, target=B), A),
        ("what a canary was compared with",
         state(phase="Observing", canary=B, stable=A), view(revision(A, 1), revision(B, 1), target=B), A),
        ("what was promoted before the record says so",
         state(phase="Retaining", canary=B, previous=A), view(revision(A, 1), revision(B, 1), recorded=A), B),
        ("what it goes back to before the record says so",
         state(phase="RollingBack", canary=B, stable=A), view(revision(A), revision(B, 1), recorded=B), A),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) > 4 else "",
)  # fmt: skip
def test_who_serves(case: str, remembered: RolloutStatus, world: View, serves: str) -> None:
    assert serving(remembered, world) == serves


def told(outcome: Outcome) -> tuple[Any, ...]:
    return (outcome.route, outcome.stable, dict(outcome.replicas), outcome.retiring, outcome.removed)


@pytest.mark.parametrize(
    ("case", "world", "expected"),
    [
        ("the first is routed to before it exists", view(), (A, "", {A: 1}, (), ())),
        ("without replicas it has not served yet", view(revision(A), replicas=0), (A, "", {A: 0}, (), ())),
        ("one that never served makes room",
         view(revision(A, loading=1), target=B, routed_to=A), (B, "", {B: 1, A: 1}, (A,), ())),
        ("and goes once the Service has left it",
         view(revision(A, loading=1), revision(B), target=B, routed_to=B), (B, "", {B: 1}, (), (A,))),
        ("an invalid spec, and nothing there", view(target=""), ("", "", {}, (), ())),
        ("an invalid spec, and one that loads: it comes up",
         view(revision(A, loading=1), target="", routed_to=A), (A, "", {A: 1}, (), ())),
        ("a revision that nobody knows goes",
         view(revision(A, 1), revision(C, 1), recorded=A, routed_to=A), (A, A, {A: 1}, (), (C,))),
        ("but not while a gateway may send to it",
         view(revision(A, 1), revision(C, 1), recorded=A, routed_to=A, carried=frozenset({C})),
         (A, A, {A: 1, C: 1}, (C,), ())),
        ("nor while it has a share on record",
         view(revision(A, 1), revision(C, 1), recorded=A, routed_to=A, weights={A: 90, C: 10}),
         (A, A, {A: 1, C: 1}, (C,), ())),
        ("a lost Service is made again", view(revision(A, 1), recorded=A), (A, A, {A: 1}, (), ())),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_what_exists(case: str, world: View, expected: tuple[Any, ...]) -> None:
    assert told(step(RolloutStatus(), world)) == expected


def group(index: str, *, leader: dict[str, Any] | None, workers: list[dict[str, Any]]) -> list[PodView]:
    pods = [PodView(f"l-{index}", A, index, **leader)] if leader is not None else []
    return pods + [PodView(f"w-{index}-{n}", A, index, worker=True, **how) for n, how in enumerate(workers)]


ON = {"node": "n", "started": True}


@pytest.mark.parametrize(
    ("case", "pods", "expected"),
    [
        ("all of it is ready", group("0", leader={**ON, "ready": True}, workers=[ON]), Replicas(1, 1, 1, 1, 1, 0)),
        ("its worker has no node",
         group("0", leader=ON, workers=[{"unschedulable": "no"}]), Replicas(1, 1, 0, 0, 0, 1)),
        ("its worker does not exist yet", group("0", leader=ON, workers=[]), Replicas(1, 1, 0, 0, 0, 0)),
        ("its worker still pulls", group("0", leader=ON, workers=[{"node": "n"}]), Replicas(1, 1, 1, 0, 0, 0)),
        ("it ends", group("0", leader={**ON, "ready": True, "deleting": True}, workers=[ON]), Replicas(present=1)),
        ("a worker is left over", group("0", leader=None, workers=[ON]), Replicas(present=1)),
        ("two of them",
         group("0", leader={**ON, "ready": True}, workers=[ON]) + group("1", leader=ON, workers=[ON]),
         Replicas(2, 2, 2, 2, 1, 0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_replica_on_two_nodes_counts_as_one(case: str, pods: list[PodView], expected: Replicas) -> None:
    spec = RevisionSpec.model_construct(accelerator=AcceleratorChoice(type="h100", count=8, nodes=2))
    assert count(RevisionView(A, spec, pods=tuple(pods))) == expected
