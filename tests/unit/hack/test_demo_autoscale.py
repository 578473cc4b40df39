"""What `make demo-autoscale` promises is judged by what was measured: each promise is broken once, and it is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale_load import Load, Request
from autoscale_picture import drawn
from autoscale_record import Phase, Record, Sample, attainment, turns
from demo_autoscale import GPUS, MOST, faults, gpu_hours, told

GOOD = [1] * 10 + [4] * 5 + [8] * 15 + [3] * 10  # replicas wanted, a second each


def record(numbers: Sequence[int] = GOOD, reason: str = "Demand", ready: int = 1) -> Record:
    samples = [Sample(float(at), number, ready, 2.0, 0, reason) for at, number in enumerate(numbers)]
    return Record(samples, [Phase("step to 10x", 0, 30), Phase("and back", 30, 40)])


def load(*requests: Request) -> Load:
    made = Load([], "model", 4)
    made.sent += requests
    return made


ANSWERED = Request(1.0, first=1.5, ended=1.7, tokens=4)


def test_nothing_is_said_of_what_is_as_promised() -> None:
    assert list(faults(record(), load(ANSWERED))) == []


@pytest.mark.parametrize(
    ("case", "broken", "requests", "says"),
    [
        ("a request is lost", record(), [ANSWERED, Request(2.0, error="503")], "1 of 2 requests were lost"),
        ("too many", record([*GOOD[:-1], MOST + 1]), [ANSWERED], "out of bounds"),
        ("more than there are GPUs", record(ready=GPUS + 1), [ANSWERED], "out of bounds"),
        ("it swings", record([1, 8, 7, 8, *GOOD[4:]]), [ANSWERED], "step to 10x: replicas turn more than once"),
        ("it does not follow", record([1] * 40), [ANSWERED], "step to 10x: replicas do not follow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_promised_is_told(case: str, broken: Record, requests: list[Request], says: str) -> None:
    found = list(faults(broken, load(*requests)))
    assert found and says in found[0]


def test_nothing_goes_while_nobody_tells_nor_by_a_restart() -> None:
    silent = record(reason="NoSignals")
    silent.marks = [(31.0, "metrics away"), (39.0, "metrics back")]
    assert list(faults(silent, load(ANSWERED))) == []
    silent.marks[0] = (28.0, "metrics away")
    assert any("taken away while nobody tells" in fault for fault in faults(silent, load(ANSWERED)))
    unsaid = record()
    unsaid.marks = [(31.0, "metrics away"), (39.0, "metrics back")]
    assert list(faults(unsaid, load(ANSWERED))) == ["the status does not say that nobody tells"]
    killed = record()
    killed.marks = [(5.0, "operator killed"), (10.0, "another one leads")]
    assert any("taken away by a restart" in fault for fault in faults(killed, load(ANSWERED)))


@given(st.lists(st.integers(0, 9)))
def test_what_only_rises_or_falls_never_turns(numbers: list[int]) -> None:
    assert turns(sorted(numbers)) == turns(sorted(numbers, reverse=True)) == 0
    assert turns([*sorted(numbers), *sorted(numbers, reverse=True)]) <= 1
    assert turns(numbers) <= max(len(numbers) - 2, 0)


def test_who_was_answered_in_time() -> None:
    late, slow = Request(1.0, 4.0, 4.3, 4), Request(1.0, 1.5, 4.5, 4)
    lost, short = Request(1.0, 1.5, 1.8, 2, "it ended early"), Request(1.0, 1.5, 1.5, 1)
    assert attainment([ANSWERED, late, slow, lost, short], ttft=2.0, tpot=0.2) == 2 / 5
    assert attainment([], 2.0, 0.2) == 0


def test_the_figures_and_the_picture_show_all_of_it() -> None:
    shown = record(ready=2)
    shown.marks = [(5.0, "operator <killed>")]
    lines = list(told(shown, load(ANSWERED, Request(35.0, error="503"))))
    assert [line.split(":")[0] for line in lines] == ["step to 10x", "and back", "all"]
    assert "1 lost" in lines[-1] and "50.00 %" in lines[-1]
    assert gpu_hours(shown) == pytest.approx(2 * 39 / 3600)
    found = json.loads(shown.dump([ANSWERED], ttft=4.0, tpot=0.1, gpus=GPUS, most=MOST))
    picture = ElementTree.fromstring(drawn(found))
    texts = ["".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"step to 10x", "and back", "operator <killed>", "replicas", f"{GPUS} GPUs"} <= set(texts)
