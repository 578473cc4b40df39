"""What the soak counts: slopes, requests, GPUs without owner."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soak_figures import (
    HOUR,
    LIMITS,
    MIB,
    Answer,
    Excuse,
    GpuPod,
    Judged,
    Orphans,
    Requests,
    Sample,
    all_growth,
    growth,
    judge,
    slopes,
)

EVERY = 10.0
GOOD = Answer("chat", 10.0, 11.0, 200, whole=True)


def series(minutes: float, an_hour: float, start: float = 100 * MIB) -> list[Sample]:
    """A process whose memory grows evenly."""
    times = [EVERY * number for number in range(int(minutes * 60 / EVERY))]
    return [Sample(at, rss=start + an_hour * at / HOUR, fds=20) for at in times]


@given(st.floats(-100, 100), st.floats(-1000, 1000), st.integers(3, 30))
def test_a_line_has_the_slope_of_the_line(slope: float, offset: float, number: int) -> None:
    found = slopes([(float(at), offset + slope * at) for at in range(number)])
    assert all(math.isclose(each, slope, abs_tol=1e-6) for each in found)
    assert len(found) == number * (number - 1) // 2


def test_a_quarter_of_wild_points_change_little() -> None:
    points = [(float(at), 1e9 if at % 5 == 0 else 2.0 * at) for at in range(60)]
    found = slopes(points)
    assert found[len(found) // 2] == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize(
    ("minutes", "an_hour", "verdict"),
    [(20, 0, "ok"), (20, 100 * MIB, "grows"), (20, 20 * MIB, "ok"), (5, 1000 * MIB, "short"), (7.5, 60 * MIB, "ok")],
    ids=["even", "leaks", "below the limit", "too short", "steep but no more than noise"],
)
def test_growth_is_judged_by_slope_and_size(minutes: float, an_hour: float, verdict: str) -> None:
    found = growth("operator", "rss", series(minutes, an_hour))
    assert found is not None and found.verdict == verdict
    assert found.an_hour == pytest.approx(an_hour, abs=1)


def test_the_warm_up_is_not_looked_at() -> None:
    samples = [Sample(at, rss=MIB * min(at, 100.0)) for at in map(float, range(0, 1200, 10))]
    found = growth("operator", "rss", samples)
    assert found is not None and found.an_hour == 0 and found.first == 100 * MIB


def test_what_is_never_told_has_no_growth() -> None:
    told = all_growth({"gateway": series(10, 0)})
    assert {each.figure for each in told} == {"rss", "fds"} and set(LIMITS) > {"rss", "fds"}


KILLED = Excuse("chat", "pod killed", 5.0, 20.0)


@pytest.mark.parametrize(
    ("answer", "excuses", "judged"),
    [
        (GOOD, [], Judged("answered", "")),
        (Answer("chat", 10, 11, 502, code="upstream_error"), [KILLED], Judged("failed", "pod killed")),
        (Answer("chat", 1, 6, 502, code="upstream_error"), [KILLED], Judged("failed", "pod killed")),
        (Answer("chat", 21, 22, 502, code="upstream_error"), [KILLED], None),
        (Answer("other", 10, 11, 502, code="upstream_error"), [KILLED], None),
        (Answer("chat", 10, 11, 502, code="upstream_error", revision="bad"), [], Judged("failed", "faulty revision")),
        (Answer("chat", 10, 11, 200, code="upstream_error", stream=True), [KILLED], Judged("broken", "pod killed")),
        (Answer("chat", 10, 11, 200, code="upstream_error", stream=True), [], None),
        (
            Answer("chat", 10, 11, 503, code="queue_timeout", retry_after=True),
            [KILLED],
            Judged("refused", "pod killed"),
        ),
        (Answer("chat", 10, 11, 503, code="queue_timeout"), [KILLED], None),
        (Answer("chat", 10, 11, 404, code="model_not_found"), [KILLED], Judged("unknown", "pod killed")),
        (Answer("chat", 10, 11, 404, code="service_not_found"), [KILLED], Judged("unknown", "pod killed")),
        (Answer("chat", 10, 11, 404, code="service_not_found"), [], None),
        (Answer("chat", 10, 11, 400, code="invalid_json"), [KILLED], None),
        (Answer("chat", 10, 11, 0, note="ServerDisconnectedError"), [KILLED], None),
        (Answer("chat", 10, 11, 200, stream=True), [KILLED], None),
    ],
)
def test_what_became_of_a_request(answer: Answer, excuses: list[Excuse], judged: Judged | None) -> None:
    found = judge(answer, excuses, frozenset({"bad"}))
    assert found == judged if judged is not None else found.what == "lost"


def test_requests_add_up() -> None:
    account = Requests()
    for answer in (GOOD, GOOD, Answer("chat", 1, 2, note="reset")):
        account.count(answer, ())
    assert (account.sent, account.number("answered"), account.number("lost")) == (3, 2, 1)
    assert account.by.total() == account.sent and account.examples[0].note == "reset"


def test_gpus_that_drain_are_not_orphaned_until_they_have_had_their_time() -> None:
    orphans = Orphans(grace=20)
    pod, owned = GpuPod("p", "gone", 2), GpuPod("q", "there", 4)
    for at in (0.0, 10.0, 20.0, 30.0, 40.0):
        orphans.look(at, [pod, owned], frozenset({"there"}))
    assert (orphans.draining, orphans.orphaned) == (40.0, 40.0)
    orphans.look(50.0, [owned], frozenset({"there"}))
    orphans.look(60.0, [pod], frozenset({"there"}))
    assert (orphans.draining, orphans.orphaned) == (40.0, 40.0), "one that comes again has its time again"
