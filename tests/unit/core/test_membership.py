"""When a member cluster is suspect, lost and back again, and when nobody is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.membership import EVERY, LOST, STABLE, SUSPECT, Health, Probe, cut_off, probed

ANSWER, SILENCE = Probe(True), Probe(False, why="timed out")
DEAD = Probe(False, gateways=False)
ALIVE = Probe(False, gateways=True)


def states(probes: list[Probe], alone: bool = False) -> list[str]:
    health, found = Health("Healthy"), []
    for at, probe in enumerate(probes):
        health = probed(health, probe, at * EVERY, alone)
        found.append(health.state)
    return found


def test_a_short_silence_changes_nothing() -> None:
    assert set(states([SILENCE] * 3 + [ANSWER])) == {"Healthy"}


def test_a_longer_one_makes_it_suspect_and_then_it_has_to_be_stable() -> None:
    found = states([SILENCE] * 5 + [ANSWER] * 5)
    assert found[2:5] == ["Healthy", "Suspect", "Suspect"]
    assert found[5:] == ["Returning"] * 3 + ["Healthy"] * 2


def test_it_is_lost_only_with_its_gateways() -> None:
    long = int(LOST / EVERY) + 2
    assert states([DEAD] * long)[-2:] == ["Lost", "Lost"]
    assert states([DEAD] * (long - 2))[-1] == "Suspect"
    assert states([ALIVE] * 2 * long)[-1] == "Suspect"
    assert states([SILENCE] * 2 * long)[-1] == "Suspect"  # it is not known where they are


def test_a_hub_that_is_cut_off_loses_nobody() -> None:
    assert states([DEAD] * 100, alone=True)[-1] == "Suspect"


def test_one_that_refuses_our_credentials_is_not_lost() -> None:
    denied = Probe(True, denied=True, gateways=False, why="401 Unauthorized")
    assert set(states([denied] * 100)) == {"Unauthorized"}
    assert states([denied] * 100 + [ANSWER])[-1] == "Healthy"


def test_what_comes_back_and_goes_again_has_to_be_stable_anew() -> None:
    found = states([DEAD] * 40 + [ANSWER] * 3 + [DEAD] + [ANSWER] * 4)
    assert found[40:] == ["Returning"] * 3 + ["Suspect"] + ["Returning"] * 3 + ["Healthy"]


@pytest.mark.parametrize(
    ("silent", "lost", "whole", "alone"),
    [(1, 0, 1, True), (1, 0, 2, False), (1, 0, 3, False), (2, 0, 3, True), (1, 1, 3, False), (2, 2, 4, True)],
)
def test_more_than_half_at_once_is_the_hub(silent: int, lost: int, whole: int, alone: bool) -> None:
    """Those that were lost long ago say nothing of it."""
    members = [Health("Suspect", silent=0.0)] * silent + [Health("Lost", silent=0.0)] * lost
    members += [Health("Healthy")] * (whole - silent - lost)
    assert cut_off(members, 100.0) is alone


def test_a_silence_that_is_young_says_nothing_of_the_hub() -> None:
    assert not cut_off([Health("Healthy", silent=90.0)] * 3, 100.0)


probes = st.builds(Probe, st.booleans(), st.booleans(), st.sampled_from([None, True, False]))


@settings(max_examples=200)
@given(st.lists(st.tuples(probes, st.booleans(), st.floats(0.1, 200.0)), max_size=60))
def test_nobody_is_lost_who_answered_of_late(told: list[tuple[Probe, bool, float]]) -> None:
    health, now, answered = Health(), 0.0, 0.0
    for probe, alone, later in told:
        now += later
        before, health = health, probed(health, probe, now, alone)
        answered = now if probe.answered else answered
        if health.state == "Lost" != before.state:
            assert now - answered >= LOST and probe.gateways is False and not alone
        if health.state == "Suspect" and before.state == "Healthy":
            assert now - answered >= SUSPECT
        if health.state == "Healthy" and before.state in ("Suspect", "Lost", "Returning"):
            assert health.silent is None and before.back is not None and now - before.back >= STABLE
