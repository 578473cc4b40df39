"""Words of the command line as they are read."""

from __future__ import annotations

import pytest

from inferops.cli.simulateask import BadOption, cold_start, length, moment, rate_and_length
from inferops.simulate.scaling.scenario import ColdStart

USUAL = ColdStart(schedule=1.0, pull=2.0, load=3.0, warm=4.0, node=5.0)
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", USUAL),
        ("180s", ColdStart(schedule=0, pull=0, load=180, warm=0, node=5)),
        ("load=2m, node=0s", ColdStart(schedule=1, pull=2, load=120, warm=4, node=0)),
        ("schedule=1s,pull=10s,load=20s,warm=30s,node=1h", ColdStart(1, 10, 20, 30, node=3600)),
    ],
)
def test_cold_starts(text: str, expected: ColdStart) -> None:
    assert cold_start(text, USUAL) == expected


@pytest.mark.parametrize("text", ["3", "load", "load=", "load=x", "spread=1s", "load=1s,", "-3s"])
def test_cold_starts_that_are_none(text: str) -> None:
    with pytest.raises(BadOption, match="--cold-start"):
        cold_start(text, USUAL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-1h30m", NOW - 5400),
        ("1700000000.5", 1_700_000_000.5),
        ("2026-11-20T08:00:00Z", 1_795_161_600.0),
        ("2026-11-20 09:00:00+01:00", 1_795_161_600.0),
        ("2026-11-20", 1_795_132_800.0),
    ],
)
def test_moments(text: str, expected: float) -> None:
    assert moment("--start", text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "-soon", "1.2.3", "2026-13-01"])
def test_moments_that_are_none(text: str) -> None:
    with pytest.raises(BadOption, match="--start"):
        moment("--start", text, NOW)


def test_rates_and_lengths() -> None:
    assert rate_and_length("12,2h") == (12.0, 7200.0)
    assert rate_and_length("0.5") == (0.5, 3600.0)
    assert length("--duration", " 1h30m ") == 5400.0
    for text in ("-1", "0,1h", "inf", "nan,1h", ",1h", "1,", "1,0s"):
        with pytest.raises(BadOption):
            rate_and_length(text)
