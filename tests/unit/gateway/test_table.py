"""Which service a request is for."""

from __future__ import annotations

import pytest

from inferops.gateway.table import Access, Backend, Limits, ServiceKey, Table
from unit.gateway.pools import backend


def service(name: str, namespace: str = "chat", day: int = 1, hosts: tuple[str, ...] = ()) -> Backend:
    created = f"2025-11-{day:02}T12:00:00Z"
    return backend(key=ServiceKey(namespace, name), names=(name,), hostnames=hosts, created=created)


TABLE = Table(
    [
        service("llama", day=2, hosts=("llama.example.com", "*.llama.example.com")),
        service("qwen", day=3, hosts=("llama.example.com", "*.example.com", "qwen.chat.svc.corp")),
        service("phi", "lab", day=4, hosts=("llama.chat", "llama.chat.svc", "gw.infra.svc", "llama.chat.svc.corp")),
        service("old", "com", day=5, hosts=("old.net",)),
        service("public", "web", day=1, hosts=("old.com", "llama.chat.svc.clusterset.local")),
    ]
)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("llama.chat", "llama"),
        ("llama.chat.svc", "llama"),
        ("llama.chat.svc.cluster.local", "llama"),
        ("llama.chat.svc.cluster.local.", "llama"),
        ("llama.chat.svc.corp", "llama"),
        ("llama.chat.svc.clusterset.local", "llama"),  # though an older one claims it
        ("LLAMA.Chat:8080", "llama"),
        ("phi.chat", None),
        ("llama", None),
        ("llama.chat.pod", None),
        ("llama.chat.svcs", None),
        ("llama.example.com", "llama"),  # the older one has it
        ("Llama.Example.com:443", "llama"),
        ("eu.llama.example.com", "llama"),  # the nearest domain
        ("a.b.llama.example.com", "llama"),
        ("mistral.example.com", "qwen"),
        ("example.com", None),
        ("qwen.chat.svc.corp", "qwen"),
        ("gw.infra.svc", None),  # names of the cluster are not to be had
        ("old.com", "public"),  # a claim that is older than the service of this name
        ("old.net", "old"),
        ("", None),
        (".", None),
        ("10.244.0.7:8080", None),
        ("[::1]:8080", None),
    ],
)
def test_a_host_belongs_to(host: str, name: str | None) -> None:
    found = TABLE.of_host(host)
    assert (found.key.name if found else None) == name


@pytest.mark.parametrize(
    ("path", "name", "own"),
    [
        ("/services/chat/llama/v1/chat/completions", "llama", "/v1/chat/completions"),
        ("/services/chat/llama/", "llama", "/"),
        ("/services/chat/llama", "llama", "/"),
        ("/services/lab/llama/v1/models", None, "/v1/models"),
        ("/services/chat", None, "/"),
        ("/services/", None, "/"),
    ],
)
def test_a_path_names(path: str, name: str | None, own: str) -> None:
    found, rest = TABLE.of_path(path)
    assert (found.key.name if found else None, rest) == (name, own)


def test_of_two_that_serve_a_model_the_older_one_has_it_in_whatever_order_they_are_read() -> None:
    first, second = service("llama", "a", day=1), service("llama", "b", day=2)
    for table in (Table([first, second]), Table([second, first])):
        assert table.by_model["llama"] is first
    assert Table([second]).by_model["llama"] is second


def test_adapters_are_models_too() -> None:
    table = Table([backend(names=("llama", "llama-sql"))])
    assert table.by_model["llama-sql"] is table.by_model["llama"]


def test_a_client_has_its_own_limits_in_place_of_those_of_all() -> None:
    access = Access("keys", Limits(60, 1000), {"batch": Limits(None, 5000)})
    assert access.limits_of("batch") == Limits(None, 5000)
    assert access.limits_of("web") == Limits(60, 1000)


@pytest.mark.parametrize("host", ["api.example.com", "API.example.com:8443", "api.example.com."])
def test_nobody_takes_the_gateways_own_name_for_himself(host: str) -> None:
    greedy = backend(hostnames=("api.example.com", "*.example.com"))
    assert Table([greedy]).of_host(host) is greedy
    table = Table([greedy], own_hosts=["api.example.com"])
    assert table.of_host(host) is None
    assert table.of_host("other.example.com") is greedy
