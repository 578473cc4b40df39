"""Which revisions are wanted, which gets the traffic, and which go: the world, then the plan."""

from __future__ import annotations

import pytest

from inferops.api.inferenceservicestatus import RevisionStatus
from inferops.core.observation import Observation, RevisionView
from inferops.core.oneshot import Plan, plan
from unit.core.building import revision, seen, service

A, B, C = (service(model={"uri": f"hf://org/{name}"}) for name in "abc")
a, b, c = (revision(of).hash for of in (A, B, C))


def on_record(
    stable: str, *revisions: RevisionView, routed_to: str | None = None, retiring: str = "", candidate: str = ""
) -> Observation:
    """Revisions with the one that is recorded as serving, to which the Service points unless told otherwise."""
    roles = [("Retiring", retiring), ("Canary", candidate)]
    others = [RevisionStatus(name=hash_, hash=hash_, role=role) for role, hash_ in roles if hash_]  # type: ignore[arg-type]
    status = A.status.model_copy(update={"stable_revision": stable, "revisions": others})
    of = A.model_copy(update={"status": status})
    return seen(of, *revisions, routed_to=stable if routed_to is None else routed_to)


Row = tuple[str, int, str, Observation, str, str, list[str], list[str], list[str]]
# The columns: replicas, what the spec asks for, the world; then route, stable, wanted, retiring, removed.
# fmt: off
FIRST: list[Row] = [
    ("the first is routed to before it exists",
     1, a, on_record(""), a, "", [a], [], []),
    ("the first is routed to while it loads",
     2, a, on_record("", revision(A, loading=2), routed_to=a), a, "", [a], [], []),
    ("the first serves with its first replica",
     2, a, on_record("", revision(A, ready=1, loading=1), routed_to=a), a, a, [a], [], []),
    ("the first serves when it is ready before it is routed to",
     2, a, on_record("", revision(A, ready=1, loading=1)), a, a, [a], [], []),
    ("one that never served makes room for its correction",
     1, b, on_record("", revision(A, loading=1), routed_to=a), b, "", [b], [a], []),
    ("and goes once the Service has left it",
     1, b, on_record("", revision(A, loading=1), revision(B, 2, loading=1), routed_to=b), b, "", [b], [], [a]),
    ("without replicas the first has not served yet",
     0, a, on_record("", revision(A), routed_to=a), a, "", [a], [], []),
]
UPDATE: list[Row] = [
    ("nothing to do",
     2, a, on_record(a, revision(A, ready=2)), a, a, [a], [], []),
    ("fewer ready replicas change nothing",
     2, a, on_record(a, revision(A, loading=2)), a, a, [a], [], []),
    ("stable keeps the traffic before the new one exists",
     2, b, on_record(a, revision(A, ready=2)), a, a, [a, b], [], []),
    ("stable keeps the traffic until all replicas are ready",
     2, b, on_record(a, revision(A, ready=2), revision(B, 2, ready=1, loading=1)), a, a, [a, b], [], []),
    ("stable keeps the traffic also while it is down itself",
     2, b, on_record(a, revision(A, loading=2), revision(B, 2, ready=1, loading=1)), a, a, [a, b], [], []),
    ("the traffic moves when all are ready",
     2, b, on_record(a, revision(A, ready=2), revision(B, 2, ready=2)), b, b, [b], [a], []),
    ("more than all are ready too, while scaling down",
     1, b, on_record(a, revision(A, ready=2), revision(B, 2, ready=2)), b, b, [b], [a], []),
    ("the old one stays while only the Service has moved",
     2, b, on_record(a, revision(A, ready=2), revision(B, 2, ready=2), routed_to=b), b, b, [b], [a], []),
    ("the old one stays while only the record has moved",
     2, b, on_record(b, revision(A, ready=2), revision(B, 2, ready=2), routed_to=a), b, b, [b], [a], []),
    ("the old one goes when both have moved",
     2, b, on_record(b, revision(A, ready=2), revision(B, 2, ready=2)), b, b, [b], [], [a]),
    ("without replicas the new one takes over once it exists",
     0, b, on_record(a, revision(A), revision(B, 2)), b, b, [b], [a], []),
]
CHANGED_AGAIN: list[Row] = [
    ("another change replaces the newcomer, never stable",
     1, c, on_record(a, revision(A, ready=1), revision(B, 2, loading=1)), a, a, [a, c], [], [b]),
    ("also a newcomer that is ready in part",
     2, c, on_record(a, revision(A, ready=2), revision(B, 2, ready=1, loading=1)), a, a, [a, c], [], [b]),
    ("changing back removes the newcomer",
     1, a, on_record(a, revision(A, ready=1), revision(B, 2, loading=1)), a, a, [a], [], [b]),
    ("changing back just after the move brings the old one back to all of its replicas first",
     2, a, on_record(b, revision(A, ready=1, loading=1), revision(B, 2, ready=2)), b, b, [b, a], [], []),
    ("changing back just after the move costs nothing while the old one is there",
     2, a, on_record(b, revision(A, ready=2), revision(B, 2, ready=2)), a, a, [a], [b], []),
    ("a move of the Service that was not recorded is undone when the new one fails",
     1, b, on_record(a, revision(A, ready=1), revision(B, 2, loading=1), routed_to=b), a, a, [a, b], [], []),
    ("and its target stays until the Service has left it",
     1, c, on_record(a, revision(A, ready=1), revision(B, 2, loading=1), routed_to=b), a, a, [a, c], [b], []),
]
FAILS_AFTER_THE_MOVE: list[Row] = [
    ("the old one serves again where it is still there and answers",
     1, b, on_record(b, revision(A, ready=1), revision(B, 2, loading=1), retiring=a), a, a, [a, b], [], []),
    ("also where its successor was never seen by the Service",
     1, b, on_record(b, revision(A, ready=1), revision(B, 2, loading=1), routed_to=a, retiring=a),
     a, a, [a, b], [], []),
    ("it goes where it does not answer either",
     1, b, on_record(b, revision(A, loading=1), revision(B, 2, loading=1), retiring=a), b, b, [b], [], [a]),
    ("it goes where its successor answers in part",
     2, b, on_record(b, revision(A, ready=2), revision(B, 2, ready=1, loading=1), retiring=a), b, b, [b], [], [a]),
    ("one that never served does not stand in",
     1, c, on_record(a, revision(A, loading=1), revision(B, 2, ready=1), candidate=b), a, a, [a, c], [], [b]),
    ("without replicas nobody answers, as asked",
     0, b, on_record(b, revision(A, ready=1), revision(B, 2), retiring=a), b, b, [b], [], [a]),
]
LOST: list[Row] = [
    ("a lost status: what is routed to and answers serves",
     1, b, on_record("", revision(A, ready=1), revision(B, 2, loading=1), routed_to=a), a, a, [a, b], [], []),
    ("a lost status and a silent revision: the spec decides",
     1, b, on_record("", revision(A, loading=1), revision(B, 2, loading=1), routed_to=a), b, "", [b], [a], []),
    ("a lost status and a new one ready: it serves",
     1, b, on_record("", revision(A, loading=1), revision(B, 2, ready=1), routed_to=a), b, b, [b], [a], []),
    ("a lost Service is made again",
     1, a, on_record(a, revision(A, ready=1), routed_to=""), a, a, [a], [], []),
    ("a lost record of stable: its Deployment serves on beside the new one",
     1, b, on_record(a, revision(A, ready=1, record=False), revision(B, 2, loading=1)), a, a, [a, b], [], []),
    ("all of stable is lost: what the Service selects serves",
     1, b, on_record(c, revision(A, ready=1), revision(B, 2, loading=1), routed_to=a), a, a, [a, b], [], []),
    ("all of stable is lost, the Service with it: the spec decides",
     1, b, on_record(c, revision(A, ready=1), revision(B, 2, loading=1)), b, "", [b], [], [a]),
]
INVALID: list[Row] = [
    ("an invalid spec changes nothing",
     2, "", on_record(a, revision(A, ready=2)), a, a, [a], [], []),
    ("not even during an update",
     2, "", on_record(a, revision(A, ready=2), revision(B, 2, ready=2)), a, a, [a, b], [], []),
    ("nor in the middle of a move",
     2, "", on_record(a, revision(A, ready=2), revision(B, 2, ready=2), routed_to=b), b, a, [a, b], [], []),
    ("it routes to nothing where there is nothing",
     2, "", on_record(""), "", "", [], [], []),
    ("it routes to what serves where the Service is lost",
     2, "", on_record(a, revision(A, ready=2), routed_to=""), a, a, [a], [], []),
]
# fmt: on


@pytest.mark.parametrize(
    ("case", "replicas", "target", "world", "route", "stable", "wanted", "retiring", "removed"),
    [*FIRST, *UPDATE, *CHANGED_AGAIN, *FAILS_AFTER_THE_MOVE, *LOST, *INVALID],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_plan(
    case: str,
    replicas: int,
    target: str,
    world: Observation,
    route: str,
    stable: str,
    wanted: list[str],
    retiring: list[str],
    removed: list[str],
) -> None:
    expected = Plan(route, stable, target, tuple(wanted), tuple(retiring), tuple(removed))
    assert plan(world, target, replicas) == expected
