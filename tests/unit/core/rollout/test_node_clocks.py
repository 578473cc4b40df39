"""Nodes whose clocks are wrong say when their pods became ready: no version is rolled back for that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from inferops.core.observation import RevisionView
from unit.core.rollout.building import B, Behaviour, World, serving, spec

DEADLINES = {"capacity": "2m", "pull": "2m", "load": "2m", "warmUp": "60s"}
HOURS = [-1.0, 1.0, 24.0]


def wrong(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """From now on clocks of all nodes are so far ahead."""
    right = World._revision

    def seen(world: World, hash_: str) -> RevisionView:
        revision = right(world, hash_)
        pods = tuple(
            replace(pod, created=world.since.get(pod.name), ready_since=pod.ready_since + timedelta(hours=hours))
            if pod.ready_since is not None
            else pod
            for pod in revision.pods
        )
        return replace(revision, pods=pods)

    monkeypatch.setattr(World, "_revision", seen)


@pytest.mark.parametrize("hours", HOURS)
def test_a_good_version_is_promoted(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    wrong(monkeypatch, hours)
    world = serving(spec=spec(deadlines=DEADLINES)).until("Retaining", "RolledBack")
    assert world.state.phase == "Retaining", world.state.message
    assert world.stable == B and not world.lost


@pytest.mark.parametrize("hours", HOURS)
def test_it_warms_up_all_the_same(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    wrong(monkeypatch, hours)
    world = serving(spec=spec(deadlines=DEADLINES, analysis={"warmUp": "20s"})).until("Warming")
    begun = world.now
    world.until("Observing")
    assert 19 <= (world.now - begun).total_seconds() <= 25


@pytest.mark.parametrize("hours", HOURS)
def test_a_bad_version_is_rolled_back_for_what_it_does(monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    wrong(monkeypatch, hours)
    world = serving(does={B: Behaviour(errors=0.3)}, spec=spec(deadlines=DEADLINES)).until("Retaining", "RolledBack")
    assert world.state.phase == "RolledBack" and world.state.reason in ("HarmShown", "ErrorBurst"), world.state.message
