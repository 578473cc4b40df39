"""What is followed: what each candidate would have cost and missed, and which of them is chosen."""

from __future__ import annotations

from itertools import product
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core.autoscale.candidates import (
    CANDIDATES,
    PAUSES,
    WINDOWS,
    Asked,
    Candidate,
    Candidates,
    aged,
    by_class,
    choose,
    counted,
    due,
    followed,
    together,
)
from inferops.core.autoscale.forecast import SIGNALS
from inferops.core.autoscale.misses import place_of

LOOK, COLD, PLANNED, CARRIES = 15.0, 180.0, 2.0, 4.0
TOP = place_of(CARRIES)
DAY = 86400.0


def misses(rate: float) -> float:
    return float(rate > 0.98 * CARRIES)


def look(
    known: Candidates, at: int, rate: float, needs: tuple[int, ...], settle: float | None = None, cold: float = COLD
) -> Candidates:
    asked = Asked(LOOK, rate, needs, PLANNED, 0.1, CARRIES, 5.0)
    return counted(known, asked, misses, cold, settle, at * LOOK)


def lived(needs: list[int], true: float = 1.0, settle: float | None = None) -> Candidates:
    """After looks that needed so many replicas each, by whatever signal. So much of what was to be missed was."""
    known = Candidates()
    for at, need in enumerate(needs):
        known = look(known, at, PLANNED * need, (need,) * len(SIGNALS), settle)
    return known._replace(missed=true * known.expected, seconds=9 * DAY)  # so that little is enough


def chosen(known: Candidates, allowed: float = 0.01) -> tuple[str, float]:
    return CANDIDATES[choose(known, lambda place: misses(2 ** (place / 16)), TOP, allowed, COLD)]


def windows(known: Candidates) -> list[Candidate]:
    """Those of the first signal."""
    return list(known.each[: len(WINDOWS)])


def every(pause: float, times: int, height: int = 10) -> list[int]:
    """A minute of bursts every so many seconds, and else one replica's worth."""
    return ([height] * 4 + [1] * round((pause - 60) / LOOK)) * times


def test_a_burst_that_comes_again_finds_what_was_kept() -> None:
    known = lived(every(600.0, 60))
    first = min(each.shocked for each in known.each)  # what nothing was there for yet
    short, *longer = windows(known)
    assert short.shocked > 10 * first
    assert [each.shocked for each in longer[1:]] == [pytest.approx(first)] * 2
    assert short.paid < longer[1].paid
    assert chosen(known)[1] == 1800.0
    assert chosen(known, allowed=0.95)[1] == 120.0  # nobody keeps for more than it is worth


def test_one_that_does_not_come_again_is_not_waited_for() -> None:
    known = lived(every(4 * 3600.0, 6))
    _, *longer = windows(known)  # in the first what is begun for a burst is let go before it is ready
    assert len({each.shocked for each in longer}) == 1
    assert chosen(known)[1] == 480.0


def test_one_shock_however_hard_is_no_habit() -> None:
    pause = [1] * 120
    once, twice = (lived([1] * 100 + ([10] * 40 + pause) * times + [1] * 4000) for times in (1, 2))
    assert all(each.shocked == each.hardest > 0 for each in once.each)
    assert chosen(once, allowed=0.001)[1] == 120.0
    assert windows(twice)[-1].shocked == pytest.approx(windows(once)[-1].shocked)  # what was kept met the second
    assert chosen(twice, allowed=0.001)[1] == 3600.0


def test_what_was_to_be_missed_and_was_not_is_not_spared() -> None:
    assert chosen(lived(every(600.0, 60), true=0.001))[1] == 120.0


def test_a_load_that_comes_and_goes_slowly_is_no_shock() -> None:
    known = lived([round(10 + 8 * (at % 400) / 400) for at in range(4000)])
    assert all(each.shocked == 0 for each in known.each)


def test_who_climbs_goes_by_the_trend_and_who_does_not_goes_by_the_mean() -> None:
    """What one signal asks for replicas cost, and spare misses where the load does climb while they start."""

    def after(pace: float) -> Candidates:
        known = Candidates()
        for at in range(6000):
            phase = at % 200
            need = 20 + (pace * min(phase, 200 - phase))
            ahead = need + (pace * COLD / LOOK if phase < 100 else 0.0)
            known = look(known, at, PLANNED * need, tuple(round(each) for each in (need, ahead, need, need)))
        return known

    assert chosen(after(0.4))[0] == "trend"
    level = after(0.0)
    dearer = level._replace(
        each=tuple(
            each._replace(paid=1.1 * each.paid) if signal == "trend" else each
            for each, (signal, _) in zip(level.each, CANDIDATES, strict=True)
        )
    )
    assert chosen(dearer)[0] != "trend"


