"""The rule of Knative's autoscaler, on traces reckoned by hand."""

from inferops.simulate.scaling.peers.kpa import Kpa, Settings


def calm(target: float, **more: float) -> Kpa:
    """A rule whose target is all used."""
    return Kpa(Settings(target=target, utilization=1.0, **more))


class TestStable:
    def test_the_mean_of_a_minute_over_seven_tenths_of_the_target(self, stage):
        service = stage(Kpa(Settings()), replicas=1)
        assert service.look(70) == 1
        assert service.look(71, times=30) == 2

    def test_a_rise_comes_through_the_window(self, stage):
        service = stage(calm(10), replicas=1)
        assert service.look(10, times=30) == 1
        assert service.look(19) == 2  # the mean is 10.3, the panic window's 13, which is no panic
        assert service.look(19, times=29) == 2

    def test_down_is_by_half_of_what_is_ready_at_most(self, stage):
        service = stage(calm(10), replicas=1)
        service.look(10)
        service.ready = service.wanted = 8
        assert [service.look(0) for _ in range(3)] == [4, 2, 1]

    def test_a_delay_takes_the_highest_of_it(self, stage):
        service = stage(calm(10, down_delay=20.0, stable=4.0, panic=0.5), replicas=1)
        assert service.look(15, times=3) == 2
        assert service.look(5, times=10) == 2
        assert service.look(5, times=2) == 1


class TestPanic:
    def test_twice_the_ready_pods_within_six_seconds_is_a_panic(self, stage):
        service = stage(calm(10), replicas=1)
        assert service.look(10, times=30) == 1
        assert service.look(10 + 60) == 3  # (10 + 10 + 70) / 3 is 30: three times what is ready

    def test_nothing_is_removed_for_a_minute_after_the_last_cause(self, stage):
        service = stage(calm(10), replicas=1)
        service.look(10, times=30)
        service.look(70)  # at 62 s
        assert service.wanted == 3
        assert service.look(10, times=30) == 3  # until 122 s
        assert service.look(10) == 1

    def test_slow_starters_are_asked_for_over_and_over(self, stage):
        """What waits while replicas start is in flight, and is compared with those that are ready."""
        service = stage(calm(10), replicas=1, cold=180)
        service.look(10, times=30)
        backlog = [service.look(10 + 4 * second) for second in range(0, 60, 2)]
        assert backlog[-1] == 24  # a rise that 2 or 3 replicas would carry
        assert service.ready == 1

    def test_it_begins_in_a_panic_so_that_a_restart_removes_nothing(self, stage):
        service = stage(calm(10), replicas=6)
        assert service.look(0, times=30) == 6
        assert service.look(0, times=2) == 3


class TestZero:
    def test_the_last_goes_once_the_window_is_empty_and_the_grace_has_passed(self, stage):
        service = stage(Kpa(Settings(lowest=0)), replicas=1)
        assert service.look(1) == 1
        assert service.look(0, times=30) == 1  # until the window has forgotten it
        assert service.look(0, times=14) == 1
        assert service.look(0) == 0

    def test_what_starts_longer_than_its_deadline_is_taken_away_and_begun_anew(self, stage):
        service = stage(Kpa(Settings(lowest=0, deadline=120.0)), replicas=0, cold=180)
        wanted = [service.look(5) for _ in range(200)]
        assert service.ready == 0
        assert wanted.count(0) == 3  # in 400 s
        assert wanted[:60] == [1] * 60
