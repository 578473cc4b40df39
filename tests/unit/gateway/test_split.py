"""The choice of a revision: exact shares, sessions that stay, and no share for what cannot answer."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.split import Split, entitled

SESSIONS = [f"session-{number}" for number in range(4000)]


def split(start: float = 0.0, **weights: int) -> Split:
    made = Split(start)
    made.weights = weights
    return made


@pytest.mark.parametrize("start", [0.0, 0.3, 0.99])
def test_five_per_cent_of_20_000_requests_are_1_000_give_or_take_a_handful(start: float) -> None:
    chosen = split(start, stable=95, canary=5)
    counts = Counter(chosen.choose(None, ["stable", "canary"]) for _ in range(20_000))
    assert abs(counts["canary"] - 1000) <= 5


@pytest.mark.parametrize("every", [2, 3, 5])
def test_shares_hold_for_every_second_third_or_fifth_request_too(every: int) -> None:
    chosen = split(stable=95, canary=5)
    answers = [chosen.choose(None, ["stable", "canary"]) for _ in range(10_000 * every)]
    assert abs(answers[::every].count("canary") - 500) <= 10


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 100), min_size=1, max_size=4), st.floats(0, 0.99))
def test_any_weights_are_met_without_sessions(weights: dict[str, int], start: float) -> None:
    chosen = split(start, **weights)
    counts = Counter(chosen.choose(None, list(weights)) for _ in range(2000))
    for revision, weight in weights.items():
        assert abs(counts[revision] - 2000 * weight / sum(weights.values())) <= 10


def test_sessions_are_shared_out_by_weight() -> None:
    chosen = split(stable=95, canary=5)
    counts = Counter(chosen.choose(session, ["stable", "canary"]) for session in SESSIONS)
    assert 0.04 * len(SESSIONS) <= counts["canary"] <= 0.06 * len(SESSIONS)


def test_a_session_stays_and_moves_once_and_to_the_canary_alone() -> None:
    before = dict.fromkeys(SESSIONS, "stable")
    for weight in (5, 25, 50, 99):
        chosen = split(stable=100 - weight, canary=weight)
        after = {session: chosen.choose(session, ["stable", "canary"]) for session in SESSIONS}
        assert all(after[session] == "canary" for session in SESSIONS if before[session] == "canary")
        assert abs(Counter(after.values())["canary"] - weight / 100 * len(SESSIONS)) <= 0.02 * len(SESSIONS)
        before = after


@given(st.text(), st.integers(1, 98), st.integers(0, 98), st.integers(1, 50))
def test_raising_a_weight_takes_no_session_from_that_revision(session: str, canary: int, more: int, third: int) -> None:
    raised = min(canary + more, 98)
    before = split(stable=100 - canary, canary=canary, old=third).choose(session, ["stable", "canary", "old"])
    after = split(stable=100 - raised, canary=raised, old=third).choose(session, ["stable", "canary", "old"])
    assert before != "canary" or after == "canary"


@given(st.text(), st.permutations(["a", "b", "c"]))
def test_every_gateway_chooses_alike_for_a_session(session: str, order: list[str]) -> None:
    weights = {"a": 20, "b": 30, "c": 50}
    here = split(0.1, **weights).choose(session, ["a", "b", "c"])
    assert split(0.7, **{name: weights[name] for name in order}).choose(session, order) == here


def test_a_session_does_not_hang_on_the_python_process() -> None:
    chosen = split(stable=50, canary=50)
    assert [chosen.choose(f"user-{number}", ["stable", "canary"])[0] for number in range(8)] == list("cscscccs")


def test_what_is_away_leaves_its_sessions_to_the_others_and_gets_them_back() -> None:
    chosen = split(a=20, b=30, c=50)
    all_of_them = {session: chosen.choose(session, ["a", "b", "c"]) for session in SESSIONS}
    without_c = {session: chosen.choose(session, ["a", "b"]) for session in SESSIONS}
    assert all(without_c[session] == all_of_them[session] for session in SESSIONS if all_of_them[session] != "c")
    orphans = Counter(without_c[session] for session in SESSIONS if all_of_them[session] == "c")
    assert abs(orphans["a"] / orphans.total() - 0.4) <= 0.04


def test_what_is_away_leaves_its_share_to_the_others() -> None:
    chosen = split(a=20, b=30, c=50)
    counts = Counter(chosen.choose(None, ["a", "b"]) for _ in range(5000))
    assert abs(counts["a"] - 2000) <= 10
    assert counts["a"] + counts["b"] == 5000


def test_a_header_that_is_no_utf8_is_a_session_too() -> None:
    assert split(a=50, b=50).choose("caf\udce9", ["a", "b"]) in ("a", "b")


@pytest.mark.parametrize(
    ("case", "weights", "staffed", "expected"),
    [
        ("by weight", {"v1": 95, "v2": 5}, {"v1", "v2"}, {"v1": 95, "v2": 5}),
        ("a canary without replicas gets nothing", {"v1": 95, "v2": 5}, {"v1"}, {"v1": 95}),
        ("weight 0 gets nothing", {"v1": 0, "v2": 100}, {"v1", "v2"}, {"v2": 100}),
        ("weight 0 helps out where nothing else is there", {"v1": 0, "v2": 100}, {"v1"}, {"v1": 1}),
        ("several of weight 0 alike", {"v0": 0, "v1": 0, "v2": 100}, {"v0", "v1"}, {"v0": 1, "v1": 1}),
        ("before any weight is told", {"v1": 0}, {"v1"}, {"v1": 1}),
        ("nothing is there", {"v1": 0, "v2": 100}, set(), {}),
    ],
)
def test_who_gets_requests(case: str, weights: dict[str, int], staffed: set[str], expected: dict[str, int]) -> None:
    assert entitled(weights, staffed) == expected
