"""Rules that go by what engines tell, on traces reckoned by hand: AIBrix, WVA, Dynamo."""

import itertools

import pytest

from inferops.simulate.scaling.peers import aibrix, dynamo, forecasts, wva

BY_REQUESTS = aibrix.Settings(target=10, signal="in_flight", window=10)


class TestAibrix:
    def test_within_the_tolerance_nothing_changes(self, stage):
        assert stage(aibrix.Apa(BY_REQUESTS), replicas=4).look(44) == 4
        assert stage(aibrix.Apa(BY_REQUESTS), replicas=4).look(45) == 5

    def test_up_is_twice_as_many_at_most(self, stage):
        assert stage(aibrix.Apa(BY_REQUESTS), replicas=4).look(4000) == 8

    def test_it_compounds_while_replicas_start(self, stage):
        """15 each of 4 ask for 6; those 4 are as busy 10 s later, and 1.5 times 6 are 9."""
        service = stage(aibrix.Apa(BY_REQUESTS), replicas=4, cold=180)
        assert [service.look(60) for _ in range(6)] == [6, 9, 14, 21, 32, 48]

    def test_one_pod_that_does_not_tell_may_freeze_it(self, stage):
        frozen = aibrix.Settings(target=10, signal="in_flight", window=10, all_tell=True)
        service = stage(aibrix.Apa(frozen), replicas=4, cold=180)
        assert [service.look(load) for load in (60, 200, 800, 0)] == [6] * 4

    def test_corrected_it_asks_for_what_is_needed(self, stage):
        service = stage(aibrix.Apa(aibrix.corrected(BY_REQUESTS)), replicas=4, cold=180)
        assert [service.look(60) for _ in range(6)] == [6] * 6

    def test_down_takes_the_lowest_of_five_minutes(self, stage):
        """A dip of one look, which a HorizontalPodAutoscaler would sit out, is carried out later on."""
        service = stage(aibrix.Apa(BY_REQUESTS), replicas=8)
        assert service.look(80, times=3) == 8
        assert service.look(30) == 4  # by half at most
        service.ready = service.wanted = 8
        assert service.look(70) == 4  # which asks for 7

    def test_so_after_a_rise_it_goes_back_to_where_the_rise_began(self, stage):
        service = stage(aibrix.Apa(BY_REQUESTS), replicas=4)
        assert [service.look(160) for _ in range(2)] == [8, 16]
        assert service.look(120) == 8  # which asks for 12; 8 was a step of the rise

    def test_corrected_down_takes_the_highest(self, stage):
        service = stage(aibrix.Apa(aibrix.corrected(BY_REQUESTS)), replicas=8)
        service.look(80, times=3)
        assert service.look(30, times=29) == 8
        assert service.look(30) == 4

    def test_by_default_it_goes_by_kv_caches_over_three_minutes(self, stage):
        service = stage(aibrix.Apa(aibrix.Settings()), replicas=4)
        assert service.look(kv=0.5, times=17) == 4
        assert service.look(kv=1.0) == 4  # a mean of 0.528
        assert service.look(kv=1.0) == 5  # of 0.556

    def test_without_ready_replicas_nothing_is_known(self, stage):
        service = stage(aibrix.Apa(BY_REQUESTS), replicas=0)
        assert service.look(50) == 0


class TestWva:
    def test_too_little_spare_kv_cache_adds_one(self, stage):
        assert stage(wva.Wva(wva.Settings()), replicas=4).look(kv=0.71) == 5
        assert stage(wva.Wva(wva.Settings()), replicas=4).look(kv=0.69) == 4

    def test_too_little_spare_queue_adds_one(self, stage):
        assert stage(wva.Wva(wva.Settings()), replicas=2).look(20, waiting=5, kv=0.5) == 3

    def test_all_saturated_adds_one_too(self, stage):
        assert stage(wva.Wva(wva.Settings()), replicas=2).look(20, waiting=12, kv=0.9) == 3

    def test_one_goes_if_its_load_fits_elsewhere(self, stage):
        assert stage(wva.Wva(wva.Settings()), replicas=4).look(kv=0.52) == 3  # 0.693 each of 3
        assert stage(wva.Wva(wva.Settings()), replicas=4).look(kv=0.53) == 4  # 0.707

    def test_the_last_one_stays(self, stage):
        assert stage(wva.Wva(wva.Settings()), replicas=1).look(kv=0.0, times=5) == 1

    def test_while_one_starts_nothing_is_decided(self, stage):
        """One replica every cold start, whatever comes."""
        service = stage(wva.Wva(wva.Settings()), replicas=1, cold=180)
        wanted = [service.look(900, waiting=600, kv=1.0) for _ in range(20)]
        assert [30 * (wanted.index(replicas) + 1) for replicas in (2, 3, 4, 5)] == [30, 210, 390, 570]

    def test_the_highest_of_a_minute_counts(self, stage):
        service = stage(wva.Wva(wva.Settings()), replicas=4)
        assert service.look(kv=0.75) == 5
        assert service.look(kv=0.65) == 6  # 0.75 was 30 s ago

    def test_an_hpa_with_a_window_of_four_minutes_staggers_it(self, stage):
        service = stage(wva.Wva(wva.delayed(wva.Settings(), 240.0)), replicas=4)
        assert service.look(kv=0.75) == 5  # nothing else was recommended yet
        assert service.look(kv=0.75, times=8) == 5
        assert service.look(kv=0.75) == 6


