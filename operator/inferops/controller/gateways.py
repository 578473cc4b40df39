"""Where the replicas of the built-in gateway are: the EndpointSlices of its Service, in the operator's own namespace.

Slices are untrusted: whatever is missing or of another shape reads as not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inferops.kube.client import Kube
from inferops.kube.kinds import ENDPOINT_SLICE
from inferops.kube.owned import Object
from inferops.render.gatewayslice import GATEWAYS, MANAGED_BY, MANAGER, SERVICE_NAME

SELECTOR = f"{SERVICE_NAME}={GATEWAYS}"
HTTP, METRICS = "http", "metrics"  # names of the Service's ports


@dataclass(frozen=True, slots=True, order=True)
class Gateway:
    """One replica, as the endpoints of its Service list it."""

    address: str  # where requests come in, host:port
    metrics: str  # where it tells of them, host:port; empty: nowhere
    ready: bool


class Gateways:
    """The gateways that are listed: a copy of the slices, as `kube.mirror` keeps it."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.changed = changed  # called when another gateway is listed, or is ready, or is not any more
        self.listed: tuple[Gateway, ...] = ()  # in order of their addresses, those that are not ready too
        self._slices: dict[tuple[str, str], tuple[Gateway, ...]] = {}

    @property
    def ready(self) -> tuple[str, ...]:
        """Addresses of those that take requests."""
        return tuple(gateway.address for gateway in self.listed if gateway.ready)

    def put(self, raw: Object) -> None:
        """A slice as it is now."""
        self._slices[_name(raw)] = tuple(gateways_of(raw))
        self._merge()

    def remove(self, namespace: str, name: str, version: int) -> None:
        """A slice is gone."""
        self._slices.pop((namespace, name), None)
        self._merge()

    def names(self) -> Iterable[tuple[str, str]]:
        """Namespace and name of all slices."""
        return tuple(self._slices)

    def _merge(self) -> None:
        """A gateway that stands in two slices, as it does while one is written anew, counts once, ready if in one."""
        found: dict[str, Gateway] = {}
        for gateway in sorted(each for listed in self._slices.values() for each in listed):
            found[gateway.address] = gateway
        listed = tuple(found.values())
        if listed != self.listed:
            self.listed = listed
            self.changed()


def gateways_of(raw: Mapping[str, Any]) -> Iterable[Gateway]:
    """The gateways of a slice."""
    if raw.get("addressType") != "IPv4":
        return
    ports = {port.get("name"): port.get("port") for port in _list(raw.get("ports")) if isinstance(port, dict)}
    http, metrics = ports.get(HTTP), ports.get(METRICS)
    if not isinstance(http, int):
        return
    for endpoint in _list(raw.get("endpoints")):
        conditions = (endpoint.get("conditions") or {}) if isinstance(endpoint, dict) else {}
        ready = conditions.get("ready") is not False  # not said: as if it were
        for host in _list(endpoint.get("addresses") if isinstance(endpoint, dict) else None)[:1]:
            yield Gateway(f"{host}:{http}", f"{host}:{metrics}" if isinstance(metrics, int) else "", ready)


async def lists_pods(kube: Kube, namespace: str, service: str) -> bool:
    """Whether Kubernetes' own slices of a Service list a pod that is ready. Raises KubeError."""
    async for slices, _ in kube.pages(ENDPOINT_SLICE, f"{SERVICE_NAME}={service}", namespace=namespace):
        for each in slices:
            if (each["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER:
                continue
            if any((endpoint.get("conditions") or {}).get("ready") for endpoint in _list(each.get("endpoints"))):
                return True
    return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(raw: Object) -> tuple[str, str]:
    return raw["metadata"].get("namespace", ""), raw["metadata"]["name"]
