"""The figures of `make bench-rollout`."""

import json
import sys

import pytest

import bench_rollout
from bench_rollout import RULES, bench, cell, interval, main, table
from inferops.simulate.rollouts.rules import Ended


@pytest.mark.parametrize(
    ("count", "total", "low", "high"), [(0, 1000, 0.0, 0.0038), (10, 1000, 0.0054, 0.0183), (50, 50, 0.929, 1.0)]
)
def test_intervals(count, total, low, high):
    share, *found = interval(count, total)
    assert share == count / total
    assert found == pytest.approx([low, high], abs=1e-3)


def test_a_cell_adds_up():
    ended = [
        Ended("rolled back", 60, 5),
        Ended("promoted", 700, 15),
        Ended("undecided", 3600, 10),
        Ended("promoted", 800, 10),
    ]
    one = cell(0, "inferops", ended)
    assert (one.rolled_back[0], one.promoted[0], one.undecided[0]) == (0.25, 0.5, 0.25)
    assert (one.seconds, one.hurt) == (750, 10)
    assert cell(0, "inferops", ended[2:3] * 3).seconds is None


def test_every_rule_judges_the_same_scenarios(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_rollout, "MORE", 1)
    file = tmp_path / "figures.json"
    options = ["--jobs", "1", "--seeds", "2", "--only", "errors +20 points", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["bench", *options])
    main()
    cells = json.loads(file.read_text())
    assert [one["rule"] for one in cells if one["scenario"] == "errors +20 points"] == list(RULES)
    assert all(one["rolled_back"][0] == 1.0 for one in cells if one["scenario"] == "errors +20 points")
    assert "100.0" in capsys.readouterr().out


def test_the_table_has_a_line_for_each(capsys):
    cells = bench([4], 2)
    lines = table(cells)
    assert len(lines) == 1 + 2 + len(RULES)
    assert "harmless: rolled back is false" in lines[2]
