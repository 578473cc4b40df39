"""Costs at equal attainment, reckoned by hand and as invariants."""

from math import exp, log
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_autoscale_stats import Point, cheapest, front, hours_at, interval, near, saved

POINTS = [Point(100, 0.01), Point(120, 0.001), Point(110, 0.02), Point(90, 0.1)]
SHARES = st.floats(1e-6, 1.0)
CLOUDS = st.lists(st.builds(Point, st.floats(1, 1000), SHARES), min_size=1, max_size=12)


class TestFront:
    def test_what_another_beats_in_both_is_left_out(self):
        assert front(POINTS) == [Point(120, 0.001), Point(100, 0.01), Point(90, 0.1)]

    @given(CLOUDS)
    def test_every_point_is_matched_by_one_of_the_front(self, points):
        found = front(points)
        assert set(found) <= set(points)
        for point in points:
            assert any(each.hours <= point.hours and each.missed <= point.missed for each in found)

    @given(CLOUDS)
    def test_along_the_front_fewer_hours_miss_more(self, points):
        found = front(points)
        assert sorted(found, key=lambda each: -each.hours) == found
        assert len({each.missed for each in found}) == len(found)


class TestHoursAt:
    def test_half_way_between_the_logarithms_is_half_way_between_the_hours(self):
        assert hours_at(POINTS, exp((log(0.01) + log(0.001)) / 2)) == pytest.approx(110)

    def test_at_a_point_it_is_that_point(self):
        assert hours_at(POINTS, 0.01) == pytest.approx(100)

    def test_beyond_the_cheapest_there_is_nothing_to_gain(self):
        assert hours_at(POINTS, 0.5) == 90

    def test_what_nobody_reaches_has_no_hours(self):
        assert hours_at(POINTS, 0.0005) is None

    def test_a_point_that_misses_nothing_can_be_one_end(self):
        assert hours_at([Point(200, 0.0), Point(100, 0.01)], 0.01) == 100
        assert 100 < hours_at([Point(200, 0.0), Point(100, 0.01)], 0.001) < 200

    @given(CLOUDS, SHARES, SHARES)
    def test_a_stricter_share_never_costs_less(self, points, one, other):
        strict, loose = hours_at(points, min(one, other)), hours_at(points, max(one, other))
        assert strict is None or (loose is not None and strict >= loose - 1e-9 * strict)

    @given(CLOUDS, SHARES, st.builds(Point, st.floats(1, 1000), SHARES))
    def test_hours_lie_among_those_of_the_points(self, points, missed, more):
        found = hours_at([*points, more], missed)
        if found is not None:
            all_hours = [point.hours for point in (*points, more)]
            assert min(all_hours) <= found <= max(all_hours)

    def test_without_points_it_is_an_error(self):
        with pytest.raises(ValueError, match="points: there are none"):
            hours_at([], 0.01)


class TestCheapest:
    def test_the_fewest_hours_that_reach_it(self):
        assert cheapest(POINTS, 0.05) == 0
        assert cheapest(POINTS, 0.5) == 3

    def test_the_nearest_where_none_does(self):
        assert cheapest(POINTS, 0.0001) == 1


class TestNear:
    def test_what_costs_a_little_more_than_the_front_is_kept(self):
        assert near(POINTS, 0.0) == [0, 1, 3]
        assert near(POINTS, 0.15) == [0, 1, 2, 3]  # at 0.02 the front has 96.99, and 110 are 13 % more

    @given(CLOUDS, st.floats(0, 0.5))
    def test_the_front_itself_is_always_kept(self, points, slack):
        assert set(front(points)) <= {points[place] for place in near(points, slack)}


class TestInterval:
    def test_ten_values(self):
        """Of 1..10 the mean is 5.5, the standard deviation 3.0277, t 2.262."""
        found = interval([float(value) for value in range(1, 11)])
        assert (found.mean, found.count) == (5.5, 10)
        assert found.within == pytest.approx(2.262 * 3.0277 / 10**0.5, rel=1e-4)
        assert (found.low, found.high) == pytest.approx((3.334, 7.666), abs=1e-3)

    def test_one_value_has_no_interval(self):
        assert interval([3.0]).within is None
        assert interval([3.0]).low == 3.0

    def test_none_is_an_error(self):
        with pytest.raises(ValueError, match="values: there are none"):
            interval([])

    @given(st.lists(st.floats(-100, 100), min_size=2, max_size=50))
    def test_the_mean_lies_within(self, values):
        found = interval(values)
        assert found.low <= fmean(values) + 1e-9
        assert found.high >= fmean(values) - 1e-9


class TestSaved:
    def test_shares_of_each_pair(self):
        found = saved([90, 80], [100, 100])
        assert found.mean == pytest.approx(0.15)
        assert found.within == pytest.approx(12.706 * 0.0707107 / 2**0.5, rel=1e-3)

    def test_what_costs_more_is_below_zero(self):
        assert saved([110.0], [100.0]).mean == pytest.approx(-0.1)

    def test_pairs_that_lack_one_are_left_out(self):
        assert saved([90, None, 50], [100, 100, None]).count == 1
        assert saved([None], [100]) is None

    def test_pairs_make_noise_that_both_share_vanish(self):
        """Seeds that cost a fifth more cost both a fifth more."""
        ours, theirs = [90.0, 108.0, 99.0], [100.0, 120.0, 110.0]
        assert saved(ours, theirs).within == pytest.approx(0.0, abs=1e-12)

    def test_unequal_numbers_are_an_error(self):
        with pytest.raises(ValueError):
            saved([1.0], [1.0, 2.0])
