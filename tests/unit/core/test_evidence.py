"""The verdict on a canary: what windows add up to, and what must not move it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.api.inferenceservice import SLOSpec
from inferops.api.rollout import AnalysisSpec
from inferops.api.rolloutstatus import AnalysisStatus
from inferops.core.evidence import Arms, begin_step, judge, without_data
from inferops.core.signal import Count, ReplicaCounts, Window

START = datetime(2026, 1, 1, tzinfo=UTC)
SLO = SLOSpec(ttft="800ms", tpot="50ms")
SPEC = AnalysisSpec()
Rates = Mapping[str, tuple[int, int]]  # bad and total, by metric

GOOD: Rates = {"errorRate": (0, 40), "ttft": (1, 40), "tpot": (0, 40)}
LATENCIES: Rates = {"errorRate": (0, 0), "ttft": (1, 40), "tpot": (0, 40)}
FAILING: Rates = {"errorRate": (12, 40), "ttft": (1, 28), "tpot": (0, 28)}
SLOW: Rates = {"errorRate": (0, 40), "ttft": (24, 40), "tpot": (0, 40)}


def counts(rates: Rates) -> dict:
    return {metric: Count(bad, total) for metric, (bad, total) in rates.items()}


def window(canary: Rates | list[Rates], stable: Rates | list[Rates], at: int = 1, seconds: int = 5) -> Window:
    """The `at`-th window, with a replica for each rates."""
    arms = {"new": canary if isinstance(canary, list) else [canary], "old": stable}
    if not isinstance(stable, list):
        arms["old"] = [stable] * 4
    until = START + timedelta(seconds=5 * at)
    return Window(
        since=until - timedelta(seconds=seconds),
        until=until,
        source="gateway",
        replicas=tuple(
            ReplicaCounts(f"{revision}-{index}", revision, counts(rates))
            for revision, replicas in arms.items()
            for index, rates in enumerate(replicas)
        ),
    )


ARMS = Arms("new", "old", frozenset(f"{revision}-{index}" for revision in ("new", "old") for index in range(20)))


def after(*windows: Window, arms: Arms = ARMS, spec: AnalysisSpec = SPEC, slo: SLOSpec = SLO) -> AnalysisStatus:
    status = AnalysisStatus()
    for one in windows:
        status = judge(status, one, arms, spec, slo)
    return status


def many(
    canary: Rates | list[Rates], stable: Rates | list[Rates] = GOOD, count: int = 30, first: int = 1
) -> list[Window]:
    return [window(canary, stable, at) for at in range(first, first + count)]


def verdicts(status: AnalysisStatus) -> dict[str, str]:
    return {metric.name: metric.verdict for metric in status.metrics}


def test_a_good_canary_is_no_worse():
    status = after(*many(GOOD))
    assert status.verdict == "NoWorse"
    assert status.metrics[1].message == (
        "2.5 % of 1,200 beyond 800ms, stable 2.5 % of 4,800: no worse by the 5 points of margin "
        f"(e = {status.metrics[1].e_no_worse:.3g}, 100 is proof)"
    )


@pytest.mark.parametrize(
    ("case", "canary", "metric", "windows"),
    [("failing requests show at once", FAILING, "errorRate", 2), ("late ones once caches are warm", SLOW, "ttft", 4)],
)
def test_harm_is_shown(case, canary, metric, windows):
    status = after(*many(canary, count=windows))
    assert status.verdict == "Harm"
    assert verdicts(status)[metric] == "Harm"
    assert "worse (e = " in {one.name: one.message for one in status.metrics}[metric]


def test_harm_that_begins_late_is_shown():
    status = after(*many(GOOD, count=60))
    for one in many(FAILING, count=3, first=61):
        status = judge(begin_step(status), one, ARMS, SPEC, SLO)
    assert status.verdict == "Harm"


def test_an_incident_of_both_versions_is_no_harm():
    both: Rates = {"errorRate": (20, 40), "ttft": (20, 20), "tpot": (10, 20)}
    status = after(*many(GOOD, count=20), *many(both, both, count=10, first=21))
    assert status.verdict != "Harm"
    assert max(metric.e_value for metric in status.metrics) < 2


def test_cold_caches_are_no_harm():
    def cold(at: int) -> Rates:
        return {"errorRate": (0, 10), "ttft": (max(0, 3 - at // 4), 10), "tpot": (0, 10)}

    windows = [window(cold(at), GOOD, at) for at in range(1, 60)]
    verdict = [after(*windows[:count]).verdict for count in range(1, 60)]
    assert "Harm" not in verdict
    assert verdict[-1] == "NoWorse"


def test_one_bad_replica_of_several_is_no_bad_version():
    status = after(*many([FAILING, *[GOOD] * 4], count=20))
    assert status.verdict == "Undecided"
    assert status.metrics[0].dispersion > 10
    assert status.metrics[0].message.endswith("; most of it on new-0")
    assert after(*many([FAILING] * 5, count=2)).verdict == "Harm"


def test_a_bad_replica_of_stable_hides_no_bad_canary():
    assert after(*many([FAILING] * 4, [FAILING, *[GOOD] * 9], count=10)).verdict == "Harm"


def test_it_is_not_advanced_while_there_are_signs_of_harm():
    """A point more, well within the margin: proof takes long, and until then the canary waits."""
    bad, good = {"errorRate": (1, 40)}, {"errorRate": (0, 40)}
    windows = [
        window(bad if at % 3 else good, [bad if index == at % 8 else good for index in range(4)], at)
        for at in range(1, 13)
    ]
    status = after(*windows, spec=AnalysisSpec(metrics=["errorRate"]))
    one = status.metrics[0]
    assert one.e_no_worse >= 100
    assert 1.5 <= one.e_value < 100
    assert status.verdict == "Undecided"
    assert "no worse by the 5 points of margin, but there are signs that it is worse" in one.message


@pytest.mark.parametrize("alpha", [0.5, 0.01, 0.0001])
def test_whatever_proof_is_asked_for_can_be_had(alpha):
    """Also where replicas of stable differ a great deal."""
    status = after(*many(GOOD, [SLOW, *[GOOD] * 5], count=150), spec=AnalysisSpec(alpha=alpha))
    assert status.metrics[1].dispersion > 3
    assert status.verdict == "NoWorse"


class TestNoData:
    def test_none_at_first(self):
        assert AnalysisStatus().verdict == "NoData"

    @pytest.mark.parametrize(
        ("case", "seen", "arms"),
        [
            ("no replica of the canary", window([], GOOD, seconds=60), ARMS),
            ("no request of the canary", window({"errorRate": (0, 0)}, {"errorRate": (0, 9)}, seconds=60), ARMS),
            ("all still warming", window(LATENCIES, LATENCIES, seconds=60), Arms("new", "old", frozenset({"old-0"}))),
            ("pods of other revisions", window(GOOD, GOOD, seconds=60), Arms("newer", "old", ARMS.warm)),
        ],
    )
    def test_a_window_without_canary_requests_decides_nothing(self, case, seen, arms):
        status = after(seen, arms=arms)
        assert status.verdict == "NoData"
        assert status.until == seen.until.isoformat()
        assert all(metric.canary.total == 0 for metric in status.metrics)

    def test_a_new_weight_has_none_yet(self):
        status = begin_step(after(*many(GOOD)))
        assert status.verdict == "NoData"
        assert set(verdicts(status).values()) == {"NoData"}
        assert status.metrics[0].canary.total == 1200

    def test_what_was_decided_stands_without_it(self):
        assert without_data(after(*many(FAILING)), "nobody counts").verdict == "Harm"
        assert without_data(after(*many(GOOD)), "nobody counts").verdict == "NoWorse"

    def test_nothing_decided_is_no_data(self):
        status = without_data(after(window(GOOD, GOOD)), "Prometheus does not answer")
        assert (status.verdict, status.message) == ("NoData", "Prometheus does not answer")
        assert status.metrics[0].canary.total == 40

    def test_it_goes_on_from_there(self):
        status = without_data(after(*many(GOOD, count=10)), "nobody counts")
        assert judge(status, window(GOOD, GOOD, 11), ARMS, SPEC, SLO) == after(*many(GOOD, count=11))


class TestNotJudged:
    def test_without_an_objective(self):
        errors = {"errorRate": GOOD["errorRate"]}
        status = after(*many(errors, errors), slo=SLOSpec())
        assert verdicts(status) == {"errorRate": "NoWorse", "ttft": "NotJudged", "tpot": "NotJudged"}
        assert status.verdict == "NoWorse"
        assert status.metrics[1].message.startswith("not judged: spec.slo.ttft is not set, and the gateway has seen")
        again = begin_step(status)
        assert verdicts(judge(again, window(errors, errors, 31), ARMS, SPEC, SLOSpec()))["ttft"] == "NotJudged"

    def test_without_an_objective_by_what_is_usual(self):
        status = after(*many(GOOD), slo=SLOSpec())
        assert verdicts(status) == {"errorRate": "NoWorse", "ttft": "NoWorse", "tpot": "NoWorse"}
        assert "beyond what 39 of 40 took before" in status.metrics[1].message
        slow = {**GOOD, "ttft": (30, 40)}
        assert after(*many(slow), slo=SLOSpec()).verdict == "Harm"

    def test_a_metric_of_which_nothing_is_known_has_its_share_of_the_risk(self):
        """Else its first counts would lower the bar for the others."""
        some = {"errorRate": (4, 40)}
        with_slo = after(*many(some, {"errorRate": (1, 40)}, 5), slo=SLO, spec=AnalysisSpec(metrics=["errorRate"]))
        without = after(*many(some, {"errorRate": (1, 40)}, 5), slo=SLOSpec())
        alone, [shared, *_] = with_slo.metrics[0].e_value, without.metrics
        assert shared.e_value == alone > 100 and with_slo.verdict == "Harm"
        assert (without.verdict == "Harm") is (alone + 2 >= 300)

    def test_what_the_source_does_not_count(self):
        untold = {"ttft": (1, 40), "tpot": (0, 40)}
        status = after(*many(untold, untold))
        assert verdicts(status) == {"errorRate": "NotJudged", "ttft": "NoWorse", "tpot": "NoWorse"}
        assert status.verdict == "NoWorse"

    def test_what_it_counts_of_one_version_only(self):
        assert verdicts(after(*many(GOOD, {"ttft": (1, 40), "tpot": (0, 40)})))["errorRate"] == "NotJudged"

    def test_nothing_at_all(self):
        errors = {"errorRate": GOOD["errorRate"]}
        long = window(errors, errors, seconds=60)
        assert after(long, slo=SLOSpec(), spec=AnalysisSpec(metrics=["ttft"])).verdict == "NotJudged"

    def test_a_metric_without_data_holds_the_others(self):
        idle = {**GOOD, "tpot": (0, 0)}
        assert after(*many(idle)).verdict == "Undecided"


class TestWindows:
    def test_one_that_was_judged_changes_nothing(self):
        status = after(*many(GOOD, count=3))
        assert judge(status, window(FAILING, GOOD, 3), ARMS, SPEC, SLO) is status
        assert judge(status, window(FAILING, GOOD, 2), ARMS, SPEC, SLO) is status

    def test_a_short_one_with_few_requests_grows_first(self):
        few: Rates = {"errorRate": (1, 2), "ttft": (0, 1), "tpot": (0, 1)}
        status = after(window(few, GOOD))
        assert status == AnalysisStatus()
        assert after(window(few, GOOD, seconds=30)).metrics[0].canary.total == 2

    def test_merged_windows_come_to_about_the_same(self):
        merged = [
            window(
                {m: (6 * b, 6 * t) for m, (b, t) in FAILING.items()},
                {m: (6 * b, 6 * t) for m, (b, t) in GOOD.items()},
                6 * at,
            )
            for at in (1, 2)
        ]
        assert after(*merged).verdict == after(*many(FAILING, count=12)).verdict == "Harm"
        assert after(*merged).metrics[0].canary == after(*many(FAILING, count=12)).metrics[0].canary

    def test_the_order_of_replicas_does_not_matter(self):
        windows = many([FAILING, GOOD, SLOW], [GOOD, FAILING, GOOD])
        turned = [Window(w.since, w.until, w.source, w.replicas[::-1]) for w in windows]
        for one, other in zip(after(*windows).metrics, after(*turned).metrics, strict=True):
            assert one.e_value == pytest.approx(other.e_value, rel=1e-3)
            assert one.dispersion == pytest.approx(other.dispersion, rel=1e-3)

    def test_other_revisions_do_not_matter(self):
        plain = window(FAILING, GOOD)
        other = ReplicaCounts("older-0", "older", counts(FAILING))
        more = Window(plain.since, plain.until, plain.source, (*plain.replicas, other))
        assert after(more, arms=Arms("new", "old", ARMS.warm | {"older-0"})) == after(plain)

    def test_counters_read_at_different_moments_do_no_harm(self):
        status = after(window({"errorRate": (50, 40), "ttft": (-1, 40), "tpot": (0, -5)}, GOOD))
        assert [(m.canary.bad, m.canary.total) for m in status.metrics] == [(40, 40), (0, 40), (0, 0)]


class TestMemory:
    @pytest.mark.parametrize("edited", ["yesterday", "2026-01-01"])
    def test_an_edited_time_does_not_stop_it(self, edited):
        broken = after(*many(GOOD)).model_copy(update={"until": edited})
        assert judge(broken, window(GOOD, GOOD, 99), ARMS, SPEC, SLO).metrics[0].canary.total == 1240

    @pytest.mark.parametrize(
        "edited",
        [[], [1.0], [float("nan")] * 16, [-1.0] * 16, [1e400] * 16],
        ids=["none", "short", "nan", "minus", "inf"],
    )
    def test_an_edited_one_begins_anew(self, edited):
        status = after(*many(FAILING))
        broken = status.model_copy(
            update={"metrics": [metric.model_copy(update={"memory": edited}) for metric in status.metrics]}
        )
        assert begin_step(broken).verdict == "NoData"
        again = judge(broken, window(GOOD, GOOD, 99), ARMS, SPEC, SLO)
        assert again.verdict != "Harm"
        assert again.metrics[0].canary.total == 40

    def test_it_survives_the_api_server(self):
        windows = many(SLOW, count=8)
        status = AnalysisStatus()
        for one in windows:
            status = AnalysisStatus.model_validate(
                judge(status, one, ARMS, SPEC, SLO).model_dump(mode="json", by_alias=True)
            )
        assert status == after(*windows)

    def test_evidence_has_an_end(self):
        status = after(*many(FAILING, count=300))
        assert status.metrics[0].e_value == 1e12
        assert all(isfinite(number) for metric in status.metrics for number in metric.memory)


rates = st.integers(0, 60).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
arm = st.lists(st.fixed_dictionaries({}, optional={"errorRate": rates, "ttft": rates, "tpot": rates}), max_size=4)


@settings(max_examples=60)
@given(st.lists(st.tuples(arm, arm, st.booleans()), max_size=12), st.floats(0.001, 0.5), st.floats(0.001, 1.0))
def test_whatever_is_counted_the_status_is_valid(steps, alpha, margin):
    spec = AnalysisSpec(alpha=alpha, margin=margin)
    status = AnalysisStatus()
    for at, (canary, stable, turn) in enumerate(steps, 1):
        before = begin_step(status) if turn else status
        status = judge(before, window(canary, stable, at, seconds=40), ARMS, spec, SLO)
        assert AnalysisStatus.model_validate(status.model_dump(mode="json", by_alias=True)) == status
        assert status == judge(before, window(canary, stable, at, seconds=40), ARMS, spec, SLO)
        shown = sum(metric.e_value for metric in status.metrics) / 3 >= 1 / alpha
        assert shown or status.verdict != "Harm"
        if not any(metric.canary.total for metric in status.metrics):
            assert status.verdict in ("NoData", "NotJudged")
