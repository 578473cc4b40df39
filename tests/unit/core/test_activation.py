"""How many replicas, to zero and from zero: a table of what is asked and told, and what holds whatever is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.scaling import ScalingSpec
from inferops.core.activation import NO_GATEWAY, SOON, WOKEN, by_number, replicas, unmanaged
from inferops.core.observation import Demand
from unit.core.building import MODEL

QUIET, LONG = Demand(idle=59.0), Demand(idle=61.0)
ASKED, PARTLY = Demand(waiting=3, idle=0.0), Demand(idle=None)
BUSY = Demand(in_flight=1, idle=0.0)


def scaling(**spec: Any) -> ScalingSpec:
    return ScalingSpec.model_validate({"minReplicas": 0, "scaleToZeroAfter": "1m", **spec})


# The columns: replicas before, demand, seconds since it was shown to serve; then replicas, seconds until another look.
# fmt: off
TABLE: list[tuple[str, int | None, Demand | None, float | None, int, float | None]] = [
    ("a new service is shown to load", None, None, None, 1, None),
    ("a new service that nobody asked in a gateway's life", None, LONG, None, 1, None),
    ("it loads for longer than it may idle", 1, LONG, None, 1, None),
    ("it has just begun to serve", 1, LONG, 0.0, 1, 60.0),
    ("it was asked a moment ago", 1, QUIET, 500.0, 1, 1.0),
    ("it serves", 1, BUSY, 500.0, 1, 60.0),
    ("nobody asked for long enough", 1, LONG, 500.0, 0, None),
    ("nobody asked, and one came just now", 1, replace(LONG, waiting=1), 500.0, 1, 60.0),
    ("not all gateways tell", 1, PARTLY, 500.0, 1, None),
    ("no gateway tells", 1, None, 500.0, 1, None),
    ("at zero, and nobody asks", 0, LONG, None, 0, None),
    ("at zero, and no gateway tells", 0, None, None, 0, None),
    ("at zero, and one of the gateways has requests", 0, Demand(waiting=1), None, 1, None),
    ("at zero, and requests wait", 0, ASKED, None, 1, None),
    ("at zero, and one is still at a replica that goes", 0, BUSY, None, 1, None),
    ("more than the maximum by now", 5, None, 500.0, 1, None),
]
# fmt: on


@pytest.mark.parametrize(
    ("case", "before", "demand", "rested", "number", "again"),
    TABLE,
    ids=lambda value: value if type(value) is str else "",
)
def test_replicas(
    case: str, before: int | None, demand: Demand | None, rested: float | None, number: int, again: float | None
) -> None:
    wanted = replicas(scaling(), before, demand, rested=rested)
    assert (wanted.replicas, wanted.again) == (number, again)
    assert wanted.why


def test_without_a_time_it_never_goes_to_zero_and_still_comes_back() -> None:
    never = scaling(scaleToZeroAfter=None)
    assert replicas(never, 1, Demand(idle=1e9), rested=1e9)[::2] == (1, None)
    assert replicas(never, 0, ASKED).replicas == 1


def test_more_than_one_stays_until_all_go() -> None:
    roomy = scaling(maxReplicas=5)
    assert replicas(roomy, 3, BUSY, rested=500.0).replicas == 3
    assert replicas(roomy, 3, LONG, rested=500.0).replicas == 0
    assert replicas(roomy, 0, ASKED).replicas == 1


@pytest.mark.parametrize(
    ("case", "before", "demand", "more", "says"),
    [
        ("nobody asked", 1, LONG, {"rested": 99.0}, "at zero replicas until the first request: none came for 1m"),
        ("nobody asks", 0, None, {}, "at zero replicas until the first request"),
        ("nobody could ask", 0, None, {"held": False}, f"no request can bring it back: {NO_GATEWAY}"),
        ("nobody would hold a request", 1, None, {"rested": 99.0, "held": False}, NO_GATEWAY),
        ("it is woken", 0, ASKED, {}, WOKEN),
        ("it loads since it was woken", 1, QUIET, {"woken": True}, WOKEN),
        ("it has loaded", 1, QUIET, {"woken": True, "rested": 0.0}, "scaled to zero after 1m without a request"),
        ("it loads for the first time", 1, QUIET, {}, "scaled to zero after 1m without a request"),
        ("one gateway is silent", 1, PARTLY, {"rested": 99.0}, "not every gateway tells"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_why(case: str, before: int, demand: Demand | None, more: dict[str, Any], says: str) -> None:
    assert says in replicas(scaling(), before, demand, **more).why


@pytest.mark.parametrize(
    ("case", "spec", "number", "says"),
    [
        ("a minimum", {"scaling": {"minReplicas": 2}}, 2, ""),
        ("a number", {"scaling": {"minReplicas": 0, "replicas": 0}}, 0, ""),
        ("a larger number", {"scaling": {"minReplicas": 0, "replicas": 3}}, 3, ""),
        ("a minimum that is never left", {"scaling": {"scaleToZeroAfter": "5m"}}, 1, "beside minReplicas: 1"),
        ("a fixed number", {"scaling": {"minReplicas": 0, "mode": "fixed"}}, 1, "scaling.mode fixed"),
        (
            "a scaler of somebody else's",
            {"scaling": {"minReplicas": 0, "mode": "external"}},
            1,
            "scaling.mode external",
        ),
        ("no room", {"scaling": {"minReplicas": 0}, "traffic": {"maxQueue": 0}}, 1, "traffic.maxQueue: 0"),
        ("no time", {"scaling": {"minReplicas": 0}, "traffic": {"queueTimeout": "0s"}}, 1, "traffic.queueTimeout: 0s"),
        ("another way in", {"scaling": {"minReplicas": 0}, "traffic": {"endpointPicker": {"name": "p"}}}, 1, "Picker"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_gateways_do_not_decide(case: str, spec: dict[str, Any], number: int, says: str) -> None:
    parsed = InferenceServiceSpec.model_validate({"model": MODEL, **spec})
    why = unmanaged(parsed)
    assert why is not None and says in why and bool(why) == bool(says)
    assert by_number(parsed.scaling) == number


def test_what_they_decide() -> None:
    assert unmanaged(InferenceServiceSpec.model_validate({"model": MODEL, "scaling": {"minReplicas": 0}})) is None


demands = st.builds(Demand, st.integers(0, 3), st.integers(0, 3), st.none() | st.floats(0, 1e4))
situations = st.fixed_dictionaries(
    {"rested": st.none() | st.floats(0, 1e4), "held": st.booleans(), "woken": st.booleans()}
)
scalings = st.builds(
    lambda most, after: scaling(maxReplicas=most, scaleToZeroAfter=after),
    st.none() | st.integers(1, 5),
    st.none() | st.sampled_from(["0s", "1m", "1h"]),
)
befores = st.none() | st.integers(0, 8)


@given(scalings, befores, demands, st.integers(0, 3), st.integers(0, 3), situations)
def test_more_demand_is_never_fewer_replicas(
    of: ScalingSpec, before: int | None, demand: Demand, waiting: int, in_flight: int, how: dict[str, Any]
) -> None:
    more = replace(demand, waiting=demand.waiting + waiting, in_flight=demand.in_flight + in_flight)
    assert replicas(of, before, more, **how).replicas >= replicas(of, before, demand, **how).replicas


@given(scalings, befores, demands, demands, situations)
def test_what_is_not_known_takes_nothing_away(
    of: ScalingSpec, before: int | None, some: Demand, all_: Demand, how: dict[str, Any]
) -> None:
    highest = max(of.max_replicas or 0, 1)
    for demand in (None, replace(some, idle=None)):
        assert replicas(of, before, demand, **how).replicas >= min(1 if before is None else before, highest)
    unknown = replicas(of, before, None, **how).replicas
    assert replicas(of, before, replace(some, idle=None), **how).replicas >= unknown
    assert 0 <= replicas(of, before, all_, **how).replicas <= highest


@given(scalings, befores, demands | st.none(), situations)
def test_a_decision_stands_while_nothing_changes(
    of: ScalingSpec, before: int | None, demand: Demand | None, how: dict[str, Any]
) -> None:
    first = replicas(of, before, demand, **how)
    again = replicas(of, first.replicas, demand, **{**how, "woken": first.why == WOKEN})
    assert again == first
    assert first.again is None or first.again >= SOON


@given(scalings, befores, demands, situations)
def test_it_is_at_zero_only_where_nobody_asks(
    of: ScalingSpec, before: int | None, demand: Demand, how: dict[str, Any]
) -> None:
    if demand.waiting or demand.in_flight:
        assert replicas(of, before, demand, **how).replicas >= 1
