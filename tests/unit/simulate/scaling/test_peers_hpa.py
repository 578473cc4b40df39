"""The rules of the HorizontalPodAutoscaler and of KEDA, on traces reckoned by hand."""

from inferops.simulate.scaling.peers.hpa import Hpa, Settings
from inferops.simulate.scaling.peers.keda import Keda
from inferops.simulate.scaling.peers.keda import Settings as ScaledObject


class TestExternalMetric:
    def test_the_sum_is_divided_by_the_target(self, stage):
        assert stage(Hpa(Settings(target=10)), replicas=4).look(55) == 6

    def test_a_tenth_more_or_less_changes_nothing(self, stage):
        assert stage(Hpa(Settings(target=10)), replicas=4).look(43) == 4
        assert stage(Hpa(Settings(target=10)), replicas=4).look(37) == 4
        assert stage(Hpa(Settings(target=10)), replicas=4).look(45) == 5

    def test_up_is_twice_as_many_or_four_more_in_a_sync_whichever_is_more(self, stage):
        service = stage(Hpa(Settings(target=10)), replicas=1)
        assert [service.look(1000) for _ in range(4)] == [5, 10, 20, 40]

    def test_replicas_that_start_are_counted_so_that_it_does_not_compound(self, stage):
        service = stage(Hpa(Settings(target=10)), replicas=2, cold=600)
        assert [service.look(80) for _ in range(4)] == [6, 8, 8, 8]

    def test_down_waits_until_five_minutes_have_asked_for_no_more(self, stage):
        service = stage(Hpa(Settings(target=10)), replicas=2)
        assert service.look(80, times=3) == 8
        assert service.look(20, times=20) == 8  # the last look at 80 was 300 s ago, and counts still
        assert service.look(20) == 2

    def test_what_it_finds_counts_as_recommended(self, stage):
        service = stage(Hpa(Settings(target=10)), replicas=8)
        assert service.look(10, times=20) == 8
        assert service.look(10) == 1

    def test_a_window_averages_what_was_scraped(self, stage):
        service = stage(Hpa(Settings(target=10, window=60)), replicas=2)
        assert [service.look(load) for load in (20, 20, 20, 100)] == [2, 2, 2, 4]  # a mean of 40

    def test_an_up_window_takes_the_lowest(self, stage):
        service = stage(Hpa(Settings(target=10, up_window=30)), replicas=2)
        assert [service.look(60) for _ in range(3)] == [2, 2, 6]

    def test_at_zero_it_rests(self, stage):
        assert stage(Hpa(Settings(target=10)), replicas=0).look(100, times=5) == 0

    def test_it_can_go_by_requests_a_second(self, stage):
        assert stage(Hpa(Settings(target=2, signal="rate")), replicas=2).look(arrivals=120) == 4


class TestMetricOfPods:
    RULE = Settings(target=10, external=False, down_window=0)

    def test_a_mean_over_the_target_multiplies(self, stage):
        assert stage(Hpa(self.RULE), replicas=4).look(60) == 6

    def test_pods_that_do_not_tell_count_as_idle_before_it_adds(self, stage):
        service = stage(Hpa(self.RULE), replicas=4, cold=600)
        assert service.look(60) == 6  # 15 each
        assert service.look(60) == 6  # 60 over 6 pods is the target
        assert service.look(80) == 8  # 13.3 each over 6 pods

    def test_pods_that_do_not_tell_count_as_busy_before_it_removes(self, stage):
        service = stage(Hpa(self.RULE), replicas=4, cold=600)
        service.look(60)
        assert service.look(24) == 5  # 6 each of 4, and 10 each of 2: 44 / 6 = 0.733 of the target
        assert service.births

    def test_a_cold_start_alone_cannot_turn_the_direction(self, stage):
        service = stage(Hpa(self.RULE), replicas=2, cold=600)
        service.look(40)
        assert (service.ready, service.wanted) == (2, 4)
        assert service.look(24) == 4  # 12 each of 2 asks for more, 6 each of 4 for fewer

    def test_kv_caches_are_a_mean_of_pods(self, stage):
        rule = Settings(target=0.4, signal="kv", external=False)
        assert stage(Hpa(rule), replicas=5).look(kv=0.6) == 8  # 1.5 x 5


class TestKeda:
    def test_above_zero_the_rest_is_the_hpa(self, stage):
        service = stage(Keda(ScaledObject(threshold=5)), replicas=2)
        assert service.look(100, waiting=30) == 6

    def test_one_comes_with_the_first_poll_that_is_active(self, stage):
        service = stage(Keda(ScaledObject(threshold=5, signal="in_flight", lowest=0, activation=2)), replicas=0)
        assert [service.look(load) for load in (2, 3, 3, 3)] == [0, 0, 1, 1]  # it polls at every other look

    def test_zero_comes_five_minutes_after_it_was_last_active(self, stage):
        service = stage(Keda(ScaledObject(threshold=5, signal="in_flight", lowest=0)), replicas=1)
        assert service.look(1) == 1
        assert service.look(0, times=19) == 1
        assert service.look(0) == 0
        assert service.now == 15 + 300

    def test_never_to_zero_where_one_is_the_minimum(self, stage):
        assert stage(Keda(ScaledObject(threshold=5)), replicas=1).look(0, times=100) == 1
