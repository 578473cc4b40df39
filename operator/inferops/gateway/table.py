"""What the gateway routes by: services with their revisions and replicas at one moment, and how one is found.

A request names its service by host (`NAME.NAMESPACE`, that followed by `.svc…`, or a host name of `spec.traffic`), by
the path `/services/NAMESPACE/NAME/…`, or by the model that its body or its path asks for. Where two services claim a
host name or a model's name, the older one has it, as with routes of the Gateway API. Nobody gets requests to another's
`NAME.NAMESPACE.svc` by claiming that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from inferops.runtimes.base import Api

SERVICES = "/services/"  # the start of paths that name a service
# How names end that belong to the cluster, or to the clusterset that it is one of: nobody can claim one.
CLUSTER = ("svc", "svc.cluster.local", "svc.clusterset.local")


class ServiceKey(NamedTuple):
    """Namespace and name of an InferenceService."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Replica:
    """One that takes requests now."""

    name: str  # of its pod
    address: str  # host:port


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision that exists, with the replicas that are ready."""

    hash: str
    weight: int  # percentage of requests
    replicas: tuple[Replica, ...] = ()
    usd_per_hour: float | None = None  # of one replica; None: not known


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one client; None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who may send requests."""

    secret: str  # in the service's namespace
    limits: Limits = Limits()
    clients: Mapping[str, Limits] = field(default_factory=dict)  # that have their own, by name

    def limits_of(self, client: str) -> Limits:
        return self.clients.get(client, self.limits)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Another cluster that has the same service."""

    name: str
    url: str  # of its gateways: http(s)://HOST[:PORT]


@dataclass(frozen=True, slots=True)
class Backend:
    """A service as requests see it."""

    key: ServiceKey
    api: Api
    names: tuple[str, ...]  # of the model, and of its adapters
    revisions: tuple[Revision, ...] = ()
    hostnames: tuple[str, ...] = ()
    created: str = ""  # RFC 3339
    queue_timeout: float = 30.0  # seconds
    max_queue: int = 500
    max_concurrency: int | None = None  # requests at once of one replica, from all gateways
    request_timeout: float = 3600.0  # seconds
    session_header: str = ""
    access: Access | None = None
    ttft: float | None = None  # what the SLO allows, in seconds
    tpot: float | None = None
    spillover: tuple[Cluster, ...] = ()  # that are asked where requests would wait too long here, nearest first
    asleep: str = ""  # why no replica will come, whoever waits; empty: one will
    alias: str = ""  # another name in its namespace by which it is asked for
    elsewhere: str = ""  # its name in other clusters, where that is another


class Table:
    """All services, and the ways to them."""

    def __init__(self, backends: Iterable[Backend] = (), own_hosts: Collection[str] = ()) -> None:
        """`own_hosts`: names of the gateway itself, which no service can claim for itself alone."""
        ordered = sorted(backends, key=_age)
        self.by_key: dict[ServiceKey, Backend] = {backend.key: backend for backend in ordered}
        self._aliases = {ServiceKey(each.key.namespace, each.alias): each for each in ordered if each.alias}
        self.by_model: dict[str, Backend] = {}
        self._own_hosts = frozenset(own_hosts)
        self._hosts: dict[str, Backend] = {}
        self._domains: dict[str, Backend] = {}  # of host names that begin with `*.`
        for backend in ordered:
            for name in backend.names:
                self.by_model.setdefault(name, backend)
            for host in backend.hostnames:
                hosts = self._domains if host.startswith("*.") else self._hosts
                hosts.setdefault(host.removeprefix("*."), backend)

    def of_host(self, host: str) -> Backend | None:
        """The service that the host, a port left out, belongs to."""
        host = host.partition(":")[0].rstrip(".").lower()
        if host in self._own_hosts:
            return None
        own, suffix = self._named(host)
        if suffix in CLUSTER:
            return own
        claimed = self._hosts.get(host)
        if own is not None and (suffix or claimed is None or _age(own) <= _age(claimed)):
            return own
        return claimed or self._domain(host)

    def _named(self, host: str) -> tuple[Backend | None, str]:
        """The service whose name and namespace the host begins with, and what follows these."""
        name, _, rest = host.partition(".")
        namespace, _, suffix = rest.partition(".")
        if suffix and suffix != "svc" and not suffix.startswith("svc."):
            return None, suffix
        return self._called(namespace, name), suffix

    def _called(self, namespace: str, name: str) -> Backend | None:
        key = ServiceKey(namespace, name)
        return self.by_key.get(key) or self._aliases.get(key)

    def _domain(self, host: str) -> Backend | None:
        """The service that claims the nearest domain above the host."""
        rest = host.partition(".")[2]
        while rest:
            if found := self._domains.get(rest):
                return found
            rest = rest.partition(".")[2]
        return None

    def of_path(self, path: str) -> tuple[Backend | None, str]:
        """The service that a path below SERVICES names, and what its own path is."""
        namespace, _, rest = path.removeprefix(SERVICES).partition("/")
        name, _, own = rest.partition("/")
        return self._called(namespace, name), f"/{own}"


def _age(backend: Backend) -> tuple[str, ServiceKey]:
    """Sorts services from the oldest on."""
    return backend.created, backend.key
