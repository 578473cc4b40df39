"""Random walks of a rollout through specs, actions, failures and ends of the operator: the rules hold at every step,
and when all is well again, what was asked for serves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferops.api.rolloutstatus import RolloutStatus
from inferops.core.rollout import Splitter, step
from inferops.core.rollout.turn import UNDER_WAY
from unit.core.rollout.building import A, B, Behaviour, C, World, spec
from unit.core.rollout.rules import holds

Step = tuple[str, Any]
ENDED = ("Idle", "Retaining", "Succeeded", "RolledBack")


def reconcile(world: World, crash_after: int | None = None) -> None:
    view = world.view()
    before = world.state
    holds(before, view, step(before, view))
    world.reconcile(crash_after)


def live(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.live(2.0)
        reconcile(world)


def killed(world: World, after: int) -> None:
    world.live(1.0)
    reconcile(world, after)


def act(world: World, how: tuple[str, str]) -> None:
    verb, of = how
    hash_ = {"canary": world.state.canary, "stable": world.stable, "rejected": ""}.get(of, of)
    if of == "rejected" and world.state.rejected:
        hash_ = world.state.rejected[0].hash
    world.action = f"{verb}@{hash_}/{world.born}"


def pod(world: World, how: tuple[int, dict[str, Any]]) -> None:
    number, facts = how
    if world.pods:
        name = sorted(world.pods)[number % len(world.pods)]
        if facts:
            world.pods[name] = replace(world.pods[name], **facts)
        else:
            del world.pods[name]


def behave(world: World, how: tuple[str, Behaviour]) -> None:
    world.does = {**world.does, how[0]: how[1]}


def change(world: World, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        setattr(world, name, value)


def lose(world: World, what: str) -> None:
    if what == "state":
        world.state = RolloutStatus()
    elif what == "status":
        world.state, world.stable, world.weights = RolloutStatus(), "", {}
    elif what == "service":
        world.routed_to = ""
    elif what == "times":
        edited = {"since": "yesterday", "started": "", "warm_until": "never", "retained_until": "9999-12-31T23:59:59Z"}
        clocks = world.state.clocks.model_copy(update={"capacity": "x", "load": "2525-01-01T00:00:00Z"})
        world.state = world.state.model_copy(update={**edited, "clocks": clocks})
    elif what == "hashes":
        world.state = world.state.model_copy(update={"canary": "eeee", "stable": "ffff", "previous": "gggg", "step": 7})
    else:
        world.workloads.pop(world.stable, None)
        world.records.pop(world.stable, None)


DOES: dict[str, Callable[[World, Any], None]] = {
    "live": live, "killed": killed, "act": act, "pod": pod, "behave": behave, "change": change, "lose": lose,
}  # fmt: skip
BAD = [Behaviour(crashes=True), Behaviour(runs_out=True), Behaviour(errors=0.9), Behaviour(errors=0.1),
       Behaviour(loads=False), Behaviour(load=60.0), Behaviour()]  # fmt: skip
SPECS = [
    spec(),
    spec(strategy="surge"),
    spec(strategy="swap"),
    spec(strategy="recreate"),
    spec(steps=[]),
    spec(steps=[{"weight": 30, "minDuration": "0s"}], keepWarm="0s", retainPrevious="0s"),
    spec(analysis={"onNoData": "Pause", "maxHold": "40s"}, deadlines={"load": "40s", "capacity": "30s"}),
    spec(keepWarm="20s", retainPrevious="60s"),
]
changes = st.one_of(
    st.builds(lambda hash_: {"target": hash_}, st.sampled_from([A, B, C, B, C, ""])),
    st.builds(lambda number: {"replicas": number}, st.integers(0, 4)),
    st.builds(lambda number: {"gpus": number}, st.integers(1, 8)),
    st.builds(lambda parts: {"spec": parts}, st.sampled_from(SPECS)),
    st.builds(lambda who: {"splitter": who}, st.sampled_from(Splitter)),
    st.builds(lambda counts: {"counted": counts}, st.booleans()),
    st.builds(lambda number: {"needed": number}, st.none() | st.integers(0, 4)),
    st.builds(lambda delay: {"delay": delay}, st.sampled_from([1.0, 1.0, 1e9])),
)
verbs = st.sampled_from(["promote", "pause", "resume", "abort", "retry"])
facts = st.sampled_from(
    [{}, {"ready": False, "ready_since": None}, {"waiting": "CrashLoopBackOff", "ready": False, "restarts": 3},
     {"exit": "OOMKilled", "restarts": 1}, {"node": "", "ready": False}, {"deleting": True}]
)  # fmt: skip
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("live"), st.integers(1, 30)),
    st.tuples(st.just("live"), st.integers(1, 30)),
    st.tuples(st.just("killed"), st.integers(0, 4)),
    st.tuples(st.just("change"), changes),
    st.tuples(st.just("act"), st.tuples(verbs, st.sampled_from(["canary", "canary", "stable", "rejected", C]))),
    st.tuples(st.just("behave"), st.tuples(st.sampled_from([A, B, C]), st.sampled_from(BAD))),
    st.tuples(st.just("pod"), st.tuples(st.integers(0, 7), facts)),
)
losses = st.tuples(
    st.just("lose"), st.sampled_from(["state", "status", "service", "times", "hashes", "stable's workload"])
)


def walk(taken: list[Step]) -> World:
    world = World(rate=40)
    world.since = {}
    live(world, 10)
    world.target = B
    for name, how in taken:
        if name == "pod":
            world.since = {**{each: world.now for each in world.pods}, **world.since}
        DOES[name](world, how)
    return world


def heal(world: World) -> None:
    """All is well again; what was asked for last stands."""
    well: dict[str, Any] = {"gpus": 100, "does": {}, "counted": True, "delay": 1.0, "needed": None, "action": ""}
    change(world, {**well, "splitter": Splitter.OWN, "target": world.target or A, "replicas": world.replicas or 2})
    for name, each in world.pods.items():
        world.pods[name] = replace(each, exit="", waiting="")


PATIENCE = 5  # pauses after which people make up their mind: a canary that failed now and then may stay under suspicion


def settle(world: World, limit: int = 700) -> None:
    pauses = 0
    for number in range(limit):
        world.live(5.0)
        reconcile(world)
        if world.state.paused is not None:
            pauses += 1
            verb = "resume" if pauses <= PATIENCE else "promote"
            world.action = f"{verb}@{world.state.canary}/end-{number}"
        at_rest = world.state.phase in ENDED and world.carried == world.weights == {world.stable: 100}
        if at_rest and world.ready(world.stable) == world.replicas and set(world.records) <= kept(world):
            return
    raise AssertionError(f"still {world.state.phase}: {world.state.message}; {world.workloads} {world.weights}")


def kept(world: World) -> set[str]:
    return {world.stable, world.state.previous}


def assert_ended_well(world: World) -> None:
    """The one that was asked for serves, or it was rejected and another serves."""
    rejected = {one.hash for one in world.state.rejected}
    assert world.stable == world.target or (world.target in rejected and world.state.phase == "RolledBack")
    assert world.routed_to == world.stable
    assert {hash_: number for hash_, number in world.workloads.items() if number} in (
        {world.stable: world.replicas},
        {world.stable: world.replicas, world.state.previous: world.workloads.get(world.state.previous)},
    )


@settings(max_examples=20, deadline=None)
@example([("live", 2), ("behave", (B, Behaviour(errors=0.1))), ("live", 12)])
@given(st.lists(steps, max_size=20))
def test_whatever_happens_the_rules_hold_and_what_was_asked_for_serves(taken: list[Step]) -> None:
    world = walk(taken)
    heal(world)
    settle(world)
    assert_ended_well(world)


@settings(max_examples=20, deadline=None)
@given(st.lists(steps | losses, max_size=15))
def test_what_is_lost_or_edited_comes_to_a_sane_end(taken: list[Step]) -> None:
    world = walk(taken)
    heal(world)
    settle(world)
    assert_ended_well(world)


quiet = st.one_of(
    st.tuples(st.just("live"), st.integers(1, 30)),
    st.tuples(st.just("killed"), st.integers(0, 4)),
    st.tuples(st.just("act"), st.tuples(st.sampled_from(["pause", "resume"]), st.just("canary"))),
    st.tuples(st.just("change"), st.builds(lambda number: {"gpus": number}, st.integers(4, 8))),
    st.tuples(st.just("change"), st.builds(lambda number: {"replicas": number}, st.integers(1, 4))),
    st.tuples(st.just("change"), st.sampled_from([{"target": B}, {"target": C}, {"delay": 1e9}, {"delay": 1.0}])),
    st.tuples(st.just("change"), st.builds(lambda parts: {"spec": parts}, st.sampled_from([SPECS[0], *SPECS[5:]]))),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(quiet, max_size=20), st.sampled_from([{"rate": 0}, {"counted": False}]))
def test_without_data_nothing_is_ever_promoted(taken: list[Step], blind: dict[str, Any]) -> None:
    world = World(rate=40)
    live(world, 10)
    change(world, {"target": B, **blind})
    for name, how in [*taken, ("live", 100)]:
        DOES[name](world, how)
        assert world.stable == A
        assert not any(ended.outcome == "Promoted" for ended in world.state.history)


@settings(max_examples=12, deadline=None)
@given(st.lists(steps, max_size=15), st.integers(0, 30))
def test_an_abort_from_any_state_ends_in_stable_alone(taken: list[Step], after: int) -> None:
    world = walk(taken)
    live(world, after)
    before = world.state
    heal(world)
    world.target = before.canary if before.phase in UNDER_WAY else world.target
    world.action = f"abort@{before.canary}/last"
    reconcile(world)
    if world.action not in world.state.handled or before.phase not in UNDER_WAY:
        return
    stable = world.stable
    settle(world)
    assert (world.stable, world.state.phase) == (stable, "RolledBack")
    assert (world.state.rejected[0].hash, world.state.rejected[0].reason) == (before.canary, "Aborted")
    assert before.canary not in world.records
    live(world, 60)
    assert (world.stable, world.state.phase, world.weights) == (stable, "RolledBack", {stable: 100})
