"""The operator's metrics as text for Prometheus: its own, and while it leads the state of services and clusters.

The state is told by the leader alone: every replica watches, and told by two of them it would count twice. It is made
from the store at each scrape. What a service is told by is kept as text until the service, its pods or the prices
change, so a scrape of a thousand services joins texts; between slices of them others do their work.
"""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.exposition import choose_encoder
from pydantic import ValidationError

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.resources import InferenceCluster, InferenceService
from inferops.controller.parents import Parent
from inferops.controller.store import Key, Store
from inferops.controller.telemetry import Metrics
from inferops.core import metered
from inferops.core.clusters.naming import parent_name
from inferops.core.metered import IN_CLUSTER, Family, Sample
from inferops.core.observation import PodView
from inferops.kube.kinds import INFERENCE_SERVICE

log = logging.getLogger(__name__)

SLICE = 10  # services at a time: of those that changed, some milliseconds
FAMILIES: tuple[Family, ...] = (*metered.SERVICES, *metered.CLUSTERS)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Lines = Mapping[str, str]  # by the family's name


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a service was told by, and from what."""

    parent: Parent
    pods: tuple[PodView, ...]
    around: object
    lines: Lines
    accelerators: tuple[Sample, ...]  # those that it holds


@dataclass(eq=False, slots=True)
class _Around:
    """What all services are told by. The same object until one of its parts changes."""

    accelerators: Mapping[str, AcceleratorSpec]
    members: tuple[Parent | None, ...]
    clusters: list[InferenceCluster]
    home: str
    prices: metered.Prices


@dataclass(slots=True)
class Exposition:
    """Answers scrapes."""

    metrics: Metrics
    store: Store
    leads: Callable[[], bool]
    _kept: dict[Key, _Kept] = field(default_factory=dict[Key, _Kept])
    _around: _Around | None = None
    _totals: tuple[object, object, dict[tuple[str, bool], int]] | None = None

    async def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """The body and its content type, by the request's Accept header."""
        encode, content_type = choose_encoder(accept)
        body = [] if not self.leads() else [part async for part in self._state()]
        if not self.leads():
            body = []  # somebody else may tell by now
        return b"".join((*body, encode(self.metrics.registry))), content_type

    async def _state(self) -> Any:
        around = self._surroundings()
        keys = sorted(key for key in self.store.all_keys() if key.kind == INFERENCE_SERVICE.kind)
        for gone in self._kept.keys() - set(keys):
            del self._kept[gone]
        for number, key in enumerate(keys):
            self._look(key, around)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        kept = [self._kept[key] for key in keys if key in self._kept]
        beside = written(self._of_clusters(around, kept))
        for family in FAMILIES:
            own = (each.lines.get(family.name, "") for each in kept)
            text = "".join((*own, beside.get(family.name, "")))
            if text:
                yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n{text}".encode()
                await asyncio.sleep(0)

    def _look(self, key: Key, around: _Around) -> None:
        """Keep what a service is told by, made anew where it has changed."""
        parent, pods = self.store.parent(key), tuple(self.store.pods(key))
        known = self._kept.get(key)
        if parent is None:
            self._kept.pop(key, None)
        elif known is None or known.parent is not parent or known.around is not around or known.pods != pods:
            samples = self._safely(key, parent, pods, around)
            held = tuple(each for each in samples if each.family is metered.HELD)
            self._kept[key] = _Kept(parent, pods, around, written(samples), held)

    def _safely(self, key: Key, parent: Parent, pods: tuple[PodView, ...], around: _Around) -> tuple[Sample, ...]:
        try:
            return tuple(self._of_service(key, parent, pods, around))
        except Exception:  # a resource that breaks our own code must not silence what is told of the others
            log.exception("%s %s/%s: nothing can be told of it", *key)
            return ()

    def _of_service(self, key: Key, parent: Parent, pods: tuple[PodView, ...], around: _Around) -> Iterator[Sample]:
        raw = _content(parent)
        try:
            status = InferenceServiceStatus.model_validate(raw.get("status") or {})
        except ValidationError:
            status = InferenceServiceStatus()
        try:
            seen = InferenceService.model_validate({**raw, "status": {}})
        except ValidationError:
            yield from metered.conditions((key.namespace, key.name), status.conditions)
            return
        of = parent_name(key.name, seen.metadata.annotations)
        part = bool(of) and self.store.parent(Key(key.kind, key.namespace, of)) is not None
        whole = seen.model_copy(update={"status": status})
        yield from metered.service(whole, pods, around.prices, around.home, part=part)

    def _of_clusters(self, around: _Around, kept: Iterable[_Kept]) -> Iterator[Sample]:
        for each in around.clusters:
            yield from metered.cluster(each, around.prices)
        if around.home == IN_CLUSTER:
            used = _used(kept)
            for (name, spot), total in self._own(around.accelerators).items():
                yield from metered.stock(IN_CLUSTER, name, total, used[name, spot], around.prices, spot=spot)

    def _own(self, accelerators: Mapping[str, AcceleratorSpec]) -> dict[tuple[str, bool], int]:
        """What this cluster has, counted anew where its nodes or the Accelerators have changed."""
        nodes = self.store.nodes()
        if self._totals is None or self._totals[0] is not nodes or self._totals[1] is not accelerators:
            self._totals = (nodes, accelerators, metered.totals(nodes, accelerators))
        return self._totals[2]

    def _surroundings(self) -> _Around:
        accelerators = self.store.accelerators()
        members = tuple(self.store.parent(key) for key in sorted(self.store.clusters()))
        before = self._around
        if before is not None and before.accelerators is accelerators and _same(before.members, members):
            return before
        clusters = [found for each in members if each is not None and (found := _cluster(each)) is not None]
        home = next((each.metadata.name for each in clusters if each.spec.access.hub), IN_CLUSTER)
        prices = metered.prices(accelerators, clusters, home)
        if before is not None and (before.home, before.prices) == (home, prices):  # services are told as before
            before.accelerators, before.members, before.clusters = accelerators, members, clusters
            return before
        self._around = _Around(accelerators, members, clusters, home, prices)
        return self._around


def _same(before: tuple[Parent | None, ...], now: tuple[Parent | None, ...]) -> bool:
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))


def _used(kept: Iterable[_Kept]) -> Counter[tuple[str, bool]]:
    """Accelerators of this cluster that pods of services hold."""
    used: Counter[tuple[str, bool]] = Counter()
    for each in kept:
        for sample in each.accelerators:
            _, _, cluster, accelerator, spot, state = sample.labels
            if cluster == IN_CLUSTER and state != "pending":
                used[accelerator, spot == "true"] += int(sample.value)
    return used


def _content(parent: Parent) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(zlib.decompress(parent.content))
    return raw


def _cluster(parent: Parent) -> InferenceCluster | None:
    """None: it cannot be read. A status that cannot be read counts as none."""
    raw = _content(parent)
    try:
        seen = InferenceCluster.model_validate({**raw, "status": {}})
    except ValidationError:
        return None
    try:
        status = InferenceClusterStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        return seen
    return seen.model_copy(update={"status": status})


def written(samples: Iterable[Sample]) -> dict[str, str]:
    """The lines of samples, by family."""
    lines: dict[str, list[str]] = {}
    for family, labels, value in samples:
        told = ",".join(
            [f'{name}="{text.translate(_ESCAPES)}"' for name, text in zip(family.labels, labels, strict=True)]
        )
        lines.setdefault(family.name, []).append(f"{family.name}{{{told}}} {value}\n")
    return {name: "".join(each) for name, each in lines.items()}
