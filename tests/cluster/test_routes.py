"""Services behind a Gateway of the Gateway API, and exported to other clusters, on a real API server: attached, moved,
told of, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.gateways import CLASS, GATEWAY, NAME, GatewayController, gateway_controller
from cluster.services import OPERATOR, denied
from cluster.test_operator import User
from controlplane import Cluster
from harness import OperatorProcess, gpu_nodes, install, wait_until

FILES = ("gatewayapi.yaml", "mcsapi.yaml")
KINDS = [kind for file in FILES for kind in yaml.safe_load_all((Path(__file__).parent / file).read_text())]
POOLS = "inferencepools.inference.networking.k8s.io"
HOME = "gateway-home"
PUBLIC = {"name": "public", "namespace": HOME}
NAMED = {"gatewayRef": PUBLIC, "hostnames": ["llama.example.com"]}
PICKED = {"gatewayRef": PUBLIC, "endpointPicker": {"name": "picker"}}


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[OperatorProcess]:
    """The operator, as its own ServiceAccount, begun on a cluster without the Gateway API."""
    install(cluster)
    nodes = gpu_nodes(cluster, "2x8xnvidia-h100-80gb", "--mode", "report", "--name-prefix", "routes-")
    with nodes, OperatorProcess(cluster) as running:
        wait_until("the operator leads", running.leads, 30)
        yield running


@pytest.fixture(scope="module")
def gateway(cluster: Cluster, operator: OperatorProcess) -> Iterator[GatewayController]:
    """The Gateway API without its Inference Extension, a Gateway, the controller of its class, and the MCS API."""
    kinds = [kind for kind in KINDS if kind["metadata"]["name"] != POOLS]
    _install(cluster, kinds)
    _apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    specs = (
        (CLASS, {"name": "bench"}, {"controllerName": NAME}),
        (GATEWAY, {"name": "public", "namespace": HOME}, {"gatewayClassName": "bench", "listeners": [listener]}),
    )
    for kind, meta, spec in specs:
        _apply(cluster, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec})
    with gateway_controller(cluster) as running:
        yield running
    names = [kind["metadata"]["name"] for kind in KINDS]
    cluster.kubectl("delete", "crd", *names, "--ignore-not-found", "--timeout=60s")
    cluster.kubectl("delete", "namespace", HOME, "--wait=false")


def _install(cluster: Cluster, kinds: list[dict[str, Any]]) -> None:
    for kind in kinds:
        _apply(cluster, kind)
    names = [f"crd/{kind['metadata']['name']}" for kind in kinds]
    cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=30s")


def _apply(cluster: Cluster, resource: dict[str, Any]) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(resource))


@pytest.fixture
def user(cluster: Cluster, namespace: str, operator: OperatorProcess) -> User:
    return User(cluster, namespace)


@pytest.fixture
def attentive(gateway: GatewayController) -> Iterator[GatewayController]:
    """The Gateway's controller, which looks away no longer than a test."""
    yield gateway
    gateway.away, gateway.refusal = False, None


def backends(user: User, service: str) -> dict[str, int]:
    rules = user.get("httproute", service)["spec"]["rules"]
    return {each["name"]: each["weight"] for rule in rules for each in rule.get("backendRefs", ())}


def pools(user: User, service: str) -> list[str]:
    return [each["metadata"]["name"] for each in user.list("inferencepools", service)]


def stable(user: User, service: str) -> str:
    return f"{service}-{user.get('infs', service)['status']['stableRevision']}"


def written(user: User, resource: str) -> list[tuple[str, str]]:
    """Every write of the operator to a kind in the user's namespace."""
    events = user.cluster.audit_events()
    return [
        (event.verb, event.name)
        for event in events
        if event.user == OPERATOR
        and event.resource == resource
        and event.namespace == user.namespace
        and event.verb in ("create", "patch", "update", "delete")
    ]


def test_it_serves_inside_without_the_gateway_api_and_heals_when_that_is_installed(
    user: User, request: pytest.FixtureRequest
) -> None:
    user.apply("early", traffic={**NAMED, "export": True})
    user.wait("early", "Available", "True")
    user.wait("early", "Routed", "False", "GatewayAPIMissing")
    assert f"Gateway {HOME}/public" in user.condition("early", "Routed")["message"]
    request.getfixturevalue("gateway")
    user.wait("early", "Routed", "True", "RouteAccepted")
    user.ready("early")
    status = user.get("infs", "early")["status"]
    assert status["hostnames"] == ["llama.example.com"]
    route = user.get("httproute", "early")
    assert backends(user, "early") == {stable(user, "early"): 100}
    assert route["metadata"]["generation"] == 1 and written(user, "httproutes") == [("patch", "early")]
    [owner] = route["metadata"]["ownerReferences"]
    assert owner["uid"] == user.get("infs", "early")["metadata"]["uid"]
    # Its export, which waited for the MCS API, tells what an implementation says, and goes with the wish.
    assert f"early.{user.namespace}.svc.clusterset.local" in user.condition("early", "Routed")["message"]
    assert user.get("serviceexport", "early")["metadata"]["ownerReferences"] == [owner]
    stamp = "2025-11-03T12:00:00Z"
    other = {"type": "Conflict", "status": "True", "reason": "PortConflict", "message": "eu"}
    patch = ("serviceexport", "early", "--subresource=status", "--type=merge", "-p")
    user.kubectl("patch", *patch, json.dumps({"status": {"conditions": [{**other, "lastTransitionTime": stamp}]}}))
    user.wait("early", "Routed", "False", "ExportConflict")
    user.apply("early", traffic=NAMED)
    user.ready("early")
    wait_until("its export gone", lambda: not user.list("serviceexports", "early"), 30, every=0.2)