class TestDynamo:
    PROFILE = dynamo.Settings(engine=10.0, predictor="constant")

    def test_the_forecast_is_the_least_there_is(self, stage):
        service = stage(dynamo.Dynamo(self.PROFILE), replicas=1)
        assert service.look(10, arrivals=160, ttft=0.1, tpot=0.02, kv=0.1, times=35) == 1  # 32 a second
        assert service.look(10, arrivals=160, ttft=0.1, tpot=0.02, kv=0.1) == 4

    def test_without_the_step_by_load_it_is_all(self, stage):
        service = stage(dynamo.Dynamo(dynamo.Settings(engine=10.0, predictor="constant", load=False)), replicas=6)
        assert service.look(10, arrivals=160, ttft=9.0, tpot=0.9, times=35) == 6
        assert service.look(10, arrivals=160, ttft=9.0, tpot=0.9) == 4

    def test_one_more_where_the_sla_is_exceeded(self, stage):
        service = stage(dynamo.Dynamo(self.PROFILE), replicas=2)
        assert service.look(10, arrivals=5, ttft=0.3, tpot=0.06, kv=0.5, times=4) == 2  # it learns
        assert service.look(10, arrivals=5, ttft=0.3, tpot=0.06, kv=0.5) == 3

    def test_it_only_observes_while_one_starts(self, stage):
        service = stage(dynamo.Dynamo(self.PROFILE), replicas=2, cold=100)
        assert service.look(10, arrivals=5, ttft=0.9, tpot=0.06, kv=0.5, times=24) == 3

    def test_one_fewer_where_four_fifths_of_the_sla_would_hold_without_it(self, stage):
        service = stage(dynamo.Dynamo(self.PROFILE), replicas=3)
        service.look(10, arrivals=5, ttft=0.1, tpot=0.02, kv=0.2, times=2)
        service.look(10, arrivals=5, ttft=0.1, tpot=0.03, kv=0.4, times=2)
        assert service.look(10, arrivals=5, ttft=0.1, tpot=0.031, kv=0.42) == 3  # 0.0415 at 0.63
        assert service.look(10, arrivals=5, ttft=0.1, tpot=0.029, kv=0.38) == 2  # 0.0385 at 0.57

    @pytest.mark.parametrize(("consolidate", "turns"), [(False, 6), (True, 2)])
    def test_who_does_not_ask_what_the_others_would_have_oscillates_who_does_errs_once(self, stage, consolidate, turns):
        rule = dynamo.Settings(engine=100.0, predictor="constant", consolidate=consolidate)
        service = stage(dynamo.Dynamo(rule), replicas=2)
        wanted = []
        for _ in range(10):
            full = service.ready == 1
            wanted.append(service.look(10, arrivals=5, ttft=0.1, tpot=0.06 if full else 0.03, kv=0.6 if full else 0.3))
        assert sum(a != b for a, b in itertools.pairwise(wanted)) == turns

    def test_with_no_traffic_it_is_stuck(self, stage):
        service = stage(dynamo.Dynamo(self.PROFILE), replicas=7)
        assert service.look(0, times=1000) == 7

    def test_a_straight_line_goes_on_in_an_arima_forecast(self):
        predict = forecasts.forecast("arima")
        assert [predict(value) for value in (10, 20, 30, 40, 50)] == [10, 20, 30, 40, pytest.approx(60)]

    def test_a_filter_follows_a_line_and_never_goes_below_zero(self):
        predict = forecasts.forecast("kalman")
        found = [predict(10.0 * step) for step in range(60)]
        assert found[-1] == pytest.approx(600, rel=0.01)
        assert min(predict(0.0) for _ in range(20)) == 0