def test_what_is_followed_is_not_left_for_little_and_at_first_only_for_much() -> None:
    known = lived([10] * 40)
    now = followed(known, COLD)

    def cheaper(by: float, seconds: float) -> Candidates:
        other = known.each[0]._replace(paid=(1 - by) * known.each[0].paid)
        return known._replace(each=(other, *known.each[1:]), seconds=seconds)

    def at(known: Candidates) -> int:
        return CANDIDATES.index(chosen(known))

    assert now != 0
    assert at(cheaper(0.002, 9 * DAY)) == now
    assert at(cheaper(0.02, 9 * DAY)) == 0
    assert at(cheaper(0.02, 3600.0)) == now
    assert at(cheaper(0.3, 3600.0)) == 0


def test_nothing_is_chosen_from_nothing() -> None:
    assert CANDIDATES[followed(Candidates(), COLD)] == ("trend", 120.0)
    assert CANDIDATES[followed(Candidates(), 1200.0)] == ("trend", 1800.0)
    assert chosen(Candidates()) == ("trend", 120.0)
    assert chosen(lived([0] * 10)) == ("trend", 120.0)


def test_it_is_chosen_the_more_seldom_the_more_is_known() -> None:
    assert due(Candidates(), 0.0)
    for seconds, pause in ((60.0, PAUSES[0]), (6000.0, 600.0), (9 * DAY, PAUSES[1])):
        known = Candidates(chosen=1000.0, seconds=seconds)
        assert not due(known, 999.0 + pause) and due(known, 1000.0 + pause)


def test_what_is_old_counts_less() -> None:
    before = lived(every(600.0, 20))
    after = aged(before, 0.25)
    assert after.asked == pytest.approx(before.asked / 4)
    for one, other in zip(before.each, after.each, strict=True):
        assert (other.paid, other.shocked, other.hardest) == pytest.approx(
            (one.paid / 4, one.shocked / 4, one.hardest / 4)
        )
        assert sum(other.loads.values()) == pytest.approx(sum(one.loads.values()) / 4, rel=0.01)
    assert not aged(before, 1e-9).each[0].loads


def test_what_waits_since_a_shock_misses_too() -> None:
    """A replica ends 4 requests a second. After 100 a second for 15 s it works off 1,440 that wait for another
    quarter of an hour, in which whoever comes is late, though few do."""
    known = Candidates()
    for at in range(10):
        known = look(known, at, 100.0 if at == 0 else 2.0, (1,) * len(SIGNALS))
    assert known.each[0].shocked == pytest.approx(1500 + 9 * 30)
    assert known.each[0].hardest == known.each[0].shocked


def test_requests_are_counted_at_what_replicas_would_have_got() -> None:
    known = look(Candidates(), 0, 12.0, (4, 8, 4, 4))  # of 4 replicas each gets 3, of 8 half of that; 2 are planned
    first, trend = known.each[0], known.each[len(WINDOWS)]
    for candidate, each in ((first, 3.0), (trend, 1.5)):
        bins = together(candidate)
        assert sum(bins.values()) == pytest.approx(12.0 * LOOK)
        assert sum(at * n for at, n in bins.items()) / sum(bins.values()) == pytest.approx(16 * log2(each / PLANNED))
        classes = by_class(candidate)
        assert {at: sum(bins.get(at, 0.0) for bins in classes.values()) for at in bins} == pytest.approx(bins)
        assert set(classes) == {1, 2}  # 0.1 is between 1/16 and 1/8
    assert (first.paid, trend.paid) == (4 * PLANNED * LOOK, 8 * PLANNED * LOOK)


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=200),
    st.floats(15.0, 1800.0),
    st.one_of(st.none(), st.floats(0.0, 4000.0)),
)
def test_who_keeps_longer_has_no_fewer(needs: list[int], cold: float, settle: float | None) -> None:
    known = Candidates()
    for at, need in enumerate(needs):
        known = look(known, at, PLANNED * need, (need,) * len(SIGNALS), settle, cold)
        wanted = [each.wanted[-1][1] for each in windows(known)]
        assert wanted == sorted(wanted) and wanted[0] >= need
        assert settle is None or len(set(wanted)) == 1
        assert all(each.wanted[0][1] <= each.wanted[-1][1] for each in known.each)
        assert all(len(numbers) <= 31 for numbers in (*known.needed, *(each.wanted for each in known.each)))
    paid = [each.paid for each in windows(known)]
    assert paid == sorted(paid)


def test_candidates_are_all_signals_with_all_windows() -> None:
    assert list(CANDIDATES) == list(product(SIGNALS, WINDOWS))
