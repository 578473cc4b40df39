"""For how long replicas are kept: what each time would have cost and missed, and which of them is chosen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core.autoscale.holding import (
    FORGETS,
    LONGEST,
    TIMES,
    Asked,
    Choice,
    Holding,
    Keeping,
    aged,
    counted,
    seconds,
)

LOOK, SHORTEST, COLD = 15.0, 180.0, 180.0


def lived(needs: list[int], true: float = 1.0) -> Keeping:
    """After looks that needed so many replicas each; a replica ends 4 requests a second, and 2 are planned. So much of
    what was to be missed was."""
    known = Keeping()
    for at, need in enumerate(needs):
        asked = Asked(LOOK, 2.0 * need, need, need, 4.0, 5.0)
        known = counted(known, asked, lambda rate: float(rate > 3.9), SHORTEST, COLD, at * LOOK)
    return known._replace(missed=true * known.expected)


def every(pause: float, times: int, height: int = 10) -> list[int]:
    """A minute of bursts every so many seconds, and else one replica's worth."""
    return ([height] * 4 + [1] * round((pause - 60) / LOOK)) * times


def test_a_burst_that_comes_again_finds_what_was_kept() -> None:
    known = lived(every(300.0, 20))
    first = min(each.missed for each in known.holdings)  # what nothing was there for yet
    assert known.holdings[0].missed > 10 * first
    assert [each.missed for each in known.holdings[1:]] == [pytest.approx(first)] * 3
    assert known.holdings[0].cost < known.holdings[1].cost
    assert Choice(known, 2.0).best(price=40.0) == 1
    assert Choice(known, 2.0).spared(price=40.0) == 0
    assert Choice(known, 2.0).best(price=0.1) == 0  # nobody keeps for more than it is worth
    assert Choice(known, 2.0).spared(price=0.1) > 0.5


def test_one_that_does_not_come_again_is_not_waited_for() -> None:
    known = lived(every(4 * 3600.0, 3))
    assert len({round(each.missed) for each in known.holdings}) == 1
    assert Choice(known, 2.0).best(price=40.0) == 0
    assert Choice(known, 2.0).spared(price=40.0) == 0  # nothing would have


def test_a_load_that_comes_and_goes_slowly_is_no_shock() -> None:
    known = lived([round(10 + 8 * (at % 400) / 400) for at in range(4000)])
    assert all(each.missed == 0 for each in known.holdings)


def test_what_was_to_be_missed_and_was_not_is_not_spared() -> None:
    assert Choice(lived(every(300.0, 20), true=0.001), 2.0).best(price=40.0) == 0


def test_a_time_is_not_left_for_little() -> None:
    known = Keeping((Holding(cost=100.0), Holding(cost=99.0), Holding(cost=200.0), Holding(cost=300.0)))
    assert Choice(known, 1.0).best(price=1.0) == 0
    assert Choice(known._replace(at=1), 1.0).best(price=1.0) == 1
    assert Choice(known._replace(at=2), 1.0).best(price=1.0) == 1


def test_old_bursts_are_forgotten() -> None:
    once = lived(every(300.0, 20))
    known = aged(once, 2 * FORGETS)
    assert known.asked == pytest.approx(once.asked / 4)
    assert [each.missed for each in known.holdings] == pytest.approx([each.missed / 4 for each in once.holdings])


def test_what_waits_since_a_shock_misses_too() -> None:
    """A replica ends 4 requests a second. After 100 a second for 15 s it works off 1,440 that wait for another
    quarter of an hour, in which whoever comes is late, though few do."""
    known = Keeping()
    for at in range(10):
        asked = Asked(LOOK, 100.0 if at == 0 else 2.0, 1, 1, 4.0, 5.0)
        known = counted(known, asked, lambda rate: float(rate > 3.9), SHORTEST, COLD, at * LOOK)
    assert known.holdings[0].missed == pytest.approx(1500 + 9 * 30)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.floats(15.0, 900.0), st.floats(15.0, 1800.0))
def test_who_keeps_longer_has_no_fewer(needs: list[int], shortest: float, cold: float) -> None:
    known = Keeping()
    for at, need in enumerate(needs):
        asked = Asked(LOOK, 2.0 * need, need, need, 4.0, 5.0)
        known = counted(known, asked, lambda rate: float(rate > 3.9), shortest, cold, at * LOOK)
        wanted = [each.needed[0][1] for each in known.holdings]
        assert wanted == sorted(wanted) and wanted[0] >= need
        assert all(each.wanted[0][1] <= each.needed[0][1] for each in known.holdings)
        assert all(len(each.needed) <= 31 and len(each.wanted) <= 31 for each in known.holdings)
    assert [each.cost for each in known.holdings] == sorted(each.cost for each in known.holdings)


def test_nobody_keeps_for_longer_than_an_hour() -> None:
    assert [seconds(at, 180.0) for at in range(len(TIMES))] == [180.0, 360.0, 720.0, 1440.0]
    assert seconds(3, 900.0) == LONGEST
