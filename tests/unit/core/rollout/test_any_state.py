"""Whatever somebody wrote into the status, and whatever the world looks like: no step fails, and the rules hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rolloutstatus import Clocks, Ended, GateStatus, Pause, Phase, Rejected, RolloutStatus
from inferops.core.observation import PodView, RevisionView
from inferops.core.rollout import Splitter, View, step
from unit.core.rollout.building import NOW, A, B, C, spec
from unit.core.rollout.rules import holds

hashes = st.sampled_from([A, B, C, "", "gone"])
times = st.sampled_from(["", "soon", "2025-11-03T11:59:00Z", "2025-11-03T12:00:00", "2025-10-01T00:00:00Z",
                         "2031-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])  # fmt: skip
GATED = {"gates": [{"name": "ok", "manual": True, "at": [0, 5]}, {"name": "eval", "job": {"image": "e:1"}, "at": [50]}]}
SPECS = [
    spec(),
    spec(**GATED),
    spec(steps=[]),
    spec(strategy="swap"),
    spec(strategy="recreate"),
    spec(strategy="surge"),
]

states = st.builds(
    RolloutStatus,
    phase=st.sampled_from(get_args(Phase)),
    since=times,
    started=times,
    strategy=st.sampled_from(["", "surge", "swap", "recreate"]),
    canary=hashes,
    stable=hashes,
    step=st.integers(0, 9),
    weight=st.sampled_from([0, 5, 50, 100]),
    yielded=st.integers(0, 5),
    skipped=st.booleans(),
    urgent=st.booleans(),
    paused=st.none() | st.builds(Pause, since=times, reason=st.just("RolloutPaused")),
    clocks=st.builds(Clocks, capacity=times, pull=times, load=times, warm_up=times, stable_down=times),
    gates=st.lists(st.builds(GateStatus, name=st.just("ok"), weight=st.sampled_from([0, 5]), since=times), max_size=2),
    previous=hashes,
    warm_until=times,
    retained_until=times,
    rejected=st.lists(st.builds(Rejected, hash=st.sampled_from([A, B])), max_size=1),
    history=st.lists(st.builds(Ended, revision=hashes, outcome=st.just("Promoted")), max_size=1),
)
pods = st.sampled_from(
    [{}, {"ready": True, "started": True, "node": "n", "ready_since": NOW - timedelta(seconds=90)},
     {"ready": True, "node": "n"}, {"node": "n", "started": True}, {"node": "n"}, {"unschedulable": "no"},
     {"node": "n", "waiting": "CrashLoopBackOff"}, {"node": "n", "exit": "OOMKilled"}, {"deleting": True, "node": "n"}]
)  # fmt: skip


def revision(hash_: str, how: list[dict[str, Any]]) -> RevisionView:
    found = tuple(PodView(f"{hash_}-{number}", hash_, **facts) for number, facts in enumerate(how))
    return RevisionView(hash_, order=ord(hash_[0]), pods=found)


@st.composite
def views(draw: st.DrawFn) -> View:
    there = draw(st.lists(st.sampled_from([A, B, C]), unique=True))
    named = st.sampled_from([*there, ""])
    weights = draw(st.sampled_from([{}, *({hash_: 100} for hash_ in there)]))
    if len(there) > 1 and draw(st.booleans()):
        weights = {there[0]: 70, there[1]: 30}
    return View(
        now=NOW,
        target=draw(st.sampled_from([A, B, C, ""])),
        replicas=draw(st.integers(0, 4)),
        spec=draw(st.sampled_from(SPECS)),
        slo=SLOSpec(),
        revisions={hash_: revision(hash_, draw(st.lists(pods, max_size=5))) for hash_ in there},
        recorded=draw(named | st.just("gone")),
        routed_to=draw(named),
        splitter=draw(st.sampled_from(Splitter)),
        carried=frozenset(draw(st.lists(st.sampled_from(there)))) if there else frozenset(),
        in_force=draw(st.booleans()),
        needed=draw(st.none() | st.integers(0, 6)),
        action=draw(st.sampled_from(["", f"promote@{B}", f"abort@{B}", f"pause@{B}", f"resume@{B}", f"retry@{B}"])),
        weights=weights,
    )


@settings(max_examples=150, deadline=None)
@given(states, views())
def test_no_state_and_no_world_breaks_a_rule(state: RolloutStatus, view: View) -> None:
    holds(state, view, step(state, view))


@settings(max_examples=60, deadline=None)
@given(states, views(), st.integers(-(10**7), 10**7))
def test_no_jump_of_the_clock_breaks_a_rule(state: RolloutStatus, view: View, seconds: int) -> None:
    state = step(state, view).state
    view = replace(view, now=view.now + timedelta(seconds=seconds))
    holds(state, view, step(state, view))
