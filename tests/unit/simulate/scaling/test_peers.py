"""All rules that there are to compare with: by name, within reason, and the bound that none of them reaches."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.simulate.scaling.peers import NAMES, PEERS, PeerGoals, peer, peer_defaults
from inferops.simulate.scaling.peers.clairvoyant import Clairvoyant, Settings
from inferops.simulate.scaling.peers.signals import Extreme, Mean
from inferops.simulate.scaling.policy import Seen


class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    def test_each_gives_a_rule_of_that_name(self, name, goals):
        assert peer(name, goals).name == name
        assert peer_defaults(name, goals).name == name

    @pytest.mark.parametrize("name", NAMES)
    def test_each_has_a_grid_of_different_settings(self, name, goals):
        found = PEERS[name].grid(goals)
        assert len(found) >= 10
        assert len(set(found)) == len(found)
        for each in found:
            assert PEERS[name].rule(each).name == name

    @pytest.mark.parametrize("name", sorted(set(NAMES) - {"static", "aibrix"}))
    def test_each_answers_a_load_by_more_and_idleness_by_fewer(self, name, goals, stage):
        """Ten times what a replica carries, then a tenth of it; two hours of each are enough for
        every rule but AIBrix's as it is, which oscillates."""
        service = stage(peer(name, goals), replicas=2)
        looks = int(7200 / service.rule.every)
        busy = {"arrivals": int(100 * service.rule.every), "waiting": 40, "kv": 0.9, "ttft": 3.0, "tpot": 0.08}
        most = service.look(400, times=looks, **busy)
        assert most > 5
        idle = {"arrivals": int(1 * service.rule.every), "kv": 0.01, "ttft": 0.05, "tpot": 0.01}
        service.wanted = service.ready = min(most, 40)
        assert service.look(4, times=looks, **idle) < 5

    def test_a_name_that_nobody_has_is_refused_with_those_there_are(self, goals):
        with pytest.raises(ValueError, match=r"'vpa' is no autoscaler to compare with; there are hpa, kpa"):
            peer("vpa", goals)

    def test_a_replica_that_carries_nothing_is_refused(self, goals):
        with pytest.raises(ValueError, match=r"capacity: 0 is not above 0"):
            replace(goals, capacity=0)


MEASURED = st.fixed_dictionaries(
    {
        "arrivals": st.integers(0, 1000),
        "waiting": st.integers(0, 500),
        "running": st.integers(0, 500),
        "kv": st.floats(0, 1),
        "ttft": st.none() | st.floats(0, 60),
        "tpot": st.none() | st.floats(0, 1),
    }
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)  # for each of the rules, of up to 40 looks each
@given(looks=st.lists(MEASURED, min_size=1, max_size=40), begin=st.integers(0, 8), late=st.integers(0, 3))
def test_whatever_is_measured_a_rule_wants_a_number_of_replicas(name, looks, begin, late):
    """Also where replicas never become ready, or are at zero."""
    rule = peer_defaults(name, PeerGoals(10.0, 40.0, 1.0, 0.05, 32))
    wanted = begin
    for number, measured in enumerate(looks, 1):
        ready = max(0, wanted - late)
        seen = Seen(
            now=number * rule.every, since=(number - 1) * rule.every, wanted=wanted, ready=ready,
            starting=wanted - ready, homeless=0, started=(), ended=0, tokens_in=0, tokens_out=0, busy=0.0, queued=0.0,
            judged=0, missed=0, **measured,
        )  # fmt: skip
        wanted = rule.look(seen)
        assert isinstance(wanted, int)
        assert wanted >= 0
        wanted = min(wanted, 64)


class TestWindows:
    @given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.integers(1, 12))
    def test_a_mean_is_that_of_the_last_values(self, values, count):
        mean = Mean(count * 5.0, 5.0)
        for at, value in enumerate(values, 1):
            last = values[max(0, at - count) : at]
            assert mean.add(value) == pytest.approx(sum(last) / len(last))

    @given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.integers(0, 12), st.booleans())
    def test_an_extreme_looks_back_the_whole_window(self, values, count, lowest):
        extreme = Extreme(count * 5.0, 5.0, lowest=lowest)
        for at, value in enumerate(values):
            last = values[max(0, at - count) : at + 1]
            assert extreme.add(value) == (min if lowest else max)(last)


class TestClairvoyant:
    def test_replicas_are_asked_for_one_cold_start_ahead_and_kept_until_the_end(self, stage):
        demand = [5.0] * 30 + [35.0] * 10 + [5.0] * 30  # by 10 s: a rise at 300 s, a fall at 400 s
        rule = Clairvoyant(Settings(demand, step=10, cold=60, capacity=10, load=0.9, every=10))
        service = stage(rule, replicas=1, cold=60)
        wanted = {}
        ready = {}
        for _ in range(60):
            now = service.now + 10
            wanted[now] = service.look()
            ready[now] = service.ready
        assert min(at for at, replicas in wanted.items() if replicas == 4) == 230
        assert all(ready[at] == 4 for at in range(300, 400, 10))
        assert wanted[400] == 1

    @given(
        st.lists(st.floats(0, 100), min_size=1, max_size=50),
        st.integers(0, 100),
        st.floats(0.3, 1.0),
    )
    def test_what_it_has_at_each_moment_is_what_the_time_until_a_new_one_serves_needs(self, demand, cold, load):
        rule = Clairvoyant(Settings(demand, step=10, cold=cold, capacity=7, load=load, every=10))
        for at in range(len(demand)):
            ahead = demand[at : at + -(-(cold + 10) // 10) + 1]
            seen = Seen(
                now=at * 10, since=0, wanted=1, ready=1, starting=0, homeless=0, started=(), arrivals=0, ended=0,
                tokens_in=0, tokens_out=0, busy=0, queued=0, waiting=0, running=0, judged=0, missed=0, ttft=None,
                tpot=None, kv=0,
            )  # fmt: skip
            found = rule.look(seen)
            assert found * 7 * load >= max(ahead) - 1e-6
            assert (found - 1) * 7 * load < max(*ahead, 0.1)

    def test_without_a_demand_there_is_nothing_to_foresee(self):
        with pytest.raises(ValueError, match="demand: there is none"):
            Clairvoyant(Settings([], step=10, cold=60, capacity=10, load=0.9))
