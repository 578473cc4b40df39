"""What `kubectl get -o json` says, asked from this process: tests look again and again until something is so.

A process of kubectl takes 0.13 s of processor time, and a look every fifth of a second as much as the operator does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cluster.services import Json
from controlplane import BenchError, Cluster

ALL_GROUPS = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Served:
    """A kind that the API server knows."""

    version: str  # apps/v1
    kind: str  # Deployment
    plural: str
    namespaced: bool

    def path(self, namespace: str) -> str:
        root = "apis" if "/" in self.version else "api"
        where = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"/{root}/{self.version}{where}/{self.plural}"


class Reader:
    """Reads objects as the admin, by any name that kubectl takes for a kind: infs, pods, deployments.apps."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, Served] = {}

    def get(self, kind: str, namespace: str, name: str) -> Json:
        """Raises ApiError, with status 404 where there is none."""
        return self._read(f"{self._served(kind).path(namespace)}/{name}")

    def list(self, kinds: str, namespace: str, selector: str) -> list[Json]:
        """The objects of these kinds, `deployments,pods`, kind by kind, each with its kind and apiVersion."""
        found: list[Json] = []
        for served in map(self._served, kinds.split(",")):
            items = self._read(f"{served.path(namespace)}?{urlencode({'labelSelector': selector})}")["items"]
            found += [{"apiVersion": served.version, "kind": served.kind, **item} for item in items]
        return found

    def _served(self, kind: str) -> Served:
        """Raises BenchError for what the API server does not know, now."""
        if kind not in self._known:
            self._known = self._discovered()
        try:
            return self._known[kind]
        except KeyError:
            raise BenchError(f"the server doesn't have a resource type {kind!r}") from None

    def _discovered(self) -> dict[str, Served]:
        """All kinds in their preferred versions, by each of their names; of two with one name the first counts."""
        known: dict[str, Served] = {}
        for root in ("/api", "/apis"):
            for group in json.loads(self._cluster.get(root, ALL_GROUPS))["items"]:
                name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    for each in version["resources"]:
                        full = f"{name}/{version['version']}" if name else version["version"]
                        kind, namespaced = each["responseKind"]["kind"], each["scope"] == "Namespaced"
                        served = Served(full, kind, each["resource"], namespaced)
                        plural = each["resource"]
                        names = (plural, f"{plural}.{name}", each["singularResource"], *each.get("shortNames", ()))
                        for called in names:
                            known.setdefault(called, served)
        return known

    def _read(self, path: str) -> Json:
        answer: dict[str, Any] = json.loads(self._cluster.get(path))
        return answer


@cache
def reader(cluster: Cluster) -> Reader:
    """The one of a cluster."""
    return Reader(cluster)
