"""The live cluster -> what the operator would see of a service, as far as whoever asks may see it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferops.api.inferenceservice import ModelSpec
from inferops.catalogue import accelerators, runtimes
from inferops.cli.capacity import Capacity, capacity
from inferops.cli.capacity import accelerators as known_accelerators
from inferops.cli.diff.change import Outlook, outlook
from inferops.cli.gather import Gathering
from inferops.cli.render import InFile
from inferops.cli.rolloutfollow import utc
from inferops.controller.modelinfo import Known, Unknown
from inferops.controller.observe import Unreadable, observe
from inferops.controller.sizer import Sizer
from inferops.controller.store import OPTIONAL, Key, Store
from inferops.controller.views import SERVICE_LABEL
from inferops.core.config_json import BadConfig
from inferops.core.observation import Observation
from inferops.kube.kinds import (
    ACCELERATOR,
    CONFIG_MAP,
    DEPLOYMENT,
    DEVICE_SLICE,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    LEADER_WORKER_SET,
    NODE,
    POD,
    RECORD,
    SERVICE,
    SERVING_RUNTIME,
    Kind,
)
from inferops.kube.owned import Object

CATALOGUE: tuple[tuple[Kind, str], ...] = (
    (ACCELERATOR, "the built-in accelerators alone count"),
    (SERVING_RUNTIME, "the built-in runtimes alone count"),
    (NODE, "the first choice of accelerators counts as the one that is taken"),
)
CHILDREN: tuple[tuple[Kind, str], ...] = (
    (RECORD, "what sizing chose before may be chosen anew here"),
    (DEPLOYMENT, "pods that are refused are not told"),
    (SERVICE, "which revision serves is told by the status alone"),
    (POD, "replicas that run are told by the status alone"),
)
SOME_HAVE = (DEVICE_SLICE, LEADER_WORKER_SET, HTTP_ROUTE)


@dataclass(slots=True)
class Live:
    """A cluster as it is read once for all services of a file."""

    reads: Gathering
    configs: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)  # ConfigMaps of the file
    _around: list[tuple[Kind, Object]] | None = None
    _offered: set[Kind] = field(default_factory=set)
    _capacity: Capacity | None = None

    async def outlook(self, live: Object | None, wanted: Object) -> Outlook | str:
        """What comes of it, or why that cannot be told. Raises KubeError."""
        await self._read()
        before = await self._seen(live) if live is not None else None
        after = await self._seen({**wanted, "status": (live or {}).get("status") or {}})
        if isinstance(after, Unreadable):
            return after.obstacle.message
        if after is None:
            return "it is being deleted"
        return outlook(before if isinstance(before, Observation) else None, after, self._capacity)

    async def observation(self, raw: Object) -> Observation | None:
        """What the operator would see of one service; None where it cannot be read."""
        await self._read()
        found = await self._seen(raw)
        return found if isinstance(found, Observation) else None

    async def _read(self) -> None:
        if self._around is not None:
            return
        self._around = []
        for kind, lacks in CATALOGUE:
            self._around += [(kind, raw) for raw in await self.reads.list(kind, lacks=lacks) or []]
        for kind in SOME_HAVE:
            selector = "" if kind is DEVICE_SLICE else SERVICE_LABEL
            found = await self.reads.list(kind, selector=selector, lacks=f"no {kind.plural} count", optional=True)
            if found is not None:
                self._offered.add(kind)
                self._around += [(kind, raw) for raw in found]
        self._capacity = await capacity(self.reads, await known_accelerators(self.reads))

    async def _seen(self, raw: Object) -> Observation | Unreadable | None:
        meta = raw["metadata"]
        store = Store(accelerators(), runtimes())
        key = Key(INFERENCE_SERVICE.kind, meta["namespace"], meta["name"])
        for kind in OPTIONAL:
            store.offer(kind, kind in self._offered)
        for kind, each in self._around or ():
            store.put(kind, each)
        for kind, lacks in CHILDREN:
            selector = f"{SERVICE_LABEL}={key.name}"
            for each in await self.reads.list(kind, key.namespace, selector, lacks=lacks) or []:
                store.put(kind, each)
        store.put(INFERENCE_SERVICE, raw)
        return observe(key, store, utc(), Sizer(await self._models(key, raw)))

    async def _models(self, key: Key, raw: Object) -> Models:
        """What is known of models: by the ConfigMap that the service names, in the file or live, else built in."""
        config = (raw["spec"].get("model") or {}).get("config") or {}
        name = str(config.get("name") or "")
        configs = dict(self.configs)
        if name and (key.namespace, name) not in configs:
            found = await self.reads.list(CONFIG_MAP, key.namespace, lacks="the model's shape is not known")
            for each in found or []:
                if each["metadata"]["name"] == name:
                    configs[key.namespace, name] = each.get("data") or {}
        return Models(configs)


@dataclass(frozen=True, slots=True)
class Models(InFile):
    """As of a file; what is wrong with a ConfigMap is an answer as well."""

    def facts(self, key: Key, spec: ModelSpec) -> Known | Unknown:
        try:
            found = self.found(key, spec)
        except BadConfig as error:
            return Unknown(str(error))
        return Unknown(f"nothing is built in about {spec.uri}") if found is None else found
