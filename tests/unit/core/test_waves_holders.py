"""What a cluster tells of a version that it was given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferops.api.conditions import Condition
from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.api.placement import ClusterPlacement
from inferops.core.clusters.seen import ChildView, ClusterView
from inferops.core.clusters.waves import Holder, Rejection, holder

NEW = "bbbb000000"
SPEC = InferenceClusterSpec.model_validate({"access": {"hub": True}})
ENTRY = ClusterPlacement(cluster="east", state="Serving", replicas=2, version=NEW)


def rolled(status: str, reason: str = "Promoted") -> dict[str, Condition]:
    told = {"type": "RolledOut", "status": status, "reason": reason, "lastTransitionTime": "2025-11-03T12:00:00Z"}
    return {"RolledOut": Condition.model_validate(told)}


CHILD = ChildView("uid", version=NEW, stable="r2", latest="r2", current=True, conditions=rolled("True"))
EAST = ClusterView("east", {}, SPEC, state="Healthy", listed=True, child=CHILD)
SERVES = Holder("east", NEW, serves=True)
PENDING = Holder("east", NEW)
BACK = replace(CHILD, stable="r1", rejected="20 of 100 requests failed", conditions=rolled("False", "HarmShown"))


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (EAST, SERVES),
        (replace(EAST, state="Lost"), Holder("east", NEW, known=False, lost=True)),
        (replace(EAST, state="Suspect"), Holder("east", NEW, known=False)),
        (replace(EAST, state="Returning"), Holder("east", NEW, known=False)),
        (replace(EAST, listed=False), Holder("east", NEW, known=False)),
        (replace(EAST, child=None), PENDING),
        (replace(EAST, child=replace(CHILD, version="aaaa000000")), PENDING),
        (replace(EAST, child=replace(CHILD, current=False)), PENDING),
        (replace(EAST, child=replace(CHILD, stable="r1")), PENDING),
        (replace(EAST, child=replace(CHILD, stable="", latest="")), PENDING),
        (replace(EAST, child=replace(CHILD, conditions=rolled("Unknown", "Loading"))), PENDING),
        (replace(EAST, child=replace(CHILD, conditions={})), PENDING),
        (replace(EAST, child=replace(BACK, current=False)), PENDING),
        (replace(EAST, child=replace(BACK, version="aaaa000000")), PENDING),
        (
            replace(EAST, child=BACK),
            replace(PENDING, rejection=Rejection("HarmShown", "20 of 100 requests failed", "r2")),
        ),
        (
            replace(EAST, child=replace(BACK, conditions=rolled("Unknown", "RollingBack"))),
            replace(PENDING, rejection=Rejection("RolledBack", "20 of 100 requests failed", "r2")),
        ),
        (
            replace(EAST, child=replace(CHILD, version="aaaa000000"), refused="it says no"),
            replace(PENDING, rejection=Rejection("RejectedByAPIServer", "it says no")),
        ),
        (replace(EAST, refused="it says no"), SERVES),
        (replace(EAST, child=None, refused="it says no"), PENDING),
    ],
)
def test_what_a_cluster_tells(view: ClusterView, told: Holder) -> None:
    assert holder(ENTRY, view, NEW, some=True) == told


def test_what_was_refused_before_the_version_came_is_not_about_it() -> None:
    view = replace(EAST, child=replace(CHILD, version="aaaa000000"), refused="it says no")
    entry = ENTRY.model_copy(update={"version": "aaaa000000"})
    assert holder(entry, view, NEW, some=True) == Holder("east", "aaaa000000")


def test_where_nothing_runs_beside_others_nothing_is_learnt() -> None:
    entry = ENTRY.model_copy(update={"replicas": 0})
    assert holder(entry, EAST, NEW, some=True) == Holder("east", NEW, lost=True)
    assert holder(entry, EAST, NEW, some=False) == SERVES
