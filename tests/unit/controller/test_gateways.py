"""The gateways that EndpointSlices list: which are there, which take requests, and when that is news."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.controller.gateways import Gateway, Gateways, gateways_of

PORTS = [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}]


def slice_(name: str, *hosts: str, ports: Any = PORTS, **conditions: bool) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "inferops-system"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": conditions} for host in hosts],
        "ports": ports,
    }


def gateway(host: str, ready: bool = True, metrics: bool = True) -> Gateway:
    return Gateway(f"{host}:8080", f"{host}:9090" if metrics else "", ready)


@pytest.mark.parametrize(
    ("case", "raw", "found"),
    [
        ("two that are ready", slice_("a", "10.0.0.2", "10.0.0.1", ready=True),
         [gateway("10.0.0.2"), gateway("10.0.0.1")]),
        ("nothing said of being ready", slice_("a", "10.0.0.1"), [gateway("10.0.0.1")]),
        ("one on its way out", slice_("a", "10.0.0.1", ready=False, serving=True, terminating=True),
         [gateway("10.0.0.1", ready=False)]),
        ("no metrics", slice_("a", "10.0.0.1", ports=PORTS[:1], ready=True), [gateway("10.0.0.1", metrics=False)]),
        ("no port for requests", slice_("a", "10.0.0.1", ports=PORTS[1:], ready=True), []),
        ("another family", {**slice_("a", "::1", ready=True), "addressType": "IPv6"}, []),
        ("no endpoints at all", {**slice_("a"), "endpoints": None}, []),
        ("no address", {**slice_("a"), "endpoints": [{}, {"addresses": None}, "x"]}, []),
        ("no ports", slice_("a", "10.0.0.1", ports=None), []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_slice_lists(case: str, raw: dict[str, Any], found: list[Gateway]) -> None:
    assert list(gateways_of(raw)) == found


def test_it_is_news_when_another_is_ready_and_nothing_else_is() -> None:
    news: list[tuple[str, ...]] = []
    gateways = Gateways(lambda: news.append(gateways.ready))
    gateways.put(slice_("a", "10.0.0.2", ready=True))
    gateways.put(slice_("b", "10.0.0.1", ready=False))
    gateways.put(slice_("b", "10.0.0.1", ready=False))
    gateways.put(slice_("b", "10.0.0.1", ready=True))
    gateways.put(slice_("c", "10.0.0.1", ready=False))  # the same one, in a slice that is about to replace the other
    gateways.remove("inferops-system", "c", 1)
    gateways.remove("inferops-system", "a", 1)
    gateways.remove("inferops-system", "nonesuch", 1)
    assert news == [("10.0.0.2:8080",), ("10.0.0.2:8080",), ("10.0.0.1:8080", "10.0.0.2:8080"), ("10.0.0.1:8080",)]
    assert list(gateways.names()) == [("inferops-system", "b")]


slices = st.builds(
    slice_, st.sampled_from("abc"), st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), ready=st.booleans()
)


@given(st.lists(slices | st.sampled_from("abc"), max_size=20))
def test_the_list_is_what_the_slices_say(taken: list[Any]) -> None:
    gateways, model = Gateways(), dict[str, Any]()
    for each in taken:
        if isinstance(each, str):
            gateways.remove("inferops-system", each, 1)
            model.pop(each, None)
        else:
            gateways.put(each)
            model[each["metadata"]["name"]] = each
    said = [(end["addresses"][0], end["conditions"]["ready"]) for raw in model.values() for end in raw["endpoints"]]
    assert gateways.ready == tuple(f"{host}:8080" for host in sorted({host for host, ready in said if ready}))
    assert len(gateways.listed) == len({host for host, _ in said})
