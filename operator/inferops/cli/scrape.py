"""What gateways and engines count of themselves, read through the API server's proxy with the rights of who asks.

A gateway is asked pod by pod, since its Service would tell of one of them alone. Answers are untrusted: bounded in
size, and what cannot be read is passed over.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import aiohttp

from inferops.catalogue import runtimes
from inferops.cli.access import UserClient
from inferops.cli.gather import Gathering
from inferops.kube.client import KubeError
from inferops.kube.kinds import ENDPOINT_SLICE, POD, SERVICE
from inferops.kube.owned import Object
from inferops.runtimes import ENGINES
from inferops.runtimes.base import Metrics
from inferops.signals.pods import parsed
from inferops.signals.reading import names as judged_by
from inferops.signals.reading import readout, sums

PREFIX = "inferops_gateway_"
GATEWAY = ("inferops-system", "inferops-gateway")  # namespace and name of the gateways' Service
PORT = 9090  # where they tell
AT_ONCE = 8  # requests
TIMEOUT = 4.0  # seconds for one of them
PODS = 200  # of engines that are asked

Of = tuple[str, str]  # namespace and name of a service


@dataclass(slots=True)
class Counted:
    """What one gateway, or one engine, has counted of one service since it began."""

    came: float = 0.0
    ended: float = 0.0
    bad: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    waiting: float = 0.0
    running: float = 0.0
    ttft: Counter[float] = field(default_factory=Counter[float])  # cumulative, by bound in seconds
    tpot: Counter[float] = field(default_factory=Counter[float])
    kv: float | None = None  # share of its KV cache that is in use


class Engine(NamedTuple):
    """A pod whose metrics are wanted."""

    of: Of
    pod: str
    port: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was told at one moment."""

    at: float  # seconds, by a clock that only grows
    gateways: Mapping[str, Mapping[Of, Counted]]
    engines: Mapping[str, Mapping[Of, Counted]]


def of_gateway(text: str) -> dict[Of, Counted]:
    """What a gateway's /metrics tells, by service."""
    found: defaultdict[Of, Counted] = defaultdict(Counted)
    for line in text.split("\n"):
        if not line.startswith(PREFIX):
            continue
        for name, labels, value in parsed(line.encode()):
            of = labels.get("namespace", ""), labels.get("service", "")
            if of[1]:
                _add(found[of], name.removeprefix(PREFIX), labels, value)
    return dict(found)


def _add(counted: Counted, name: str, labels: Mapping[str, str], value: float) -> None:
    if name == "arrivals_total":
        counted.came += value
    elif name in ("requests_total", "refused_requests_total"):
        counted.ended += value
        counted.bad += value if labels.get("code", "").startswith("5") else 0
    elif name == "input_tokens_total":
        counted.tokens_in += value
    elif name == "output_tokens_total":
        counted.tokens_out += value
    elif name == "requests_waiting":
        counted.waiting += value
    elif name == "requests_in_flight":
        counted.running += value
    elif name in ("time_to_first_token_seconds_bucket", "inter_token_latency_seconds_bucket"):
        histogram = counted.ttft if name.startswith("time") else counted.tpot
        histogram[_bound(labels.get("le", ""))] += int(value)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return inf


def of_engine(text: str, metrics: Metrics) -> Counted:
    """What an engine's own metrics tell."""
    wanted = judged_by(metrics) | sums(metrics)
    told = []
    cache: list[float] = []
    for line in text.split("\n"):
        name = line.partition("{")[0].partition(" ")[0]
        if name in wanted or name == metrics.kv_cache_usage:
            found = parsed(line.encode())
            told += found
            cache += [value for _, _, value in found if name == metrics.kv_cache_usage and 0 <= value <= 1]
    read = readout(told, metrics)
    ended = read.good + read.bad + read.others
    return Counted(
        came=ended + read.there,
        ended=ended,
        bad=read.bad,
        tokens_in=read.numbers.get(metrics.prompt_tokens or "", 0.0),
        tokens_out=read.numbers.get(metrics.generated_tokens or "", 0.0),
        waiting=read.waiting,
        running=read.there - read.waiting,
        ttft=Counter(read.ttft),
        tpot=Counter(read.tpot),
        kv=sum(cache) / len(cache) if cache else None,
    )


