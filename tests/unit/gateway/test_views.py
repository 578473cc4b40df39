"""Raw resources -> Backends: what requests depend on is read whole, and nothing else matters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inferops.gateway.sources import views
from inferops.gateway.table import Access, Backend, Cluster, Limits, Replica, Revision, ServiceKey
from inferops.kube.owned import Object
from inferops.runtimes import ENGINES
from unit.gateway.resources import endpoint_slice, peers, pods, service

API = ENGINES["vllm"].api


def backend(raw: Object, *slices: Object) -> Backend:
    read = [view for each in slices if (view := views.slice_view(each)) is not None]
    return views.backend(views.service_view(raw), API, read)


def test_a_service_with_everything() -> None:
    raw = service(
        revisions={"aaa": 95, "bbb": 5},
        model={"uri": "hf://Qwen/Qwen3-8B", "name": "qwen", "adapters": [{"name": "sql", "uri": "hf://a/b"}]},
        slo={"ttft": "800ms", "tpot": "50ms"},
        traffic={
            "hostnames": ["llama.example.com"],
            "queueTimeout": "1m30s",
            "maxQueue": 7,
            "maxConcurrency": 32,
            "requestTimeout": "10m",
            "sessionHeader": "X-Session-Id",
            "spillover": [{"name": "eu", "url": "https://eu.example.com"}, {"name": "us", "url": "http://us:8080"}],
            "access": {
                "apiKeysSecret": "keys",
                "requestsPerMinute": 60,
                "clients": [{"name": "batch", "tokensPerMinute": 1000}],
            },
        },
    )
    found = backend(
        raw,
        endpoint_slice("one", pods("llama-2", "llama-1")),
        endpoint_slice("two", pods("llama-3"), revision="bbb"),
    )
    assert found == Backend(
        key=ServiceKey("chat", "llama"),
        api=API,
        names=("qwen", "sql"),
        revisions=(
            Revision("aaa", 95, (Replica("llama-1", "10.0.0.1:8000"), Replica("llama-2", "10.0.0.2:8000")), 2.5),
            Revision("bbb", 5, (Replica("llama-3", "10.0.0.3:8000"),), 2.5),
        ),
        hostnames=("llama.example.com",),
        created="2025-11-03T12:00:00Z",
        queue_timeout=90.0,
        max_queue=7,
        max_concurrency=32,
        request_timeout=600.0,
        session_header="X-Session-Id",
        spillover=(Cluster("eu", "https://eu.example.com"), Cluster("us", "http://us:8080")),
        access=Access("keys", Limits(60, None), {"batch": Limits(None, 1000)}),
        ttft=0.8,
        tpot=0.05,
    )


def test_a_service_with_nothing_but_a_model_goes_by_its_own_name() -> None:
    found = backend(service())
    assert (found.names, found.revisions, found.access, found.asleep) == (("llama",), (), None, "")
    assert (found.queue_timeout, found.max_queue, found.session_header) == (30.0, 500, "")


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("a strategy of a newer version", {"rollout": {"strategy": "mirror"}}),
        ("a way of scaling of a newer version", {"scaling": {"mode": "forecast", "replicas": 2}}),
        ("a source of a newer version", {"model": {"uri": "nim://nvidia/llama"}}),
        ("a field of a newer version", {"traffic": {"hedge": True}}),
        ("a null", {"traffic": None, "slo": None}),
    ],
)
def test_what_requests_do_not_depend_on_need_not_be_understood(case: str, change: dict[str, Any]) -> None:
    raw = service(revisions={"aaa": 100}, **change)
    raw["status"]["revisions"][0]["role"] = "Mirrored"
    assert [each.weight for each in backend(raw).revisions] == [100], case


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("a time that is none", {"traffic": {"queueTimeout": "soon"}}),
        ("a limit of nothing", {"traffic": {"access": {"apiKeysSecret": "keys", "requestsPerMinute": 0}}}),
        ("access without a Secret", {"traffic": {"access": {}}}),
        ("no model", {"model": None}),
    ],
)
def test_what_they_do_depend_on_is_not_guessed(case: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        views.service_view(service(**change))


@pytest.mark.parametrize(
    ("case", "endpoints", "names"),
    [
        ("ready", pods("p-1"), ["p-1"]),
        ("not ready", pods("p-1", ready=False), []),
        ("on its way out", pods("p-1", terminating=True), []),
        ("nothing said", [{"addresses": ["10.0.0.9"]}], ["10.0.0.9"]),
        ("no address", [{"addresses": [], "conditions": {"ready": True}}], []),
        ("null for a list", None, []),
    ],
)
def test_which_endpoints_are_replicas(case: str, endpoints: Any, names: list[str]) -> None:
    view = views.slice_view(endpoint_slice("s", endpoints or []))
    assert view is not None
    assert [replica.name for replica in view.replicas] == names, case


@pytest.mark.parametrize(
    ("case", "labels"),
    [
        ("the gateways' own, which the operator lists", {"endpointslice.kubernetes.io/managed-by": "inferops"}),
        ("of another Service that took the labels along", {"kubernetes.io/service-name": "other"}),
        ("of no revision", {"inferops.dev/revision": ""}),
        ("of no service", {"inferops.dev/service": ""}),
    ],
)
def test_slices_that_are_none_of_a_revision(case: str, labels: dict[str, str]) -> None:
    assert views.slice_view(endpoint_slice("s", pods("p-1"), labels=labels)) is None, case


def test_a_slice_without_a_port_for_requests_has_no_replica() -> None:
    view = views.slice_view(endpoint_slice("s", pods("p-1"), ports=[{"name": "metrics", "port": 8002}]))
    assert view is not None and view.replicas == ()


def test_a_pod_with_two_families_of_addresses_is_one_replica() -> None:
    six = [{**pods("p-1")[0], "addresses": ["fd00::1"]}]
    four, both = endpoint_slice("a", pods("p-1")), endpoint_slice("b", six, addressType="IPv6")
    assert backend(service(revisions={"aaa": 100}), four, both).revisions[0].replicas == (
        Replica("p-1", "10.0.0.1:8000"),
    )
    assert backend(service(revisions={"aaa": 100}), both).revisions[0].replicas == (Replica("p-1", "[fd00::1]:8000"),)


STOPPED = "stopped: spec.scaling.replicas is 0; raise it"
LOOPS = "pod p: CrashLoopBackOff"


@pytest.mark.parametrize(
    ("case", "parts", "replicas", "asleep"),
    [
        ("at zero, and to be woken", {"scaling": {"minReplicas": 0}}, 0, ""),
        ("stopped", {"scaling": {"replicas": 0}}, 0, STOPPED),
        ("stopped, and not yet gone", {"scaling": {"replicas": 0}}, 1, ""),
        ("at zero by a scaler that may look at who waits", {"scaling": {"mode": "external", "replicas": 0}}, 0, ""),
        ("stalled", {"stalled": LOOPS}, 0, LOOPS),
        ("stalled, and another revision serves", {"stalled": LOOPS}, 1, ""),
        ("stopped and stalled", {"scaling": {"replicas": 0}, "stalled": LOOPS}, 0, STOPPED),
    ],
)
def test_why_no_replica_will_come(case: str, parts: dict[str, Any], replicas: int, asleep: str) -> None:
    names = [f"p-{number}" for number in range(1, replicas + 1)]
    assert backend(service(revisions={"aaa": 100}, **parts), endpoint_slice("s", pods(*names))).asleep == asleep, case


@pytest.mark.parametrize(("text", "usd"), [("2.5", 2.5), ("", None), ("cheap", None), ("nan", None), ("-1", None)])
def test_a_price_is_a_number_or_not_known(text: str, usd: float | None) -> None:
    raw = service(revisions={"aaa": 100})
    raw["status"]["revisions"][0]["usdPerHour"] = text
    assert backend(raw).revisions[0].usd_per_hour == usd


def test_peers_are_counted_where_they_are_ready() -> None:
    assert views.ready_addresses(peers("10.0.0.1", "10.0.0.2")) == {"10.0.0.1", "10.0.0.2"}
    assert views.ready_addresses(peers("10.0.0.1", ready=False)) == set()


@given(st.lists(st.lists(st.sampled_from([f"p-{number}" for number in range(1, 9)]), unique=True), max_size=4))
def test_replicas_do_not_depend_on_how_they_are_sliced(split: list[list[str]]) -> None:
    """Each name once, in one order: consistent hashing goes by it."""
    slices = [endpoint_slice(f"s-{number}", pods(*names)) for number, names in enumerate(split)]
    [revision] = backend(service(revisions={"aaa": 100}), *slices).revisions
    assert [replica.name for replica in revision.replicas] == sorted({name for names in split for name in names})
    assert backend(service(revisions={"aaa": 100}), *reversed(slices)).revisions == (revision,)
