"""A stand-in for the controller of a Gateway: it takes in HTTPRoutes and says in their status what it makes of them.

The real ones are programs of their own. Like them, this one judges each route at its newest generation, once for each
parent that is one of its Gateways, looks whether what a route sends to is there, and sends requests by what it took in
last. Unlike them, it can be told to look away.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from controlplane import Cluster
from inferops.kube.kinds import HTTP_ROUTE, INFERENCE_POOL, SERVICE, Kind
from nodeagent.client import MERGE, ApiError, Client, load_kubeconfig

Json = dict[str, Any]
NAME = "example.com/gateways"
CLASS = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)
GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
EVERY = 0.1  # seconds between two looks


class GatewayController:
    """What it is told to do, and what it took in."""

    def __init__(self) -> None:
        self.away = False
        self.refusal: tuple[str, str] | None = None  # of every route: reason and message
        self.sends_to: dict[tuple[str, str], dict[str, int]] = {}  # weights by backend, by namespace and route

    async def run(self, cluster: Cluster, stop: threading.Event) -> None:
        async with Client(load_kubeconfig(cluster.kubeconfig)) as api:
            while not stop.is_set():
                try:
                    if not self.away:
                        await self._look(api)
                except ValueError:  # "page not found": there are no such kinds any more
                    pass
                except ApiError as error:
                    # Somebody was faster, or a namespace or the kind is on its way out.
                    if error.status not in (403, 404, 409, 429):
                        raise
                await asyncio.sleep(EVERY)

    async def _look(self, api: Client) -> None:
        ours = {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in await _all(api, GATEWAY)}
        for route in await _all(api, HTTP_ROUTE):
            meta = route["metadata"]
            parents = [
                {"parentRef": parent, "controllerName": NAME, "conditions": await self._judge(api, route)}
                for parent in route["spec"].get("parentRefs", ())
                if (parent.get("namespace", meta["namespace"]), parent["name"]) in ours
            ]
            if _said(parents) != _said(route.get("status", {}).get("parents", [])):
                path = HTTP_ROUTE.path(meta["namespace"], meta["name"], "status")
                version = {"metadata": {"resourceVersion": meta["resourceVersion"]}}
                await api.patch(path, {**version, "status": {"parents": parents}}, kind=MERGE)

    async def _judge(self, api: Client, route: Json) -> list[Json]:
        meta = route["metadata"]
        backends = [each for rule in route["spec"]["rules"] for each in rule.get("backendRefs", ())]
        missing = [each["name"] for each in backends if not await _there(api, meta["namespace"], each)]
        self.sends_to[meta["namespace"], meta["name"]] = (
            {each["name"]: each["weight"] for each in backends} if self.refusal is None else {}
        )
        accepted = self.refusal or ("Accepted", "")
        resolved = ("BackendNotFound", f"not found: {', '.join(missing)}") if missing else ("ResolvedRefs", "")
        now = meta["generation"]
        return [
            _condition("Accepted", now, accepted, self.refusal is None),
            _condition("ResolvedRefs", now, resolved, not missing),
        ]


@contextmanager
def gateway_controller(cluster: Cluster) -> Iterator[GatewayController]:
    """The controller, in a thread of its own."""
    controller, stop = GatewayController(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(controller.run(cluster, stop)), name="gateways")
    thread.start()
    try:
        yield controller
    finally:
        stop.set()
        thread.join(30)


async def _all(api: Client, kind: Kind) -> list[Json]:
    return list((await api.get(kind.path()))["items"])


async def _there(api: Client, namespace: str, backend: Json) -> bool:
    kind = INFERENCE_POOL if backend["kind"] == INFERENCE_POOL.kind else SERVICE
    try:
        await api.get(kind.path(namespace, backend["name"]))
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def _condition(kind: str, generation: int, told: tuple[str, str], good: bool) -> Json:
    return {
        "type": kind,
        "status": "True" if good else "False",
        "observedGeneration": generation,
        "reason": told[0],
        "message": told[1],
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _said(parents: list[Json]) -> list[Json]:
    """All but when it was said."""
    return [
        {
            **each,
            "conditions": [
                {name: part for name, part in condition.items() if name != "lastTransitionTime"}
                for condition in each["conditions"]
            ],
        }
        for each in parents
    ]
