"""`inferops cost`: money by service, namespace, accelerator and cluster; what is not known is said and not guessed."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.catalogue import accelerators
from inferops.cli import money
from inferops.cli.cost import Bill, Row, as_data, drawn, rows
from inferops.cli.lines import line
from inferops.cli.money import Part, Prices
from unit.cli.scenes import NEW, OBSERVING, OLD, parsed, revision, service

PRICES = Prices(accelerators(), {})
A = Part("team", "a", money.HERE, "nvidia-l4", 2, 3, 1.56)
CANARY = Part("team", "a", money.HERE, "nvidia-l4", 2, 1, 1.56, rollout=True)
B = Part("other", "b", "eu", "nvidia-h100-80gb", 1, 2, 2.0)
PRICELESS = Part("other", "c", "eu", "mystery", 1, 1, None)


def bill(*parts: Part, **more: Any) -> Bill:
    return Bill(parts, more.get("idle", {}), more.get("tokens", {}))


def by_key(found: list[Row]) -> dict[str, Row]:
    return {each.key: each for each in found}


def test_services_are_added_up_the_dearest_first() -> None:
    found = rows(bill(A, CANARY, B), "service")
    assert [each.key for each in found] == ["team/a", "other/b", "TOTAL"]
    assert (found[0].replicas, found[0].gpus, found[0].hourly) == (4, 8, pytest.approx(6.24))
    assert found[0].extra == pytest.approx(1.56), "the canary is extra while the rollout lasts"
    assert found[2].hourly == pytest.approx(10.24) and found[2].services == 2


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("namespace", {"team", "other", "TOTAL"}),
        ("accelerator", {"nvidia-l4", "nvidia-h100-80gb", "TOTAL"}),
        ("cluster", {money.HERE, "eu", "TOTAL"}),
    ],
)
def test_other_sums(by: Any, keys: set[str]) -> None:
    assert by_key(rows(bill(A, B), by)).keys() == keys


def test_an_unknown_price_is_said() -> None:
    found = rows(bill(A, PRICELESS), "service")
    assert by_key(found)["other/c"].unknown == ("mystery",)
    lines = [line(each).plain for each in drawn(found, "service", [], 0)]
    assert lines[2].split()[3:5] == ["?", "?"] and lines[3].split()[3:5] == ["4.68+?", "3,416+?"]
    assert "no price is known of mystery: give its Accelerator spec.price" in lines
    assert as_data(by_key(found)["other/c"])["withoutPrice"] == ["mystery"]


def test_a_million_tokens_cost_what_an_hour_costs_by_what_it_brings() -> None:
    found = by_key(rows(bill(A, B, tokens={("team", "a"): 1300.0}), "service"))
    assert found["team/a"].million == pytest.approx(4.68 / (1300 * 3600) * 1e6) and found["other/b"].million is None
    assert found["TOTAL"].million == found["team/a"].million, "only those of which tokens are known"


def test_tokens_of_a_service_on_two_accelerators_are_not_split_by_guess() -> None:
    other = Part("team", "a", "eu", "nvidia-h100-80gb", 1, 1, 2.0)
    found = by_key(rows(bill(A, other, tokens={("team", "a"): 10.0}), "accelerator"))
    assert found["nvidia-l4"].million is None and found["TOTAL"].million is not None


def test_idle_is_weighted_by_money() -> None:
    found = rows(bill(A, B, idle={("team", "a"): 0.5, ("other", "b"): 0.0}), "service")
    assert found[-1].idle == pytest.approx(0.5 * 4.68 / 8.68)


def test_nothing_runs() -> None:
    assert drawn([], "service", ["x"], 5.0) == ["nothing runs, and costs nothing", "[yellow]not seen: x[/]"]


def test_parts_of_a_service_in_a_rollout() -> None:
    told = [
        revision(OLD, "Stable", replicas=4, usdPerHour="2.5"),
        revision(NEW, "Canary", replicas=1, usdPerHour="2.5"),
    ]
    stable, canary = money.parts(parsed(service(OBSERVING, revisions=told)))
    assert (stable.accelerator, stable.count, stable.hourly, stable.rollout) == ("nvidia-h100-80gb", 1, 10.0, False)
    assert canary.rollout and canary.hourly == 2.5
    assert money.parts(parsed(service(revisions=told)), running={OLD: 1})[0].hourly == 2.5


def test_parts_in_clusters_have_the_clusters_own_prices() -> None:
    own = InferenceClusterSpec.model_validate(
        {"access": {"hub": True}, "prices": [{"accelerator": "nvidia-l4", "usdPerHour": 0.5, "spotUsdPerHour": 0.1}]}
    )
    clusters = [
        {"cluster": name, "state": "Serving", "accelerator": kind, "readyReplicas": 2}
        for name, kind in (
            ("eu", "2x nvidia-l4"),
            ("eu", "2x nvidia-l4 (spot)"),
            ("us", "2x nvidia-l4"),
            ("us", "8x x"),
        )
    ]
    for place, expected in zip(clusters, (2.0, 0.4, 3.12, None), strict=True):
        placed = parsed(service(revisions=[], placement={"clusters": [place]}))
        [part] = money.parts(placed, Prices(accelerators(), {"eu": own}))
        assert part.hourly == (pytest.approx(expected) if expected else None)


def test_what_a_hub_has_at_home_counts_once() -> None:
    raw = service()
    raw["metadata"] = {**raw["metadata"], "name": "llama-hub", "annotations": {"inferops.dev/parent-name": "llama"}}
    assert money.parts(parsed(raw)) == []


@pytest.mark.parametrize("text", ["", "gpus", "0x nvidia-l4", "2x Upper", "3x nvidia-l4 on 2 nodes"])
def test_what_is_no_choice_of_accelerators(text: str) -> None:
    assert money.choice_in(text) is None


def test_a_choice_is_read_as_it_is_told() -> None:
    found = money.choice_in("16x nvidia-h100-80gb on 2 nodes (spot)")
    assert found is not None and (found.type, found.count, found.nodes, found.spot) == ("nvidia-h100-80gb", 16, 2, True)


@pytest.mark.parametrize(
    ("scaling", "share"),
    [
        ({"capacityPerSecond": "2", "arrivalsPerSecond": "4"}, 0.5),
        ({"capacityPerSecond": "2", "arrivalsPerSecond": "40"}, 0.0),
        ({"capacityPerSecond": "", "arrivalsPerSecond": "4"}, None),
        ({"capacityPerSecond": "x", "arrivalsPerSecond": "4"}, None),
    ],
)
def test_idle_is_what_nobody_asks_for(scaling: Any, share: float | None) -> None:
    assert money.idle(parsed(service(scaling=scaling))) == share
