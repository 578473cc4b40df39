"""The comparison of autoscalers on a small scale: what is tuned, what is said of it, and what has to be given."""

import gzip
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import bench_autoscale
import bench_autoscale_cases as cases
import bench_autoscale_kept
import bench_autoscale_ours
import bench_autoscale_play
import bench_autoscale_tables as tables
import flow_curves
from bench_autoscale_cases import Cell, Traffic
from bench_autoscale_confirm import Ask, both
from bench_autoscale_kept import Kept, played
from bench_autoscale_ours import ABLATIONS, BLIND, EVEN, OURS, TOLD, Settings
from bench_autoscale_play import Outcome, Span, done, tasks
from bench_autoscale_plot import svg
from bench_autoscale_results import Result, best_peer, by_entry, chosen, judge, point, reaching, sifted
from bench_autoscale_rules import BOUND, DEFAULTS, STATIC, Entry, averaged, bounds, defaults, grids
from flow_curves import MOST, Curves
from inferops.core.autoscale import capacity, staffing
from inferops.core.autoscale.misses import Curve, place_of, rate_of
from inferops.simulate.scaling.peers import PeerGoals, hpa, static
from inferops.simulate.scaling.policy import Seen
from inferops.simulate.traces.lines import BadTrace

CELL = Cell("70b", "mid", 180.0)
GOALS = PeerGoals(10.0, 40.0, 1.0, 0.05, 32)


def outcome(place: int, seed: int, hours: float, missed: float) -> Outcome:
    return Outcome(place, seed, requests=1e6, missed=missed * 1e6, hours=hours, changes=14)


def seen(now: float, **measured: int) -> Seen:
    told = {
        "arrivals": 0, "ended": 0, "tokens_in": 0, "tokens_out": 0, "busy": 0.0, "queued": 0.0, "waiting": 0,
        "running": 0, "judged": 0, "missed": 0, "ttft": None, "tpot": None, "kv": 0.0,
    } | measured  # fmt: skip
    return Seen(now=now, since=now - 15, wanted=1, ready=1, starting=0, homeless=0, started=(), **told)


class TestChoosing:
    ENTRIES = (
        *(Entry("hpa", hpa.Settings(target)) for target in (10.0, 20.0, 30.0, 40.0)),
        Entry("static", static.Settings(9)),
    )
    RUNS = (
        outcome(0, 0, 200, 0.0002),
        outcome(1, 0, 150, 0.004),
        outcome(2, 0, 140, 0.02),
        outcome(3, 0, 160, 0.03),
        outcome(4, 0, 300, 0.0),
    )

    def test_each_rule_has_the_cheapest_setting_for_each_share_once(self):
        assert chosen(self.ENTRIES, self.RUNS) == [self.ENTRIES[place] for place in (2, 1, 0, 4)]

    def test_one_share_has_one_setting_of_each_rule(self):
        assert reaching(self.ENTRIES, self.RUNS, 0.01) == [self.ENTRIES[1], self.ENTRIES[4]]

    def test_what_is_far_above_its_front_is_not_looked_at_again(self):
        assert sifted(self.ENTRIES, self.RUNS) == [self.ENTRIES[place] for place in (0, 1, 2, 4)]

    def test_runs_of_several_seeds_count_by_their_requests(self):
        runs = [outcome(0, 0, 100, 0.01), replace(outcome(0, 1, 110, 0.02), requests=3e6, missed=9e4)]
        assert point(runs) == (105, 0.025)
        assert by_entry(reversed(runs)) == {0: runs}


