"""What is counted, by whom it is judged, and that memory follows the table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.signals.meters import GONE, LOOK, NOBODY, REASONS
from inferops.gateway.signals.series import ERRORS, TPOT, TTFT, Histogram
from inferops.gateway.signals.yardstick import LEAST
from inferops.gateway.table import Backend, Replica, Revision, ServiceKey, Table
from unit.gateway.metering import KEY, OPENAI, OTHER, World, backend, record


def test_a_request_counts_where_it_went() -> None:
    world = World(Table([backend("v1", "v2", replicas=2)]))
    world.request(record("v2", status=200, queued=0.2, duration=1.5, tokens_in=30, tokens_out=100, sent=900))
    series = world.meters.series(KEY, "v2", "v2-0")
    assert (series.codes[200], series.attempts[Outcome.OK], series.in_flight) == (1, 1, 0)
    assert (series.tokens_in, series.tokens_out, series.sent, series.duration) == (30, 100, 900, 1.5)
    assert (series.revision.queued.total, series.revision.duration.total) == (0.2, 1.5)
    service = world.meters.services[KEY]
    assert (service.arrivals, service.ended, service.retries) == (1, 1, 0)
    assert world.meters.series(KEY, "v1", "v1-0").codes[200] == 0


def test_attempts_at_several_replicas_are_one_request() -> None:
    world = World(Table([backend("v1", replicas=2)]))
    meters = world.meters
    meters.arrived(KEY)
    meters.began(KEY, "v1", "v1-1")
    assert meters.series(KEY, "v1", "v1-1").in_flight == 1
    meters.attempt(KEY, "v1", "v1-1", Outcome.UNREACHABLE)
    meters.began(KEY, "v1", "v1-0")
    meters.attempt(KEY, "v1", "v1-0", Outcome.OK)
    meters.finished(record(attempts=2), world.table.by_key[KEY])
    first, second = meters.series(KEY, "v1", "v1-1"), meters.series(KEY, "v1", "v1-0")
    assert (first.attempts[Outcome.UNREACHABLE], first.missed[ERRORS], sum(first.codes.values())) == (1, 1, 0)
    assert (second.attempts[Outcome.OK], second.missed[ERRORS], second.codes[200]) == (1, 0, 1)
    assert (meters.services[KEY].arrivals, meters.services[KEY].retries) == (1, 1)


@pytest.mark.parametrize(
    ("outcome", "judged", "missed"),
    [
        (Outcome.OK, 1, 0),
        (Outcome.CLIENT, 1, 0),
        (Outcome.FAILED, 1, 1),
        (Outcome.UNREACHABLE, 1, 1),
        (Outcome.TIMEOUT, 1, 1),
        (Outcome.REFUSED, 0, 0),
        (Outcome.GONE, 0, 0),
    ],
)
def test_errors_are_judged_by_the_attempt(outcome: Outcome, judged: int, missed: int) -> None:
    world = World()
    world.request(record(), outcome)
    series = world.meters.series(KEY, "v1", "v1-0")
    assert (series.judged[ERRORS], series.missed[ERRORS]) == (judged, missed)


@pytest.mark.parametrize(
    ("case", "values", "ttft", "tpot"),
    [
        ("a stream within both", {"stream": True, "first": 0.8, "duration": 5.75, "tokens_out": 100}, (1, 0), (1, 0)),
        ("a late first token", {"stream": True, "first": 0.81, "duration": 5.0, "tokens_out": 100}, (1, 1), (1, 0)),
        ("slow tokens", {"stream": True, "first": 0.5, "duration": 10.5, "tokens_out": 101}, (1, 0), (1, 1)),
        ("a wait for a replica", {"stream": True, "first": 60.5, "asked": 60.0, "duration": 61.0}, (1, 0), (0, 0)),
        ("tokens not told", {"stream": True, "first": 0.5, "duration": 99.0}, (1, 0), (0, 0)),
        ("one token", {"stream": True, "first": 0.5, "duration": 0.5, "tokens_out": 1}, (1, 0), (0, 0)),
        ("a whole answer", {"first": 9.0, "duration": 9.0, "tokens_in": 5, "tokens_out": 100}, (0, 0), (0, 0)),
        ("a whole answer, not told", {"first": 9.0, "duration": 9.0}, (0, 0), (0, 0)),
        ("an embedding", {"first": 0.9, "duration": 0.9, "tokens_in": 5}, (1, 1), (0, 0)),
        ("no first token", {"stream": True, "duration": 9.0}, (0, 0), (0, 0)),
        ("an error", {"first": 0.01, "duration": 0.01, "tokens_in": 5, "status": 500}, (0, 0), (0, 0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_times_are_judged(case: str, values: dict[str, object], ttft: tuple[int, int], tpot: tuple[int, int]) -> None:
    world = World()
    world.request(record(**values))
    series = world.meters.series(KEY, "v1", "v1-0")
    assert (series.judged[TTFT], series.missed[TTFT]) == ttft, case
    assert (series.judged[TPOT], series.missed[TPOT]) == tpot, case
    assert series.ttfts == sum(series.revision.ttft.counts) == ttft[0]


def test_a_tensor_has_its_first_and_last_at_once() -> None:
    world = World(Table([backend("v1", api=OTHER)]))
    world.request(record(first=0.9, duration=0.9))
    assert world.meters.series(KEY, "v1", "v1-0").missed[TTFT] == 1


def test_without_an_slo_nothing_is_judged_but_errors() -> None:
    world = World(Table([Backend(KEY, OTHER, ())]))
    world.request(record(stream=True, first=9.0, duration=99.0, tokens_out=10))
    series = world.meters.series(KEY, "v1", "v1-0")
    assert (series.judged, series.ttfts, series.ttft) == ([1, 0, 0], 1, 9.0)


def test_without_an_slo_a_canary_is_compared_by_what_is_usual() -> None:
    def table(**weights: int) -> Table:
        revisions = tuple(
            Revision(each, weight, (Replica(f"{each}-0", "10.0.0.1:80"),)) for each, weight in weights.items()
        )
        return Table([Backend(KEY, OPENAI, ("llama",), revisions)])

    def ask(revision: str, first: float) -> None:
        world.request(record(revision, stream=True, first=first, duration=first + 1.0, tokens_out=11))

    world = World(table(v1=100))
    for _ in range(LEAST):
        ask("v1", 0.2)
    old, new = (world.meters.series(KEY, each, f"{each}-0") for each in ("v1", "v2"))
    assert old.compared == [0, 0, 0], "there is nothing to compare with"
    world.table = table(v1=95, v2=5)
    for first in (0.2, 0.2, 0.9):
        ask("v1", first)
        ask("v2", 3 * first)
    assert (old.compared, old.slow) == ([0, 3, 3], [0, 1, 0])
    assert (new.compared, new.slow) == ([0, 3, 3], [0, 3, 0])
    assert old.judged == [LEAST + 3, 0, 0], "nothing is an SLO's business"


def test_gaps_between_tokens() -> None:
    world = World()
    for seconds in (0.02, 0.02, 0.3):
        world.meters.token_gap(KEY, "v1", "v1-0", seconds, seconds > 0.05)
    series = world.meters.series(KEY, "v1", "v1-0")
    assert (series.gaps, series.slow_gaps, series.gap) == (3, 1, pytest.approx(0.34))
    assert sum(series.revision.gap.counts) == 3


def test_unknown_models_count_under_none_whatever_they_are_called() -> None:
    world = World()
    for number in range(100):
        world.meters.arrived(None)
        world.meters.refused(None, 404, "model_not_found")
        world.meters.finished(record("", key=NOBODY, replica="", status=404, model=f"guess-{number}"), None)
    assert set(world.meters.services) == {NOBODY}
    assert world.meters.services[NOBODY].refused == {(404, "model_not_found"): 100}
    assert world.meters.series(NOBODY, "", "").codes[404] == 100


def test_reasons_are_bounded() -> None:
    world = World()
    for number in range(1000):
        world.meters.refused(KEY, 429, f"reason-{number}")
    refused = world.meters.services[KEY].refused
    assert len(refused) <= REASONS + 1
    assert sum(refused.values()) == 1000


@given(st.lists(st.floats(0, 1000)), st.lists(st.floats(0.001, 600), min_size=1, unique=True).map(sorted))
def test_a_histogram_counts_each_once_and_below_its_bound(values: list[float], bounds: list[float]) -> None:
    histogram = Histogram(tuple(bounds))
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.total == pytest.approx(sum(values))
    for number, bound in enumerate(bounds):
        assert sum(histogram.counts[: number + 1]) == sum(value <= bound for value in values)


def test_what_is_in_the_table_begins_at_zero() -> None:
    world = World(Table([backend("v1", "v2", replicas=3)]))
    world.meters.look()
    assert len(world.meters.replicas) == 6
    assert KEY in world.meters.services
    assert world.meters.series(KEY, "v2", "v2-2").codes == {200: 0}


def test_what_left_the_table_is_forgotten_after_a_while_and_comes_back_anew() -> None:
    world = World(Table([backend("v1", "v2")]))
    world.request(record("v2"))
    world.meters.look()
    world.table = Table([backend("v1")])
    world.meters.look()
    world.now += GONE - 1
    world.meters.look()
    assert (KEY, "v2", "v2-0") in world.meters.replicas
    world.now += 1
    world.meters.look()
    assert (KEY, "v2", "v2-0") not in world.meters.replicas
    assert (KEY, "v2") not in world.meters.revisions
    assert (KEY, "v1", "v1-0") in world.meters.replicas
    world.table = Table()
    world.meters.look()
    world.now += GONE
    world.meters.look()
    assert not world.meters.replicas and not world.meters.revisions and not world.meters.services


def test_a_replica_that_was_away_for_a_moment_keeps_its_counts() -> None:
    world = World()
    world.request(record())
    away, world.table = world.table, Table([backend("v2")])
    world.meters.look()
    world.now += GONE / 2
    world.table = away
    world.meters.look()
    world.table = Table([backend("v2")])
    world.now += GONE / 2
    world.meters.look()
    assert world.meters.series(KEY, "v1", "v1-0").codes[200] == 1


def test_a_stream_outlives_its_replicas_place_in_the_table() -> None:
    world = World()
    world.meters.arrived(KEY)
    world.meters.began(KEY, "v1", "v1-0")
    held, gone = world.meters.series(KEY, "v1", "v1-0"), world.table.by_key[KEY]
    world.table = Table()
    for _ in range(5):
        world.now += GONE
        world.meters.look()
    world.meters.attempt(KEY, "v1", "v1-0", Outcome.OK)
    world.meters.finished(record(stream=True), gone)
    assert world.meters.series(KEY, "v1", "v1-0") is held and held.in_flight == 0
    assert world.meters.services[KEY].ended == 1


def test_memory_stays_flat_as_pods_come_and_go_though_nobody_scrapes() -> None:
    """A day of pods that live a minute."""
    world = World()
    largest = 0
    for number in range(1440):
        world.now += LOOK
        key = ServiceKey("chat", f"model-{number % 7}")
        world.table = Table([backend(f"v{number}", key=key)])
        world.request(record(f"v{number}", key=key, replica=f"v{number}-0"), key=key)
        held = (world.meters.replicas, world.meters.revisions, world.meters.services)
        largest = max(largest, sum(len(each) for each in held))
    assert largest <= 3 * (GONE / LOOK + 3)