def test_without_pools_requests_go_to_services_and_pools_may_come_later(
    user: User, attentive: GatewayController
) -> None:
    user.apply("waiting", traffic=PICKED)
    user.wait("waiting", "Routed", "False", "InferencePoolMissing")
    assert user.condition("waiting", "Available")["status"] == "True"
    [backend] = user.get("httproute", "waiting")["spec"]["rules"][0]["backendRefs"]
    assert backend["kind"] == "Service"
    # Their kind is found within seconds; the tests that need it come later.
    _install(user.cluster, [kind for kind in KINDS if kind["metadata"]["name"] == POOLS])


def test_only_what_the_gateway_has_taken_in_is_routed(user: User, attentive: GatewayController) -> None:
    user.apply("slow", traffic=NAMED)
    user.ready("slow")
    attentive.away = True
    user.apply("slow", traffic={**NAMED, "requestTimeout": "2h", "hostnames": ["llama.example.com", "b.example.com"]})
    user.wait("slow", "Routed", "Unknown", "RoutePending")
    route, status = user.get("httproute", "slow"), user.get("infs", "slow")["status"]
    accepted = route["status"]["parents"][0]["conditions"][0]
    assert (accepted["status"], accepted["observedGeneration"], route["metadata"]["generation"]) == ("True", 1, 2)
    assert status["hostnames"] == ["llama.example.com"]
    attentive.away = False
    hosts = ["llama.example.com", "b.example.com"]
    wait_until("both hosts are told", lambda: user.get("infs", "slow")["status"]["hostnames"] == hosts, 30, every=0.2)
    user.ready("slow")
    timeouts = user.get("httproute", "slow")["spec"]["rules"][0]["timeouts"]
    assert timeouts == {"request": "2h", "backendRequest": "2h"}


def test_what_a_gateway_has_against_it_is_passed_on(user: User, attentive: GatewayController) -> None:
    attentive.refusal = ("NotAllowedByListeners", "no listener allows the namespace")
    user.apply("refused", traffic=NAMED)
    user.wait("refused", "Routed", "False", "NotAllowedByListeners")
    assert "no listener allows the namespace" in user.condition("refused", "Routed")["message"]
    assert user.condition("refused", "Available")["status"] == "True"
    attentive.refusal = None
    user.ready("refused")


def test_weights_move_to_what_is_ready_and_the_old_revision_goes_after_them(
    user: User, attentive: GatewayController
) -> None:
    user.apply("moving", traffic=NAMED)
    user.ready("moving")
    old = stable(user, "moving")
    attentive.away = True
    user.apply("moving", traffic=NAMED, runtime={"args": ["--max-num-seqs=64"]})
    wait_until("the weights moved", lambda: old not in backends(user, "moving"), 30, every=0.1)
    # The route is written before the status that tells of it.
    wait_until("the new revision is told", lambda: stable(user, "moving") != old, 30, every=0.1)
    new = stable(user, "moving")
    assert backends(user, "moving") == {new: 100}
    assert user.get("service", "moving")["spec"]["selector"]["inferops.dev/revision"] in new

    def told() -> bool:
        revisions = {each["name"]: each for each in user.get("infs", "moving")["status"]["revisions"]}
        return set(revisions) == {old, new} and "Gateway" in revisions[old].get("message", "")

    wait_until("it is told why the old revision stays", told, 30, every=0.2)
    assert attentive.sends_to[user.namespace, "moving"] == {old: 100}
    there = {each["metadata"]["name"]: each for each in user.list("deployments,services", "moving")}
    assert {old, new, "moving"} <= set(there)
    assert user.get("deployment", old)["status"]["readyReplicas"] == 1
    attentive.away = False
    wait_until("the old revision gone", lambda: old not in {
        each["metadata"]["name"] for each in user.list("deployments,services", "moving")}, 30, every=0.1)  # fmt: skip
    assert attentive.sends_to[user.namespace, "moving"] == {new: 100}
    user.ready("moving")