def engines_of(pods: Iterable[Object], runtime_of: Mapping[Of, str], engine_of: Mapping[str, str]) -> list[Engine]:
    """The replicas that are ready, with the ports of their metrics. `engine_of`: by runtime."""
    found = []
    for raw in pods:
        meta, status = raw["metadata"], raw.get("status") or {}
        labels = meta.get("labels") or {}
        of = str(meta.get("namespace") or ""), str(labels.get("inferops.dev/service") or "")
        engine = ENGINES.get(engine_of.get(runtime_of.get(of, ""), ""))
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ())
        if engine is None or not ready or labels.get("inferops.dev/role") == "worker":
            continue
        ports = {
            port.get("name"): port.get("containerPort")
            for container in (raw.get("spec") or {}).get("containers") or ()
            for port in container.get("ports") or ()
        }
        port = ports.get(engine.metrics.endpoint.port)
        if isinstance(port, int):
            found.append(Engine(of, meta["name"], port, engine.metrics))
    return found


class Scraper:
    """Asks gateways and engines. What does not answer is told once, in `reads.unseen`."""

    def __init__(self, client: UserClient, reads: Gathering, service: Of = GATEWAY, urls: Sequence[str] = ()) -> None:
        """`service`: the gateways' Service. `urls`: where they tell in place of that, such as http://10.0.0.7:9090."""
        self._client, self._reads, self._service, self._urls = client, reads, service, urls
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._engine_of = {name: spec.engine for name, spec in runtimes().items()}

    async def snapshot(self, runtime_of: Mapping[Of, str], namespace: str, *, engines: bool = True) -> Snapshot:
        """What all of them tell now, of the services that `runtime_of` names. Raises KubeError where the API server
        does not answer."""
        gateways = await self._gateways()
        asked = await self._engines(runtime_of, namespace) if engines else []
        told = await asyncio.gather(*(self._one(name, ask) for name, ask in gateways.items()))
        counted = await asyncio.gather(*(self._one(f"pod {each.pod}", self._ask(each)) for each in asked))
        pods = {
            f"{each.of[0]}/{each.pod}": {each.of: of_engine(text, each.metrics)}
            for each, text in zip(asked, counted, strict=True)
            if text is not None
        }
        found = {name: of_gateway(text) for name, text in zip(gateways, told, strict=True) if text is not None}
        return Snapshot(time.monotonic(), found, pods)

    async def _one(self, name: str, asked: Awaitable[str]) -> str | None:
        async with self._turns:
            try:
                return await asked
            except (KubeError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                status = error.status if isinstance(error, KubeError) else 0
                verb = "get pods/proxy and services/proxy" if name.startswith("gateway") else "get pods/proxy"
                why = f"you may not {verb}" if status == 403 else f"it does not tell its metrics: {error}"
                self._reads.unseen.append(f"{name}: {why}"[:300])
                return None

    async def _ask(self, engine: Engine) -> str:
        path = POD.path(engine.of[0], f"{engine.pod}:{engine.port}", f"proxy{engine.metrics.endpoint.path}")
        return await self._client.text(path, timeout=TIMEOUT)

    async def _engines(self, runtime_of: Mapping[Of, str], namespace: str) -> list[Engine]:
        pods = await self._reads.list(POD, namespace, "inferops.dev/service", lacks="what engines tell is left out")
        found = engines_of(pods or (), runtime_of, self._engine_of)
        if len(found) > PODS:
            self._reads.unseen.append(f"{len(found)} replicas: only {PODS} of them are asked; name a service or -n")
        return found[:PODS]

    async def _gateways(self) -> dict[str, Awaitable[str]]:
        """Whom to ask, by name."""
        if self._urls:
            return {f"gateway {url}": direct(url) for url in self._urls}
        namespace, name = self._service
        slices = await self._reads.list(
            ENDPOINT_SLICE, namespace, f"kubernetes.io/service-name={name}", lacks="one gateway alone is asked"
        )
        pods, others = [], 0
        for each in slices or ():
            for endpoint in each.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") is False:
                    continue
                target = endpoint.get("targetRef") or {}
                if target.get("kind") == "Pod":
                    pods.append(str(target.get("name")))
                else:
                    others += 1
        if pods:
            return {f"gateway {pod}": self._text(POD.path(namespace, f"{pod}:{PORT}", "proxy/metrics")) for pod in pods}
        if others > 1:
            self._reads.unseen.append(f"{others} gateways that are no pods: one of them is asked; give --gateway URL")
        if slices is not None and not others:
            self._reads.unseen.append(f"no gateway is ready behind the Service {namespace}/{name}")
            return {}
        return {f"gateway {name}": self._text(SERVICE.path(namespace, f"{name}:{PORT}", "proxy/metrics"))}

    async def _text(self, path: str) -> str:
        return await self._client.text(path, timeout=TIMEOUT)


async def direct(url: str) -> str:
    """What stands at a URL. Raises ValueError where it is no answer of metrics."""
    whole = url if url.rstrip("/").endswith("/metrics") else f"{url.rstrip('/')}/metrics"
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(timeout=limit) as session, session.get(whole, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"it answers {response.status}")
        body = await response.content.read(8 * 2**20)
        return body.decode(errors="replace")
