"""Counters -> what was counted between two moments: nothing twice, nothing lost, whatever begins anew or comes late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.signals.counters import LATE
from inferops.signals.cumulative import NOTHING, REPLICAS, SAMPLES, TELLERS, Sample, Sums, Tally

START = datetime(2025, 11, 3, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def errors(good: int, bad: int = 0) -> Tally:
    return Tally((good, 0, 0), (bad, 0, 0), good + bad)


def gained(sums: Sums, now: float, since: float | None = None) -> Mapping[str, Tally]:
    pair = sums.between(at(since) if since is not None else None, at(now))
    return {pod: tally for pod, tally in pair[1].since(pair[0]).items() if tally} if pair is not None else {}


@pytest.mark.parametrize(
    ("case", "told", "counted"),
    [
        ("the first word is where counting begins", [{"a": 100}], {}),
        ("then what is new counts", [{"a": 100}, {"a": 103}], {"a": 3}),
        ("the same again is nothing new", [{"a": 100}, {"a": 100}, {"a": 101}, {"a": 101}], {"a": 1}),
        ("what went down began anew", [{"a": 100}, {"a": 4}, {"a": 6}], {"a": 6}),
        ("a new replica counts from 0", [{"a": 100}, {"a": 100, "b": 7}], {"b": 7}),
        ("one that is gone keeps what it counted", [{"a": 100, "b": 1}, {"a": 100, "b": 9}, {"a": 101}],
         {"a": 1, "b": 8}),
        ("one that comes back goes on", [{"a": 10}, {}, {"a": 15}], {"a": 5}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_teller_that_counts_by_itself(case: str, told: list[dict[str, int]], counted: dict[str, int]) -> None:
    sums = Sums(complete=True)
    for second, word in enumerate(told):
        sums.take(at(second), "gateway", {pod: errors(number) for pod, number in word.items()})
    assert {pod: tally.requests for pod, tally in gained(sums, len(told)).items()} == counted


@pytest.mark.parametrize(
    ("case", "told", "counted"),
    [
        ("a replica's first word is where it is counted from", [({"a": 100}, 0), ({"a": 101, "b": 50}, 0)], {"a": 1}),
        ("what is told late is passed over", [({"a": 100}, 0), ({"a": 98}, 0), ({"a": 103}, 0), ({"a": 99}, 0)],
         {"a": 3}),
        ("a counter of a pod that restarted begins anew", [({"a": 100}, 0), ({"a": 4}, 1), ({"a": 6}, 1)], {"a": 6}),
        ("the restart is known first", [({"a": 100}, 0), ({"a": 101}, 1), ({"a": 4}, 1), ({"a": 5}, 1)], {"a": 6}),
        ("late words after a restart are no second one", [({"a": 100}, 0), ({"a": 9}, 1), ({"a": 8}, 1), ({"a": 9}, 1)],
         {"a": 9}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_source_that_may_tell_late(
    case: str, told: list[tuple[dict[str, int], int]], counted: dict[str, int]
) -> None:
    sums = Sums()
    for second, (word, restarts) in enumerate(told):
        tallies = {pod: errors(number) for pod, number in word.items()}
        sums.take(at(second), "prometheus", tallies, dict.fromkeys(tallies, restarts))
    assert {pod: tally.requests for pod, tally in gained(sums, len(told)).items()} == counted


def test_a_counter_that_stays_lower_is_gone_on_from() -> None:
    """A process within its container began anew, which nobody tells."""
    sums = Sums()
    sums.take(at(0), "pods", {"a": errors(100)}, {"a": 0})
    for second in range(5, int(LATE) + 10, 5):
        sums.take(at(second), "pods", {"a": errors(20)}, {"a": 0})
    sums.take(at(600), "pods", {"a": errors(22)}, {"a": 0})
    assert gained(sums, 601) == {"a": errors(2)}


def test_a_window_is_whole_seconds_and_ends_before_now() -> None:
    sums = Sums(complete=True)
    sums.take(at(0.2), "g", {"a": errors(0)})
    begin = Sample(at(0), {"a": NOTHING})
    assert sums.between(None, at(0.9)) == (begin, begin), "the second is not over"
    sums.take(at(1.3), "g", {"a": errors(1)})
    sums.take(at(1.7), "g", {"a": errors(2)})
    pair = sums.between(None, at(1.9))
    assert pair is not None
    assert (pair[0].at, pair[1].at) == (at(0), at(1))
    assert gained(sums, 1.9) == {}
    assert gained(sums, 2.0) == {"a": errors(2)}
    pair = sums.between(at(2), at(5))
    assert pair is not None
    assert pair[0] is pair[1], "nothing is newer"


def test_silence_is_told_as_nothing_new() -> None:
    sums = Sums(complete=True)
    sums.take(at(0), "g", {"a": errors(0)})
    pair = sums.between(None, at(7.5), until=at(7.5))
    assert pair is not None
    assert (pair[0].at, pair[1].at) == (at(0), at(7))
    sums.take(at(7.8), "g", {"a": errors(1)})
    assert gained(sums, 8, since=7) == {"a": errors(1)}, "what came after the silence is not lost"


def test_what_begins_anew_on_purpose_counts_nothing() -> None:
    sums = Sums()
    sums.take(at(0), "pods", {"a": errors(5)}, {})
    sums.begin_anew()
    sums.take(at(1), "pods", {"a": errors(500)}, {})
    sums.take(at(2), "pods", {"a": errors(501)}, {})
    assert gained(sums, 3) == {"a": errors(1)}


def test_memory_is_bounded() -> None:
    sums = Sums(complete=True)
    sums.take(at(0), "g", {"a": errors(0)})
    for second in range(1, 500):
        sums.take(at(second), "g", {"a": errors(second)})
        assert len(sums._samples) <= SAMPLES
    assert gained(sums, 500) == {"a": errors(499)}, "the first sample is kept"
    for since in range(485, 500):
        assert gained(sums, 500, since) == {"a": errors(500 - since)}, "those of late are"
    assert gained(sums, 500, 485) == {"a": errors(15)}
    for second in range(501, 700):
        sums.take(at(second), "g", {"a": errors(second)})
    assert gained(sums, 700, 485) == {"a": errors(215)}, "and where somebody goes on from"
    for number in range(3 * TELLERS):
        sums.take(at(700), f"g{number}", {})
    assert len(sums._last) <= TELLERS
    sums.take(at(700), "g", {f"p{number}": errors(1) for number in range(REPLICAS + 9)})
    assert len(sums.total()) == REPLICAS
    assert sums.dropped == 10


steps = st.tuples(
    st.sampled_from(["g1", "g2"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["counts", "counts", "counts", "restarts", "again"]),
    st.integers(0, 5),
    st.integers(0, 5),
    st.floats(0.01, 3),
)


@given(st.lists(steps, max_size=60), st.lists(st.floats(0, 60), min_size=2, max_size=6))
def test_nothing_is_lost_and_nothing_counts_twice(
    played: list[tuple[str, str, str, int, int, float]], asked: list[float]
) -> None:
    """Two gateways count three replicas, and begin anew now and then. Whoever asks from where it was told up to gets
    all that was counted, in whatever pieces."""
    sums = Sums(complete=True)
    now, boots = 0.0, {"g1": 0, "g2": 0}
    counters = {name: dict.fromkeys("abc", NOTHING) for name in boots}
    for name in boots:
        sums.take(at(now), f"{name} 0", counters[name])
    truth = dict.fromkeys("abc", NOTHING)
    asks, pieces, until = sorted(asked), dict.fromkeys("abc", NOTHING), at(0)

    def read() -> None:
        nonlocal until
        pair = sums.between(until, at(now))
        if pair is not None and pair[0] is not pair[1]:
            assert pair[0].at == until
            for pod, more in pair[1].since(pair[0]).items():
                pieces[pod] = plus(pieces[pod], more)
            until = pair[1].at

    for name, pod, what, good, bad, seconds in played:
        now += seconds
        while asks and asks[0] <= now:
            asks.pop(0)
            read()
        if what == "restarts":
            boots[name] += 1
            counters[name] = dict.fromkeys("abc", NOTHING)
        elif what == "counts":
            more = errors(good, bad)
            counters[name][pod], truth[pod] = plus(counters[name][pod], more), plus(truth[pod], more)
        sums.take(at(now), f"{name} {boots[name]}", counters[name])
    now += 2
    read()
    assert pieces == truth
    assert {pod: plus(NOTHING, total) for pod, total in sums.total().items()} == truth


def plus(one: Tally, other: Tally) -> Tally:
    good = tuple(a + b for a, b in zip(one.good, other.good, strict=True))
    bad = tuple(a + b for a, b in zip(one.bad, other.bad, strict=True))
    return Tally((good[0], good[1], good[2]), (bad[0], bad[1], bad[2]), one.requests + other.requests)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 2)), min_size=1, max_size=30),
    st.booleans(),
)
def test_counts_never_go_down(told: list[tuple[int, int, int]], epochs: bool) -> None:
    """Whatever a source tells, sane or not."""
    sums = Sums(complete=True)
    before = NOTHING
    for second, (good, bad, epoch) in enumerate(told):
        sums.take(at(second), "g", {"a": errors(good, bad)}, {"a": epoch} if epochs else None)
        total = sums.total()["a"]
        assert all(now >= was for was, now in zip(before.flat(), total.flat(), strict=True))
        before = total


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_two_servers_that_answer_in_turns_count_once(told: list[tuple[int, bool]]) -> None:
    """One of them is always behind."""
    sums, truth, behind = Sums(), 0, 0
    sums.take(at(0), "prometheus", {"a": errors(0)}, {"a": 0})
    for second, (more, late) in enumerate(told, 1):
        behind, truth = truth, truth + more
        sums.take(at(second), "prometheus", {"a": errors(behind if late else truth)}, {"a": 0})
        assert sums.total()["a"].requests <= truth
    sums.take(at(100), "prometheus", {"a": errors(truth)}, {"a": 0})
    assert sums.total()["a"].requests == truth
