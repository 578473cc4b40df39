"""Rules that hold for every decision, whatever the world looks like."""

from __future__ import annotations

from inferops.core.decide import Decision
from inferops.core.observation import Observation
from unit.core.building import by_type

KINDS = ("Ready", "Available", "Valid", "Scheduled", "RolledOut", "Routed")


def holds(seen: Observation, decision: Decision) -> None:
    """Everything below."""
    conditions_are_kstatus(seen, decision)
    transitions_are_dated(seen, decision)
    revisions_are_told_apart(decision)
    nothing_that_serves_is_removed(seen, decision)


def conditions_are_kstatus(seen: Observation, decision: Decision) -> None:
    """Ready is always there; Reconciling and Stalled are there only while true, one with Unknown, one with False."""
    conditions = by_type(decision.status.conditions)
    ready = conditions["Ready"]
    assert len(conditions) == len(decision.status.conditions)
    assert set(KINDS) <= set(conditions)
    assert (
        set(conditions) - set(KINDS)
        == ({"True": set(), "False": {"Stalled"}, "Unknown": {"Reconciling"}}[ready.status])
    )
    for kind in ("Stalled", "Reconciling"):
        assert kind not in conditions or conditions[kind].status == "True"
    assert decision.status.observed_generation == seen.service.metadata.generation
    assert {each.observed_generation for each in conditions.values()} == {seen.service.metadata.generation}
    assert all(each.message for each in conditions.values() if each.status != "True"), conditions
    if "Stalled" in conditions:
        assert (conditions["Stalled"].reason, conditions["Stalled"].message) == (ready.reason, ready.message)
    if ready.status == "True" and any(plan.replicas for plan in decision.revisions):
        assert all(conditions[kind].status == "True" for kind in KINDS)


def transitions_are_dated(seen: Observation, decision: Decision) -> None:
    """A condition keeps its time while its status stays."""
    before = by_type(seen.service.status.conditions)
    for condition in decision.status.conditions:
        earlier = before.get(condition.type)
        if earlier is not None and earlier.status == condition.status:
            assert condition.last_transition_time == earlier.last_transition_time
        else:
            assert condition.last_transition_time == seen.now.strftime("%Y-%m-%dT%H:%M:%SZ")


def revisions_are_told_apart(decision: Decision) -> None:
    """At most one is stable and has all the traffic."""
    told = decision.status.revisions
    assert [one.hash for one in told if one.role == "Stable"] == [one.hash for one in told if one.weight]
    assert sum(one.weight for one in told) in ((0, 100) if decision.route_to else (0,))
    assert decision.status.ready_replicas == next((one.ready_replicas for one in told if one.role == "Stable"), 0)
    assert len({plan.hash for plan in decision.revisions}) == len(decision.revisions)


def nothing_that_serves_is_removed(seen: Observation, decision: Decision) -> None:
    """What the Service selects or the record calls stable stays, and so does the last that serves."""
    assert not set(decision.removed) & {plan.hash for plan in decision.revisions}
    assert not set(decision.removed) & {seen.routed_to, seen.service.status.stable_revision, decision.route_to}
    there = {revision.hash: revision for revision in seen.revisions}
    assert set(decision.removed) <= set(there)
    before = seen.service.status
    served = {one.hash for one in before.revisions if one.role != "Canary" and before.stable_revision in there}
    for hash_ in decision.removed:
        if hash_ in served and there[hash_].ready:
            assert there[decision.route_to].ready, "the last revision that serves goes"