class TestJudging:
    @pytest.fixture
    def result(self) -> Result:
        """Two settings of each rule, on three seeds whose hours differ alike. Replicas have four GPUs."""
        entries = [
            Entry(OURS, 1), Entry(OURS, 2), Entry("hpa", hpa.Settings(1.0)), Entry("hpa", hpa.Settings(2.0)),
            Entry("hpa", hpa.Settings(3.0), DEFAULTS), Entry(STATIC, static.Settings(9)), Entry(BOUND, (60, 0.8)),
        ]  # fmt: skip
        hours = [(90, 0.01), (180, 0.0001), (100, 0.01), (200, 0.0001), (80, 0.2), (300, 0.002), (70, 0.0)]
        runs = [
            outcome(place, seed, each * (1 + seed / 10), missed)
            for place, (each, missed) in enumerate(hours)
            for seed in range(3)
        ]
        found = Result(CELL, days=2.0, requests=1e6, capacity=10.0, concurrency=40.0)
        judge(found, entries, runs)
        return found

    def test_hours_are_of_gpus_and_interpolated(self, result):
        assert result.cost("hpa", 0.01).hours.mean == pytest.approx(4 * 110)
        assert result.cost("hpa", 0.001).hours.mean == pytest.approx(4 * 165)  # half way by the logarithm

    def test_savings_are_of_pairs_so_that_seeds_do_not_blur_them(self, result):
        saved = result.cost("hpa", 0.005).we_save
        assert saved.mean == pytest.approx(0.1)
        assert saved.within == pytest.approx(0.0, abs=1e-9)

    def test_the_bound_is_what_others_are_above(self, result):
        assert result.cost(OURS, 0.01).over_bound.mean == pytest.approx(90 / 70 - 1)
        assert result.cost(BOUND, 0.01).over_bound is None

    def test_what_is_not_reached_has_no_hours(self, result):
        assert result.cost(STATIC, 0.001).hours is None
        assert result.cost(STATIC, 0.005).hours is not None

    def test_a_rule_whose_cheapest_misses_fewer_costs_at_most_that(self, result):
        assert result.cost(STATIC, 0.01).at_most
        assert not result.cost("hpa", 0.005).at_most

    def test_defaults_are_points_and_no_part_of_a_curve(self, result):
        assert result.cost("hpa", 0.01).hours.mean == pytest.approx(4 * 110)
        assert [each.kind for each in result.shown].count(DEFAULTS) == 1

    def test_the_best_peer_is_neither_ours_nor_the_bound(self, result):
        assert best_peer(result, 0.01).rule == "hpa"

    def test_tables_tell_it(self, result):
        summary = tables.summary([result])
        assert summary[1][1:6] == ["99 %", "≤ 198.0 ± 44.7", "hpa", "≤ 220.0 ± 49.7", "+10.0 ± 0.0"]
        rows = {row[0]: row for row in tables.at_equal_attainment(result)}
        assert rows[STATIC][3] == "-"
        assert rows[STATIC][1].startswith("≤ 660.0")
        assert tables.defaults(result)[1] == ["hpa", "80.00", "176.0", "7"]
        page = tables.page([result], "# Title")
        assert page.count("| --- |") == 3
        assert len(tables.plain([result])[0]["points"]) == 7

    def test_the_plot_is_xml_whose_points_lie_in_their_panel(self, result):
        drawn = ElementTree.fromstring(svg([result, result], "A & B"))
        space = "{http://www.w3.org/2000/svg}"
        assert drawn.find(f"{space}title").text == "A & B"
        spots = list(drawn.iter(f"{space}circle"))
        assert len(spots) == 2 * 5  # static is far beyond the others, and so is one of hpa's
        for spot in spots:
            assert 72 <= float(spot.get("cx")) <= 386
            assert 40 <= float(spot.get("cy")) <= 254
        panels = [group for group in drawn.findall(f"{space}g") if group.find(f"{space}circle") is not None]
        assert [panel.get("transform").partition(" ")[0] for panel in panels] == ["translate(0", "translate(400"]


