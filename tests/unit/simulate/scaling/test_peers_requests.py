"""Rules that go by requests in flight or by their rate, on traces reckoned by hand: KubeAI, Ray Serve, SkyServe."""

from inferops.simulate.scaling.peers import kubeai, ray, skyserve, static


class TestKubeAi:
    def test_the_mean_of_ten_minutes_over_the_target(self, stage):
        service = stage(kubeai.KubeAi(kubeai.Settings()), replicas=1)
        assert service.look(800, times=60) == 8

    def test_its_window_begins_with_zeros_so_a_step_is_a_slow_ramp(self, stage):
        service = stage(kubeai.KubeAi(kubeai.Settings()), replicas=1)
        at = [service.look(800) for _ in range(60)]
        assert [at.index(replicas) for replicas in range(2, 9)] == [7, 15, 22, 30, 37, 45, 52]

    def test_fewer_are_taken_once_four_looks_in_a_row_ask_for_fewer(self, stage):
        service = stage(kubeai.KubeAi(kubeai.Settings(window=10)), replicas=4)
        assert [service.look(100) for _ in range(4)] == [4, 4, 4, 1]

    def test_a_look_that_asks_for_as_many_begins_the_count_anew(self, stage):
        service = stage(kubeai.KubeAi(kubeai.Settings(window=10)), replicas=4)
        assert [service.look(load) for load in (100, 100, 400, 100, 100, 100, 100)] == [4] * 6 + [1]

    def test_the_first_request_wakes_it(self, stage):
        service = stage(kubeai.KubeAi(kubeai.Settings(lowest=0)), replicas=0)
        assert service.look(0, times=5) == 0
        assert service.look(1) == 1


class TestRay:
    def test_more_after_thirty_seconds_of_wanting_more(self, stage):
        service = stage(ray.RayServe(ray.Settings()), replicas=1)
        assert service.look(12, times=6) == 1
        assert service.look(12) == 6

    def test_fewer_after_ten_minutes_of_wanting_fewer(self, stage):
        service = stage(ray.RayServe(ray.Settings()), replicas=6)
        assert service.look(2, times=120) == 6
        assert service.look(2) == 1

    def test_a_look_back_averages(self, stage):
        service = stage(ray.RayServe(ray.Settings(up_delay=0)), replicas=1)
        assert [service.look(load) for load in (2, 2, 2, 2, 2, 14)] == [1, 1, 1, 1, 1, 2]

    def test_a_factor_goes_a_part_of_the_way_and_is_never_stuck(self, stage):
        service = stage(
            ray.RayServe(ray.Settings(up_delay=0, up_factor=0.5, down_delay=0, down_factor=0.1)), replicas=2
        )
        assert service.look(20) == 6  # to 10
        assert service.look(10) == 7  # a mean of 15: to 7.5
        calmer = stage(ray.RayServe(ray.Settings(down_delay=0, down_factor=0.1)), replicas=3)
        assert calmer.look(2) == 2

    def test_from_zero_one_at_once(self, stage):
        service = stage(ray.RayServe(ray.Settings(lowest=0)), replicas=0, cold=60)
        assert [service.look(load) for load in (0, 40, 40)] == [0, 1, 1]


class TestSkyServe:
    def test_more_after_five_minutes_of_looks_that_want_more(self, stage):
        service = stage(skyserve.SkyServe(skyserve.Settings(target=2.5)), replicas=2)
        assert service.look(arrivals=200, times=14) == 2  # 10 a second
        assert service.look(arrivals=200) == 4

    def test_fewer_after_twenty_minutes(self, stage):
        service = stage(skyserve.SkyServe(skyserve.Settings(target=2.5)), replicas=4)
        assert service.look(arrivals=40, times=59) == 4
        assert service.look(arrivals=40) == 1

    def test_a_look_that_wants_as_many_begins_the_count_anew(self, stage):
        service = stage(skyserve.SkyServe(skyserve.Settings(target=2.5, window=20)), replicas=2)
        service.look(arrivals=200, times=14)
        service.look(arrivals=100)
        assert service.look(arrivals=200, times=14) == 2
        assert service.look(arrivals=200) == 4


def test_static_is_always_the_same(stage):
    assert stage(static.Static(static.Settings(7)), replicas=7).look(10_000, times=3) == 7