def test_the_route_goes_with_the_gateways_name(user: User, attentive: GatewayController) -> None:
    user.apply("leaving", traffic=NAMED)
    user.ready("leaving")
    user.apply("leaving")
    user.wait("leaving", "Routed", "True", "ServiceRouted")
    wait_until("its route gone", lambda: not user.list("httproutes", "leaving"), 30, every=0.2)
    wait_until("no host told", lambda: not user.get("infs", "leaving")["status"].get("hostnames"), 30)


def test_somebody_elses_route_is_left_alone_and_ours_is_repaired(user: User, attentive: GatewayController) -> None:
    theirs = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "taken", "namespace": user.namespace},
        "spec": {"parentRefs": [PUBLIC], "hostnames": ["llama.example.com"]},
    }
    user.kubectl("create", "-f", "-", input=json.dumps(theirs))
    before = user.get("httproute", "taken")
    user.apply("taken", traffic=NAMED)
    user.wait("taken", "Routed", "False", "NameConflict")
    assert "HTTPRoute taken" in user.condition("taken", "Routed")["message"]
    user.wait("taken", "Available", "True")
    now = user.get("httproute", "taken")
    assert (now["spec"], now["metadata"].get("ownerReferences")) == (before["spec"], None)
    user.kubectl("delete", "httproute", "taken")
    user.apply("taken", traffic=NAMED, scaling={"replicas": 2})  # which makes it look at once
    user.ready("taken")
    patch = {"spec": {"hostnames": ["evil.example.com"]}, "metadata": {"annotations": {"team": "chat"}}}
    user.kubectl("patch", "httproute", "taken", "--type=merge", "-p", json.dumps(patch))
    wait_until("its host names back", lambda: user.get("httproute", "taken")["spec"]["hostnames"]
               == ["llama.example.com"], 30, every=0.1)  # fmt: skip
    assert user.get("httproute", "taken")["metadata"]["annotations"]["team"] == "chat"
    user.wait("taken", "Ready", "True")


def test_pools_take_the_place_of_services(user: User, attentive: GatewayController) -> None:
    _install(user.cluster, [kind for kind in KINDS if kind["metadata"]["name"] == POOLS])
    user.apply("picked", traffic=PICKED)
    user.wait("picked", "Routed", "True", "RouteAccepted")
    first = stable(user, "picked")
    pool = user.get("inferencepool", first)["spec"]
    assert pool["selector"] == {"matchLabels": user.get("service", first)["spec"]["selector"]}
    assert pool["endpointPickerRef"] | {"name": "picker", "failureMode": "FailClose"} == pool["endpointPickerRef"]
    route = user.get("httproute", "picked")["spec"]["rules"][0]
    assert [each["kind"] for each in route["backendRefs"]] == ["InferencePool"]
    assert route["matches"][0]["headers"] == [{"name": "X-Gateway-Model-Name", "type": "Exact", "value": "picked"}]
    user.apply("picked", traffic=PICKED, runtime={"args": ["--max-num-seqs=64"]})
    wait_until("another pool alone", lambda: pools(user, "picked") not in ([], [first]) and len(
        pools(user, "picked")) == 1, 30, every=0.2)  # fmt: skip
    user.wait("picked", "Routed", "True", "RouteAccepted")
    wait_until("it is told", lambda: pools(user, "picked") == [stable(user, "picked")], 30, every=0.2)
    user.apply("picked", traffic=NAMED, runtime={"args": ["--max-num-seqs=64"]})
    wait_until("no pool left", lambda: not pools(user, "picked"), 30, every=0.2)
    assert backends(user, "picked") == {stable(user, "picked"): 100}
    user.ready("picked")


def test_another_operator_writes_nothing_anew_and_its_gateway_is_for_those_that_name_none(
    user: User, attentive: GatewayController, operator: OperatorProcess
) -> None:
    user.apply("kept", traffic=PICKED)
    user.apply("plain")
    user.ready("kept")
    user.ready("plain")
    before = {kind: written(user, kind) for kind in ("httproutes", "inferencepools")}
    operator.stop()
    with OperatorProcess(user.cluster, "next", args=("--gateway", f"{HOME}/public")) as following:
        wait_until("it leads", following.leads, 30)
        user.wait("plain", "Routed", "True", "RouteAccepted")
        user.apply("kept", traffic=PICKED, scaling={"replicas": 2})
        wait_until("two replicas", lambda: user.get("infs", "kept")["status"]["readyReplicas"] == 2, 30, every=0.2)
        assert written(user, "inferencepools") == before["inferencepools"]
        assert written(user, "httproutes") == [*before["httproutes"], ("patch", "plain")]
        assert 'result="bug"' not in following.get("/metrics")[1]


def test_nothing_is_denied_to_the_operator(user: User) -> None:
    assert denied(user.cluster) == set()