class TestRules:
    def test_grids_leave_the_bound_out_and_can_be_thinned(self):
        names = (OURS, "hpa", STATIC, BOUND)
        assert {entry.rule for entry in grids(GOALS, names)} == {OURS, "hpa", STATIC}
        assert len(grids(GOALS, ["hpa"], thin=4)) == -(-len(grids(GOALS, ["hpa"])) // 4)
        assert [entry.rule for entry in defaults(GOALS, names)] == [OURS, "hpa"]
        assert {entry.rule for entry in bounds(names)} == {BOUND}
        assert bounds(["hpa"]) == []

    def test_demand_is_averaged_to_its_end(self):
        assert averaged(np.array([1.0, 3, 5, 7, 9]), 2) == [2, 6, 9]


def curves() -> Curves:
    """A replica that carries 10 a second at 40 in flight, and misses the SLO beyond."""
    each = np.arange(MOST + 1, dtype=float)
    return Curves(
        throughput=np.minimum(each / 4, 12.0),
        missed=np.clip((each - 38) / 40, 0.0, 1.0),
        ttft=0.1 + each / 400,
        tpot=0.01 + each / 1000,
        waiting=np.maximum(each - 48, 0.0),
        kv=np.minimum(each / 100, 1.0),
        prompt=1000.0,
        output=200.0,
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Traces of three steps of an hour, and of three requests; what a replica does is known."""
    monkeypatch.setattr(cases, "measured", lambda folder, cache, model, sizes: curves())
    cases.scaled.cache_clear()
    rows = "start_s,requests_per_s,mean_client_cv\n0,40,1\n3600,80,9\n7200,60,9\n"
    (tmp_path / cases.RATES["mid"]).write_text(rows)
    with gzip.open(tmp_path / cases.HOURS["conv"], "wt") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for second in (0, 60, 120):
            file.write(f"2023-11-16 18:{second // 60:02d}:00.0000000,374,44\n")
    yield tmp_path
    cases.scaled.cache_clear()


class TestCases:
    def test_a_trace_is_scaled_so_that_its_busiest_minutes_need_a_fleet(self, folder, tmp_path):
        found = cases.service(folder, tmp_path, CELL, 16.0)
        capacity, concurrency = found.goals.capacity, found.goals.concurrency
        assert (capacity, concurrency) == (10.0, 40.0)
        assert found.traffic.rates.max() == pytest.approx(16 * capacity, rel=0.05)
        assert found.traffic.dispersions[0] == 1
        assert found.traffic.dispersions[-1] == 81

    def test_the_arrivals_of_a_seed_are_always_the_same(self, folder, tmp_path):
        found = cases.service(folder, tmp_path, CELL, 16.0)
        first, again = (found.arrivals(0, 600, 2, 5) for _ in range(2))
        assert (first == again).all()
        assert (first[1] == found.arrivals(0, 600, 1, 6)[0]).all()
        assert first.mean() == pytest.approx(found.traffic.rates[:600].mean(), rel=0.1)

    def test_surges_are_of_minutes_and_hardly_of_seconds(self):
        rates = np.full(40_000, 100.0)
        (made,) = cases.surging(rates, np.full(40_000, 50.0), 1)
        minutes = made[:39_960].reshape(-1, 360).sum(axis=1)
        assert made.mean() == pytest.approx(100, rel=0.02)
        assert 25 < minutes.var() / minutes.mean() < 60
        assert made.var() / made.mean() < 4
        (calm,) = cases.surging(rates, np.full(40_000, 1.0), 1)
        assert calm.var() / calm.mean() == pytest.approx(1.0, abs=0.05)

    def test_requests_become_a_rate_of_a_minute(self, folder):
        found: Traffic = cases.read(folder / cases.HOURS["conv"], False)
        assert len(found.rates) == 121 + 121  # all of it is within the quarter of an hour that comes twice
        assert found.rates[60] == pytest.approx(1 / 60)

    def test_replicas_are_measured_once(self, tmp_path, monkeypatch):
        calls = []
        monkeypatch.setattr(cases, "measure", lambda *told: calls.append(told) or curves())
        with gzip.open(tmp_path / cases.HOURS["conv"], "wt") as file:
            file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0000000,374,44\n")
        cache = tmp_path / "cache"
        first = cases.measured(tmp_path, cache, "8b", "conv")
        again = cases.measured(tmp_path, cache, "8b", "conv")
        assert len(calls) == 1
        assert calls[0][1] == [(374, 44)]
        assert (first.missed == again.missed).all()
        assert len(list(cache.iterdir())) == 1

    def test_what_lacks_is_said_by_name(self, tmp_path):
        assert "no folder was given" in cases.missing(None, [CELL])
        told = cases.missing(tmp_path, [CELL])
        assert cases.RATES["mid"] in told
        assert "--traces or INFEROPS_TRACES" in told

    def test_nothing_lacks(self, folder):
        assert cases.missing(folder, [CELL]) == ""

    def test_a_file_that_is_no_trace_is_an_error(self, folder):
        (folder / cases.RATES["mid"]).write_text("a,b\n1,2\n")
        with pytest.raises(BadTrace, match="line 1"):
            cases.service(folder, folder, CELL, 16.0)


class TestPlaying:
    ENTRIES = (
        Entry("hpa", hpa.Settings(target=25.0, window=60.0)),
        Entry(STATIC, static.Settings(2)),
        Entry(STATIC, static.Settings(30)),
        Entry(BOUND, (60, 0.8)),
        Entry(OURS, bench_autoscale.grids(GOALS, [OURS])[0].settings),
    )

    def test_tasks_are_of_about_the_same_size_and_none_is_lost(self, folder, tmp_path):
        entries = [self.ENTRIES[0]] * 90
        work = tasks(folder, tmp_path, CELL, 16.0, Span(0, 60), entries, range(10))
        assert [(task.places[0], len(task.entries)) for task in work] == [(0, 30), (30, 30), (60, 30)]

    def test_each_entry_meets_the_same_arrivals(self, folder, tmp_path):
        (task,) = tasks(folder, tmp_path, CELL, 16.0, Span(600, 1500, warm=300), self.ENTRIES, range(3, 5))
        runs = by_entry(done(task))
        assert [each.seed for each in runs[0]] == [3, 4]
        for place in runs:
            assert [each.requests for each in runs[place]] == [each.requests for each in runs[0]]
        few, many = point(runs[1]), point(runs[2])
        assert few.hours == pytest.approx(2 * 0.25)
        assert many.missed < 0.01 < few.missed
        assert point(runs[3]).missed < 0.05

    def test_what_runs_before_is_not_counted(self, folder, tmp_path):
        (cold,) = tasks(folder, tmp_path, CELL, 16.0, Span(600, 900), self.ENTRIES[:1], range(1))
        (warm,) = tasks(folder, tmp_path, CELL, 16.0, Span(600, 900, warm=300), self.ENTRIES[:1], range(1))
        assert done(warm)[0].requests == pytest.approx(done(cold)[0].requests, rel=0.1)


class TestKeeping:
    ENTRIES = TestPlaying.ENTRIES

    def task(self, folder, cache, entries):
        (task,) = tasks(folder, cache, CELL, 16.0, Span(600, 900), entries, range(2))
        return task

    def test_an_interrupted_comparison_plays_the_rest(self, folder, tmp_path):
        some, all_ = (self.task(folder, tmp_path, entries) for entries in (self.ENTRIES[1:3], self.ENTRIES))
        first = [each for part in played([some], 1, Kept(tmp_path)) for each in part.outcomes]
        found, rest = Kept(tmp_path).rest(all_)
        assert [replace(each, place=each.place - 1) for each in found] == first
        assert rest.places == (0, 3, 4) and rest.entries == (self.ENTRIES[0], *self.ENTRIES[3:])
        whole = [each for part in played([all_], 1, Kept(tmp_path)) for each in part.outcomes]
        assert by_entry(whole) == by_entry(done(all_))
        assert Kept(tmp_path).rest(all_)[1] is None
        assert Kept(tmp_path, afresh=True).rest(all_) == ([], all_)

    def test_a_changed_rule_is_played_again_and_others_are_not(self, folder, tmp_path, monkeypatch):
        task = self.task(folder, tmp_path, self.ENTRIES)
        Kept(tmp_path).keep(task, done(task))
        own = tmp_path / "rule.py"
        own.write_text("changed")
        monkeypatch.setattr(bench_autoscale_kept, "OUR_OWN", (own,))
        assert Kept(tmp_path).rest(task)[1].entries == self.ENTRIES[4:]

    def test_other_traffic_other_days_and_other_seeds_are_played(self, folder, tmp_path):
        task = self.task(folder, tmp_path, self.ENTRIES[:1])
        Kept(tmp_path).keep(task, done(task))
        for other in (
            replace(task, span=Span(600, 1200)),
            replace(task, seeds=range(1, 3)),
            replace(task, cell=CELL._replace(cold=60.0)),
            replace(task, replicas=8.0),
        ):
            assert Kept(tmp_path).rest(other) == ([], other)

    def test_a_line_that_was_cut_off_is_played_again(self, folder, tmp_path):
        task = self.task(folder, tmp_path, self.ENTRIES[1:3])
        Kept(tmp_path).keep(task, done(task))
        (kept,) = tmp_path.glob("*.jsonl")
        kept.write_text(kept.read_text()[:-20])
        assert Kept(tmp_path).rest(task)[1].places == (1,)


class TestConfirming:
    def test_a_setting_request_by_request_is_much_like_the_fluid_model(self, folder, tmp_path, monkeypatch):
        """On a replica whose curves are measured, at a load that most carry."""
        monkeypatch.undo()
        cases.scaled.cache_clear()
        monkeypatch.setattr(flow_curves, "CYCLES", 1)
        monkeypatch.setattr(flow_curves, "PERIOD", 300.0)
        cell = Cell("8b", "mid", 60.0)
        asks = [Ask(folder, tmp_path, cell, 1.0, 0, 300, Entry(STATIC, static.Settings(each))) for each in (1, 2)]
        for single, flowed in both(asks, jobs=1):
            assert single.requests == flowed.requests
            assert single.attainment == pytest.approx(1 - flowed.missed / flowed.requests, abs=0.02)
            assert single.gpu_hours == pytest.approx(flowed.hours, rel=0.05)
        rows = tables.confirmation(both(asks[:1], jobs=1), 1)
        assert rows[1][0] == STATIC


class TestLived:
    def test_what_comes_as_it_is_and_was_chosen_too_is_played_once(self, folder, tmp_path, monkeypatch):
        played = []
        monkeypatch.setattr(bench_autoscale_play, "run_many", lambda case, runs: played.append(len(runs)))
        entries = [Entry(OURS, Settings()), Entry(STATIC, static.Settings(4)), Entry(OURS, Settings(), DEFAULTS)]
        (task,) = tasks(folder, tmp_path, CELL, 16.0, Span(600, 900), entries, range(2))
        assert sorted((each.place, each.seed) for each in done(task)) == [
            (at, seed) for at in range(3) for seed in (0, 1)
        ]
        assert played == [4]

    def test_who_learns_has_lived_before_and_is_asked_for_the_same_then(self, folder, tmp_path):
        entries = [Entry(OURS, Settings()), Entry(STATIC, static.Settings(4))]
        (task,) = tasks(folder, tmp_path, CELL, 16.0, Span(3000, 3900, warm=60), entries, range(2))
        ours, others = bench_autoscale._lived(task)
        assert (ours.entries, ours.places, ours.span) == (task.entries[:1], (0,), Span(3000, 3900, warm=60, lived=2940))
        assert (others.entries, others.places, others.span) == (task.entries[1:], (1,), task.span)
        requests = {each: [run.requests for run in done(each)] for each in (ours, others)}
        assert requests[ours] == requests[others]

    def test_traces_of_an_hour_have_no_days_before(self, folder, tmp_path):
        hour = CELL._replace(trace="conv")
        (task,) = tasks(folder, tmp_path, hour, 8.0, Span(900, 3900, warm=900), [Entry(OURS, Settings())], range(1))
        assert bench_autoscale._lived(task) == [task]


class TestAblations:
    def test_a_part_that_is_left_out_changes_what_is_decided_and_the_rule_is_whole_again(self, folder, tmp_path):
        told = Entry(TOLD, Settings(utilization=0.5))
        entries = [Entry(OURS, Settings()), Entry(BLIND, Settings()), told]
        (task,) = tasks(folder, tmp_path, CELL, 16.0, Span(600, 10400), entries, range(1))
        whole, blind, untaught = (run.hours for run in done(task))
        assert [run.hours for run in done(replace(task, entries=task.entries[:1], places=(0,)))] == [whole]
        assert len({whole, blind, untaught}) == 3

    def test_without_its_own_errors_it_plans_with_all_that_a_replica_carries(self):
        known = capacity.begin(capacity.Capacity(), 10.0)
        for rate in (5.0, 9.0) * 50:  # up to 1.5 times what was planned
            known = capacity.met(capacity.served(known, rate, 1000, 0), 0.1, rate, 1000)
        misses = Curve(known.misses, 10.0).at
        whole = staffing.plans(known.loads, misses, place_of(10.0), 0.01)
        alone = bench_autoscale_ours._as_planned(known.loads, misses, place_of(10.0), 0.01)
        assert rate_of(alone[2]) > 1.2 * rate_of(whole[2])

    def test_without_burstiness_there_is_one_plan(self, folder, tmp_path):
        rule = bench_autoscale_ours.made(EVEN, Settings(), cases.service(folder, tmp_path, CELL, 16.0))
        for look in range(1, 200):
            told = seen(15.0 * look, arrivals=100 if look % 7 else 400)
            rule.look(replace(told, wanted=2, ready=2))
        assert list(rule._whole.history.capacity.loads) == [0]

    def test_what_goes_wrong_while_it_looks_leaves_the_rule_whole(self, folder, tmp_path):
        def broken(*told: object) -> None:
            raise RuntimeError("broken")

        kept = capacity.plan
        service = cases.service(folder, tmp_path, CELL, 16.0)
        whole = bench_autoscale_ours.made(OURS, Settings(), service)
        rule = bench_autoscale_ours.Ablated(whole, {(capacity, "plan"): broken})
        with pytest.raises(RuntimeError, match="broken"):
            rule.look(seen(15.0, arrivals=100))
        assert capacity.plan is kept

    def test_it_has_a_grid_of_its_own_and_no_defaults(self):
        assert {entry.settings.utilization for entry in grids(GOALS, [TOLD])} > {0.5, 0.7}
        assert {entry.settings.utilization for entry in grids(GOALS, [OURS])} == {None}
        assert [entry.rule for entry in defaults(GOALS, [OURS, *ABLATIONS])] == [OURS]


class TestCommand:
    def run(self, monkeypatch, *words: str) -> None:
        monkeypatch.delenv("INFEROPS_TRACES", raising=False)
        monkeypatch.setattr(sys, "argv", ["bench_autoscale.py", *words])
        bench_autoscale.main()

    def test_without_traces_it_says_what_to_give(self, monkeypatch):
        with pytest.raises(SystemExit, match=r"the traces are not in this repository .* --traces or INFEROPS_TRACES"):
            self.run(monkeypatch)

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["--rules", "hpa,vpa"], "rules: vpa: not known; there are inferops, hpa"),
            (["--colds", "soon"], "--colds: soon: give seconds"),
            (["--days", "9"], "--days must be 1 to 7"),
            (["--seeds", "1"], "--seeds must be at least 2"),
        ],
    )
    def test_a_word_that_cannot_be_is_refused(self, monkeypatch, capsys, words, told):
        with pytest.raises(SystemExit):
            self.run(monkeypatch, *words)
        assert told in capsys.readouterr().err

    def test_all_of_it_on_a_few_minutes(self, folder, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(bench_autoscale, "tuning", lambda days: Span(0, 900))
        monkeypatch.setattr(bench_autoscale, "testing", lambda days: Span(3000, 3900, warm=60))
        out = tmp_path / "out"
        words = ["--traces", str(folder), "--out", str(out), "--cache", str(tmp_path / "cache")]
        words += ["--quick", "--rules", "inferops,skyserve,static", "--seeds", "2", "--thin", "9"]
        self.run(monkeypatch, *words)
        assert list((tmp_path / "cache").glob("*.jsonl"))
        assert sorted(path.name for path in out.iterdir()) == [
            "autoscaling-70b.svg",
            "autoscaling.json",
            "autoscaling.md",
        ]
        page = (out / "autoscaling.md").read_text()
        assert "## 70B on four H100s, trace mid, cold start 180 s" in page
        assert "| skyserve |" in page
        assert "At equal attainment" in capsys.readouterr().out
