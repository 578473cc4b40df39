"""What Prometheus reads: it parses in both formats, says what was counted, and counters never fall."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.targets import Result
from inferops.gateway.signals.exposition import FAMILIES, PREFIX, Exposition, texts
from inferops.gateway.table import Backend, ServiceKey, Table
from unit.gateway.metering import KEY, OPENAI, World, backend, record

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
OF_REPLICA = {"namespace": "chat", "service": "llama", "revision": "v1", "replica": "v1-0"}
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def busy() -> World:
    """One of everything."""
    world = World()
    world.waiting = 3
    world.request(record(queued=0.3, first=0.7, duration=2.0, stream=True, tokens_in=30, tokens_out=100, sent=900))
    world.request(record(status=502, attempts=2, error="bad_gateway", broken=True), Outcome.FAILED)
    world.meters.token_gap(KEY, "v1", "v1-0", 0.02, False)
    world.meters.token_gap(KEY, "v1", "v1-0", 0.2, True)
    world.meters.arrived(KEY)
    world.meters.began(KEY, "v1", "v1-0")
    world.meters.arrived(None)
    world.meters.refused(None, 404, "model_not_found")
    return world


def families(world: World, accept: str = "") -> list[Metric]:
    body, content_type = asyncio.run(Exposition(world.meters).scrape(accept))
    if content_type.startswith("application/openmetrics-text"):
        return list(parse_openmetrics(body.decode()))
    return list(parse_text(body.decode()))


def values(found: Iterable[Metric]) -> Values:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in found
        for sample in family.samples
    }


def value(found: Values, name: str, **labels: str) -> float:
    return found[PREFIX + name, tuple(sorted(labels.items()))]


@pytest.mark.parametrize("accept", ["", "text/plain", OPENMETRICS, PROMETHEUS])
def test_it_parses_and_says_the_same_in_each_format(accept: str) -> None:
    world = busy()
    found = families(world, accept)
    kinds = {family.name: family.type for family in found}
    assert {PREFIX + family.name: family.kind for family in FAMILIES}.items() <= kinds.items()
    ours = {name: number for name, number in values(found).items() if name[0].startswith(PREFIX)}
    assert ours == {name: number for name, number in values(families(world)).items() if name[0].startswith(PREFIX)}
    assert all(family.documentation for family in found)
    assert "process_resident_memory_bytes" in kinds


def test_it_says_what_was_counted() -> None:
    found = values(families(busy()))
    whose, revision = {"namespace": "chat", "service": "llama"}, dict(list(OF_REPLICA.items())[:3])
    assert value(found, "arrivals_total", **whose) == 3
    assert value(found, "arrivals_total", namespace="", service="") == 1
    assert value(found, "requests_in_flight", **whose) == 1
    assert value(found, "requests_waiting", **whose) == 3
    assert value(found, "retries_total", **whose) == 1
    assert value(found, "refused_requests_total", namespace="", service="", code="404", reason="model_not_found") == 1
    assert value(found, "requests_total", code="200", **OF_REPLICA) == 1
    assert value(found, "requests_total", code="502", **OF_REPLICA) == 1
    assert value(found, "attempts_total", outcome="failed", **OF_REPLICA) == 2
    assert value(found, "attempts_in_flight", **OF_REPLICA) == 1
    assert value(found, "broken_streams_total", **OF_REPLICA) == 1
    assert value(found, "input_tokens_total", **OF_REPLICA) == 30
    assert value(found, "output_tokens_total", **OF_REPLICA) == 100
    assert value(found, "sent_bytes_total", **OF_REPLICA) == 900
    assert value(found, "slow_token_gaps_total", **OF_REPLICA) == 1
    assert value(found, "slo_judged_total", objective="errors", **OF_REPLICA) == 3
    assert value(found, "slo_missed_total", objective="errors", **OF_REPLICA) == 2
    assert value(found, "slo_missed_total", objective="tpot", **OF_REPLICA) == 0
    assert value(found, "queue_wait_seconds_bucket", le="0.2", **revision) == 1
    assert value(found, "queue_wait_seconds_bucket", le="0.3", **revision) == 2
    assert value(found, "time_to_first_token_seconds_bucket", le="0.5", **revision) == 0
    assert value(found, "time_to_first_token_seconds_bucket", le="+Inf", **revision) == 1
    assert value(found, "time_to_first_token_seconds_sum", **revision) == 0.7
    assert value(found, "inter_token_latency_seconds_count", **revision) == 2
    assert value(found, "replica_inter_token_latency_seconds_sum", **OF_REPLICA) == pytest.approx(0.22)
    assert value(found, "replica_request_duration_seconds_count", **OF_REPLICA) == 2
    assert value(found, "replica_price_usd_per_hour", **OF_REPLICA) == 2.5


def test_it_says_what_clients_saw_though_no_replica_was_asked() -> None:
    world = World()
    world.request(record(status=429, attempts=0, error="queue_full"))
    world.request(record(first=0.7, duration=2.0, stream=True))
    found = values(families(world))
    service = {"namespace": "chat", "service": "llama"}
    assert value(found, "client_slo_judged_total", **service) == 2
    assert value(found, "client_slo_missed_total", **service) == 1


def test_it_says_what_went_to_other_clusters_and_came_from_them() -> None:
    world = World()
    for cluster, result in (("eu", Result.ANSWERED), ("eu", Result.ANSWERED), ("us", Result.REFUSED)):
        world.meters.spilled(KEY, cluster, result)
    world.request(record(received=True))
    found = values(families(world))
    service = {"namespace": "chat", "service": "llama"}
    assert value(found, "spilled_requests_total", cluster="eu", result="answered", **service) == 2
    assert value(found, "spilled_requests_total", cluster="us", result="refused", **service) == 1
    assert value(found, "received_spilled_requests_total", **service) == 1


def test_what_another_cluster_answers_says_nothing_of_replicas_here() -> None:
    world = World()
    world.request(record("", replica="", spilled="eu", attempts=0, first=5.0, duration=9.0, stream=True, tokens_out=9))
    world.request(record("", replica="", spilled="eu", attempts=0, queued=0.9, first=1.0, duration=2.0))
    load, found = world.meters.services[KEY].load, values(families(world))
    assert (load.ended, load.firsts, load.tokens_out, load.judged, load.missed) == (0, 0, 0, 1, 1)
    judged = [n for (name, _), n in found.items() if name.endswith(("slo_judged_total", "first_token_seconds_count"))]
    assert sum(judged) == 1, "the one that waited here for too long"


def test_a_new_replica_is_told_at_zero_before_its_first_request() -> None:
    found = values(families(World()))
    for name in ("slo_judged_total", "slo_missed_total"):
        for objective in ("errors", "ttft", "tpot"):
            assert value(found, name, objective=objective, **OF_REPLICA) == 0
    assert value(found, "requests_total", code="200", **OF_REPLICA) == 0


def test_a_price_that_is_not_known_is_not_told() -> None:
    found = values(families(World(Table([backend("v1", usd=None)]))))
    assert not [name for name, _ in found if "price" in name]


def test_lost_log_lines_are_told() -> None:
    lost = 0
    exposition = Exposition(World().meters, CollectorRegistry(), lambda: lost)
    for lost in (0, 7):
        for accept, parse in (("", parse_text), (OPENMETRICS, parse_openmetrics)):
            found = values(parse(asyncio.run(exposition.scrape(accept))[0].decode()))
            assert value(found, "access_log_lines_dropped_total") == lost


def test_labels_are_escaped() -> None:
    strange = ServiceKey('a"b', "c\\d\ne")
    world = World(Table([Backend(strange, OPENAI, ())]))
    world.meters.arrived(strange)
    for accept in ("", OPENMETRICS):
        found = values(families(world, accept))
        assert value(found, "arrivals_total", namespace=strange.namespace, service=strange.name) == 1


def test_a_thousand_replicas_are_some_ten_thousand_lines() -> None:
    world = World(Table([backend("v1", replicas=1000)]))
    for number in range(1000):
        world.request(record(replica=f"v1-{number}", stream=True, first=0.1, duration=1.0, tokens_out=9))
    lines = sum(text.count("\n") for text in texts(world.meters, openmetrics=False))
    assert 1000 < lines < 25_000


def test_requests_go_on_between_its_slices() -> None:
    """A task that is ready runs many times while one scrape is written."""
    world = World(Table([backend("v1", key=ServiceKey("chat", f"model-{number}")) for number in range(300)]))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        other = asyncio.create_task(others())
        await Exposition(world.meters, CollectorRegistry()).scrape()
        other.cancel()

    asyncio.run(main())
    assert turns >= 300 / 50 * 10


def test_requests_and_pods_that_come_meanwhile_do_no_harm() -> None:
    world = busy()
    told = []
    for number, text in enumerate(texts(world.meters, openmetrics=False)):
        told.append(text)
        world.table = Table([backend("v1", f"v{number + 2}")])
        world.request(record(f"v{number + 2}"))
        world.meters.look()
    assert list(parse_text("".join(told)))


event = st.sampled_from(["request", "failed", "gap", "refused", "unknown", "roll", "scrape", "time"])


@given(st.lists(event, max_size=30))
def test_counters_never_fall_and_never_are_negative(events: list[str]) -> None:
    """Between any two scrapes that have a series both."""
    world = World()
    scrapes = [values(families(world))]
    for number, what in enumerate(events):
        name = world.table.by_key[KEY].revisions[-1].hash
        if what == "request":
            world.request(record(name, stream=True, first=0.1 * number, duration=float(number), tokens_out=number))
        elif what == "failed":
            world.request(record(name, attempts=2, status=502, broken=True), Outcome.FAILED)
        elif what == "gap":
            world.meters.token_gap(KEY, name, f"{name}-0", 0.01 * number, number % 2 == 0)
        elif what == "refused":
            world.meters.refused(KEY, 429, "rate_limit_exceeded")
        elif what == "unknown":
            world.meters.arrived(None)
        elif what == "roll":
            world.table = Table([backend(name, f"v{number + 2}")])
        elif what == "time":
            world.now += 400
        else:
            scrapes.append(values(families(world)))
    scrapes.append(values(families(world)))
    for before, after in pairwise(scrapes):
        for sample, number in before.items():
            if sample[0].startswith(PREFIX) and sample[0].endswith(("_total", "_bucket", "_count", "_sum")):
                assert 0 <= number <= after.get(sample, number), sample
