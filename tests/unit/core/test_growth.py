"""Nodes that may come: how far they are reckoned with, by when they came and when they did not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.inferencecluster import ClusterGrowth
from inferops.catalogue import accelerators
from inferops.core.growth import FORGIVEN, MOST, Trust, grown, judged, restored
from inferops.core.offers import Coming, Free, told

BEGAN = 1_000_000.0
MINUTES = 60.0
SLOW = 10 * MINUTES
L4 = "nvidia-l4"


def waited(minutes: float, before: Trust = Trust(), since: float = BEGAN) -> Trust:  # noqa: B008
    """The trust after replicas have waited for so long, looked at once."""
    return judged(before, since + minutes * MINUTES, SLOW, since, came=False)[0]


def test_it_is_halved_each_time_that_nodes_took_too_long() -> None:
    assert [waited(minutes).share for minutes in (0, 9, 10, 19, 20, 39, 60)] == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.0625]
    assert waited(20).since == BEGAN + 20 * MINUTES


def test_it_is_looked_at_when_time_changes_it_and_only_then() -> None:
    trust, now, seen = Trust(), BEGAN, []
    while True:
        trust, then = judged(trust, now, SLOW, BEGAN, came=False)
        if then is None:
            break
        seen.append((then - BEGAN) / MINUTES)
        now = then
    assert (seen, trust.missed) == ([10, 20, 30, 40], MOST), "from then on nothing is written while they wait"


def test_nodes_that_come_make_it_whole_and_give_who_waits_as_long_again() -> None:
    trust, then = judged(Trust(2, BEGAN), BEGAN + 60, SLOW, BEGAN - 2 * SLOW, came=True)
    assert (trust.share, then) == (1, BEGAN + 60 + SLOW)
    assert judged(trust, BEGAN + 61, SLOW, BEGAN - 2 * SLOW, came=False)[0].share == 1


def test_an_hour_makes_it_whole_unless_replicas_still_wait() -> None:
    halved = Trust(3, BEGAN)
    assert judged(halved, BEGAN + FORGIVEN - 1, SLOW, None, came=False) == (halved, BEGAN + FORGIVEN)
    assert judged(halved, BEGAN + FORGIVEN, SLOW, None, came=False) == (Trust(0, BEGAN + FORGIVEN), None)
    least = Trust(MOST, BEGAN)
    assert judged(least, BEGAN + 2 * FORGIVEN, SLOW, BEGAN - SLOW, came=False) == (least, None)


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.sampled_from(["wait", "come", "place", "go", "restart"])), max_size=20)
)
def test_it_stays_a_share_and_is_looked_at_later_only(steps: list[tuple[int, str]]) -> None:
    trust, now, oldest = Trust(), BEGAN, None
    for seconds, what in steps:
        now += seconds
        oldest = now if what == "place" and oldest is None else None if what == "go" else oldest
        if what == "restart":
            [free] = grown([Free(L4, False, 0, 0, ())], [POOL], {(L4, False): trust}, accelerators())
            again = restored(told([free])).get((L4, False), Trust())
            assert again.missed == trust.missed and (not trust.missed or again.since == trust.since)
        before = trust
        trust, then = judged(trust, now, SLOW, oldest, came=what == "come")
        assert 0 < trust.share <= 1 and trust.since <= now
        assert then is None or then > now
        assert judged(trust, now, SLOW, oldest, came=False) == (trust, then), "looking again changes nothing"
        assert trust.missed >= before.missed or trust.missed == 0


POOL = ClusterGrowth(accelerator=L4, max_nodes=6, accelerators_per_node=4)


@pytest.mark.parametrize(("missed", "reckoned"), [(0, 4), (1, 2), (2, 1), (3, 0)])
def test_nodes_that_are_there_count_no_more_as_coming(missed: int, reckoned: int) -> None:
    here = Free(L4, False, 1, 4, (1,), 4, present=2, counted_as="requests.nvidia.com/gpu")
    [free] = grown([here], [POOL], {(L4, False): Trust(missed, BEGAN)}, accelerators())
    assert free.coming is not None and free.coming.nodes == (4,) * 4
    assert (free.room(2), free.grown(2), free.hoped(2)) == (0, 2 * reckoned, 8)


def test_an_accelerator_that_no_node_has_may_come() -> None:
    spot = POOL.model_copy(update={"spot": True})
    found = grown([], [spot, POOL.model_copy(update={"accelerator": "unheard-of"})], {}, accelerators())
    assert [(each.accelerator, each.spot, each.total, each.grown(4)) for each in found] == [(L4, True, 0, 6)]
    assert found[0].counted_as == "requests.nvidia.com/gpu"


def test_what_is_told_of_it_is_read_again() -> None:
    free = Free(L4, False, 1, 4, (4,), 4, coming=Coming((4, 4), 1, 0.5, "2025-11-03T12:00:00Z"))
    [offer] = told([free])
    assert offer.growth is not None
    assert offer.growth.model_dump() == {
        "nodes": 2, "accelerators": 8, "trust": 0.5, "since": "2025-11-03T12:00:00Z"
    }  # fmt: skip
    assert restored([offer]) == {(L4, False): Trust(1, 1762171200.0)}
    edited = offer.model_copy(update={"growth": offer.growth.model_copy(update={"since": "soon"})})
    assert restored([edited]) == {(L4, False): Trust(1, 0.0)}


def test_what_was_promised_takes_the_nodes_that_may_come_after_those_that_are_there() -> None:
    free = Free(L4, False, 1, 4, (3,), 4, coming=Coming((4, 4), 1))
    left = free.without(2, 2)
    assert left.coming is not None and (left.free, left.coming.nodes) == ((1,), (2, 4))
    assert (left.room(2), left.grown(2), left.hoped(2)) == (0, 1, 3)
