"""How long kubelet waits: back-offs, probes' thresholds, hooks that sleep, and the pace of all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.backoff import Backoff
from nodeagent.hooks import sleeps
from nodeagent.pace import Pace
from nodeagent.probes import Judge, Probe


def test_crashes_back_off_from_the_second_on():
    backoff = Backoff()
    assert [backoff.after_crash(1) for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_a_long_run_is_forgiven():
    backoff = Backoff()
    for _ in range(5):
        backoff.after_crash(1)
    assert backoff.after_crash(601) == 0
    assert backoff.after_crash(1) == 10


def test_pulls_back_off_from_the_first_on():
    backoff = Backoff()
    assert [backoff.after_pull() for _ in range(7)] == [10, 20, 40, 80, 160, 300, 300]


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_a_verdict_needs_as_many_findings_in_a_row_as_the_probe_says(successes, failures, findings):
    judge = Judge(Probe.of({"successThreshold": successes, "failureThreshold": failures}), None)
    before = None
    for index, good in enumerate(findings):
        verdict = judge.hear(good)
        needed = successes if good else failures
        row = findings[max(0, index + 1 - needed) : index + 1]
        convinced = len(row) == needed and all(finding == good for finding in row)
        assert verdict == (good if convinced else before)
        before = verdict


def test_a_probe_has_kubernetes_defaults():
    probe = Probe.of({"httpGet": {"path": "/health", "port": 8000}})
    assert (probe.initial_delay, probe.period, probe.timeout, probe.successes, probe.failures) == (0, 10, 1, 1, 3)


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ({"sleep": {"seconds": 15}}, 15),
        ({"exec": {"command": ["sleep", "5"]}}, 5),
        ({"exec": {"command": ["/bin/sleep", "5s"]}}, 5),
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 20"]}}, 20),
        ({"exec": {"command": ["/bin/sh", "-c", "drain"]}}, None),
        ({"httpGet": {"path": "/drain", "port": 8000}}, None),
    ],
)
def test_hooks_that_sleep_are_known(hook, seconds):
    assert sleeps(hook) == seconds


def test_the_pace_shortens_waits_but_leaves_requests_their_time():
    pace = Pace(10)
    assert pace.real(30) == 3
    assert pace.timeout(5) == 1
    assert pace.timeout(30) == 3
    assert pace.timeout(0.5) == 0.5
    assert Pace(1).timeout(5) == 5
    with pytest.raises(ValueError, match="time_scale: 0"):
        Pace(0)
