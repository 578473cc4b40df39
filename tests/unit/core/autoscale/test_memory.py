"""What is learned, as a text and back."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.core.autoscale.candidates import CANDIDATES, Candidate, Candidates, of_bins, together
from inferops.core.autoscale.capacity import Capacity, met, plan, served
from inferops.core.autoscale.forecast import Outlook, observe
from inferops.core.autoscale.history import History
from inferops.core.autoscale.memory import LONGEST_TEXT, read, written
from inferops.core.autoscale.staffing import CLASSES, HIGHEST, LOWEST, total


def lived(rates: list[float], days: int = 1) -> History:
    """A history after those days, with an hour at each of the rates in turn."""
    outlook, capacity, now = Outlook(), Capacity(knee=4.0, told=True, plans=(2.4,) * CLASSES, carries=4.0), 0.0
    for hour in range(24 * days):
        rate = rates[hour % len(rates)]
        for _ in range(4):
            now += 900.0
            outlook, _ = observe(outlook, now, 900.0, rate, 100.0)
            capacity = met(served(capacity, rate / 8, rate * 900, rate), outlook.burst, rate / 8, rate * 900)
            capacity = plan(capacity, now, 0.99, 100.0)
    each = tuple(
        Candidate(paid=1e6 + at, shocked=250.0 + at, hardest=10.0 + at, loads=of_bins({-3: 70.0 * at, 2: 30.0 * at}, 1))
        for at in range(1, len(CANDIDATES) + 1)
    )
    weighed = Candidates(each, at=2, seconds=7200.0, asked=8000.0, missed=120.0, expected=250.0)
    capacity = capacity._replace(candidates=weighed)
    return History(looked=now, outlook=outlook, capacity=capacity, kind="a", starts=(90.0, 110.0), usual_tokens=260.0)


def test_what_is_written_is_read_as_it_was() -> None:
    before = lived([8.0, 16.0, 24.0])
    text = written(before)
    after = read(text)
    assert len(text) <= LONGEST_TEXT
    assert after.kind == "a" and after.starts == before.starts and after.usual_tokens == 260.0
    assert after.capacity.plans == pytest.approx(before.capacity.plans, rel=1e-3)
    assert after.outlook.noise == pytest.approx(before.outlook.noise, rel=0.05)
    assert total(after.capacity.loads) == pytest.approx(total(before.capacity.loads), rel=1e-3)
    for kind, bins in before.capacity.loads.items():
        fullest = max(bins, key=lambda at: bins[at])
        assert after.capacity.loads[kind][fullest] == pytest.approx(bins[fullest], rel=0.15)
    assert after.capacity.carries == pytest.approx(before.capacity.carries, rel=1e-3)
    for place, (judged, missed) in before.capacity.misses.items():
        known = after.capacity.misses.get(place, (0.0, 0.0))
        assert known == (pytest.approx(judged, abs=1), pytest.approx(missed, abs=0.1))
    assert after.outlook.day == pytest.approx(before.outlook.day, abs=0.02 * max(before.outlook.day))
    known, found = before.capacity.candidates, after.capacity.candidates
    assert found._replace(each=()) == known._replace(each=())
    for one, other in zip(known.each, found.each, strict=True):
        assert (other.paid, other.shocked, other.hardest) == pytest.approx(
            (one.paid, one.shocked, one.hardest), rel=1e-3
        )
        assert together(other) == pytest.approx(together(one), rel=0.15)


def test_nothing_is_written_for_little() -> None:
    before = lived([8.0, 16.0, 24.0], days=4)
    text = written(before)
    assert written(lived([8.0, 16.0, 24.0], days=5), text) == text
    assert written(before._replace(kind="b"), text) != text
    assert written(before._replace(capacity=before.capacity._replace(plans=(1.0,) * CLASSES)), text) != text
    assert written(before._replace(starts=(300.0,)), text) != text
    assert written(before._replace(capacity=before.capacity._replace(candidates=Candidates(at=5))), text) != text


def test_a_service_that_learned_nothing_writes_nothing() -> None:
    assert written(History()) == ""
    assert read("") == History()


def test_the_longest_fits() -> None:
    misses = {place: (123456.0, 12345.6) for place in range(-32, 32)}
    loads = {kind: dict.fromkeys(range(LOWEST, HIGHEST + 1), 123456.0) for kind in range(CLASSES)}
    full = of_bins(loads[0], 1)
    each = tuple(Candidate(paid=123456.7, shocked=123456.7, hardest=123456.7, loads=full) for _ in CANDIDATES)
    weighed = Candidates(each, at=15, seconds=123456.7, asked=123456.7, missed=123456.7, expected=123456.7)
    capacity = Capacity(
        knee=12.34,
        told=True,
        plans=(12.34,) * CLASSES,
        carries=12.34,
        misses=misses,
        loads=loads,
        candidates=weighed,
    )
    text = written(lived([8.0, 16.0])._replace(capacity=capacity, kind="a" * 64))
    assert 0 < len(text) <= LONGEST_TEXT
    assert read(text).capacity.plans == (12.34,) * CLASSES


@cache
def usual() -> str:
    return written(lived([8.0, 16.0]))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nonsense_reads_as_empty_or_as_something_that_works(data: st.DataObject) -> None:
    found = json.loads(usual())
    nonsense = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=8,
    )
    found[data.draw(st.sampled_from(sorted(found)))] = data.draw(nonsense)
    history = read(json.dumps(found))
    observe(history.outlook, 1.0, 15.0, 3.0, 100.0)
    plan(met(served(history.capacity, 1.0, 10, 1), history.outlook.burst, 1.0, 10), 1e6, 0.99, 100.0)
    assert len(written(history)) <= LONGEST_TEXT


@pytest.mark.parametrize("text", ["{}", "[]", "null", "{", '"', "[" * 5000, "{" * 100])
def test_what_is_not_ours_reads_as_empty(text: str) -> None:
    assert read(text) == History()
