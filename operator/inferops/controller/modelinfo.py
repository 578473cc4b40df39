"""What is known of each service's model: from its ConfigMap, the built-in table or a hub, never waited for.

`ModelInfo.facts` answers at once, from what it has. Where somebody has to be asked it says so, asks in the background,
and calls `changed` for every service that waits when there is another answer than before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from inferops.api.inferenceservice import ModelSpec
from inferops.catalogue import built_in
from inferops.controller.modelhub import REMEDY, HubError, parsed
from inferops.controller.store import Key
from inferops.core.config_json import BadConfig, facts_of
from inferops.core.facts import ModelFacts
from inferops.kube.client import KubeError, Reader
from inferops.kube.kinds import CONFIG_MAP

log = logging.getLogger(__name__)

SIDECAR = "hf_quant_config.json"
LARGEST = 1_100_000  # bytes; a ConfigMap holds a mebibyte
REMEMBERED = 4096  # lookups
LONGEST = 700  # characters of a reason


@dataclass(frozen=True, slots=True)
class Known:
    """The model's facts."""

    facts: ModelFacts
    source: str  # who says so, such as `ConfigMap chat/shapes`


@dataclass(frozen=True, slots=True)
class Pending:
    """Somebody is being asked; `changed` is called when he answered."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows. `reason` says why and what to do."""

    reason: str


Answer = Known | Pending | Unknown


class Hub(Protocol):
    """The part of `modelhub.Hub` that is needed."""

    @property
    def endpoint(self) -> object: ...

    async def facts(self, repository: str, revision: str | None = None) -> ModelFacts: ...


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds."""

    config_map: float = 60.0  # a ConfigMap is read again after, when its service is looked at
    branch: float = 6 * 3600.0  # likewise the config.json of a branch; that of a commit stays as it is
    commit: float = 7 * 86400.0
    soon: float = 2.0  # until a failed look at a ConfigMap is tried again: it is being made, most likely
    first: float = 15.0  # until a hub is asked again after a failure
    last: float = 1800.0  # the longest such wait; it doubles from try to try


class Lookup(NamedTuple):
    """Where facts come from: a key of a ConfigMap, or a repository of the hub at a revision."""

    namespace: str  # empty: the hub
    name: str
    part: str  # key, or revision
    model: str  # its name in messages


@dataclass(slots=True)
class _Entry:
    answer: Answer
    stale: float = 0.0  # the time from which it is asked for again
    failures: int = 0
    waiting: set[Key] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


class ModelInfo:
    """The models of all services. Call `close` at the end, and `forget` for a service that is gone."""

    def __init__(
        self,
        kube: Reader,
        changed: Callable[[Key], None],
        hub: Hub | None,
        *,
        times: Times = Times(),
        at_a_time: int = 8,
    ) -> None:
        """`hub`: None where the operator is to ask none. `at_a_time`: lookups."""
        self._kube = kube
        self._changed = changed
        self._hub = hub
        self._times = times
        self._turn = asyncio.Semaphore(at_a_time)
        self._entries: OrderedDict[Lookup, _Entry] = OrderedDict()
        self._asked: dict[Key, Lookup] = {}

    def facts(self, key: Key, spec: ModelSpec) -> Answer:
        """What is known of the model now. Returns at once; call it within the event loop."""
        lookup = self._lookup(key, spec)
        if isinstance(lookup, Lookup):
            return self._answer(key, lookup)
        self.forget(key)
        return lookup

    def forget(self, key: Key) -> None:
        """The service is gone, or asks for something else: nothing is tried again on its behalf."""
        lookup = self._asked.pop(key, None)
        entry = self._entries.get(lookup) if lookup is not None else None
        if entry is not None:
            entry.waiting.discard(key)

    async def close(self) -> None:
        """Stop asking."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._entries.clear()

    def _lookup(self, key: Key, spec: ModelSpec) -> Lookup | Answer:
        scheme, _, path = spec.uri.partition("://")
        if spec.config is not None:
            return Lookup(key.namespace, spec.config.name, spec.config.key, path)
        if (found := built_in(spec.uri)) is not None:
            return Known(found, "the built-in table")
        if scheme != "hf":
            return Unknown(f"{spec.uri} is not in the built-in table and on no hub; {REMEDY}")
        if self._hub is None:
            return Unknown(f"{path} is not in the built-in table, and the operator is to ask no hub; {REMEDY}")
        return Lookup("", path, spec.revision or "", path)

    def _answer(self, key: Key, lookup: Lookup) -> Answer:
        if self._asked.get(key) != lookup:
            self.forget(key)
            self._asked[key] = lookup
        entry = self._entries.get(lookup)
        if entry is None:
            entry = self._entries[lookup] = _Entry(Pending(f"asking {self._who(lookup)} for the model's shape"))
            self._shrink()
        self._entries.move_to_end(lookup)
        entry.waiting.add(key)
        if entry.task is None and asyncio.get_running_loop().time() >= entry.stale:
            entry.task = asyncio.create_task(self._ask(lookup, entry), name=f"model {lookup.model}")
        return entry.answer

    async def _ask(self, lookup: Lookup, entry: _Entry) -> None:
        """Ask until there is an answer, or nobody waits for it any more."""
        try:
            while True:
                async with self._turn:
                    wait = await self._try(lookup, entry)
                if wait is None:
                    return
                await asyncio.sleep(wait)
                if not entry.waiting:
                    return
        except Exception:  # a mistake of ours: said once, and tried again when the service is next looked at
            log.exception("looking up the model %s failed", lookup.model)
            self._tell(entry, Unknown(f"looking up {lookup.model} failed by a mistake of the operator; {REMEDY}"))
        finally:
            entry.task = None

    async def _try(self, lookup: Lookup, entry: _Entry) -> float | None:
        """Ask once. Returns the seconds until the next try, None after an answer."""
        try:
            facts = await (self._read(lookup) if lookup.namespace else self._fetch(lookup))
        except (HubError, BadConfig, KubeError) as error:
            entry.failures += 1
            passing = error.passing if isinstance(error, HubError) else isinstance(error, KubeError)
            if not (passing and isinstance(entry.answer, Known)):  # an outage makes nobody forget
                self._tell(entry, Unknown(str(error)[:LONGEST]))
            first = self._times.soon if lookup.namespace else self._times.first
            wait = min(first * 2.0 ** min(entry.failures - 1, 30), self._times.last)
            asked = None if isinstance(error, BadConfig) else error.retry_after
            wait = max(wait, asked or 0.0)
            entry.stale = asyncio.get_running_loop().time() + wait
            return wait
        entry.failures = 0
        entry.stale = asyncio.get_running_loop().time() + self._lasts(lookup)
        self._tell(entry, Known(facts, self._who(lookup)))
        return None

    async def _read(self, lookup: Lookup) -> ModelFacts:
        """The facts in a ConfigMap."""
        who = f"{self._who(lookup)} (spec.model.config)"
        found = await self._kube.get(CONFIG_MAP, lookup.namespace, lookup.name)
        if found is None:
            raise BadConfig(f"{who} is not there; create it, or take spec.model.config away")
        return facts_in(found.get("data") or {}, lookup.part, lookup.model, who)

    async def _fetch(self, lookup: Lookup) -> ModelFacts:
        if self._hub is None:
            raise BadConfig(f"{lookup.name}: the operator is to ask no hub; {REMEDY}")
        return await self._hub.facts(lookup.name, lookup.part or None)

    def _tell(self, entry: _Entry, answer: Answer) -> None:
        if answer == entry.answer:
            return
        entry.answer = answer
        for key in sorted(entry.waiting):
            self._changed(key)

    def _lasts(self, lookup: Lookup) -> float:
        if lookup.namespace:
            return self._times.config_map
        commit = len(lookup.part) == 40 and all(digit in "0123456789abcdef" for digit in lookup.part)
        return self._times.commit if commit else self._times.branch

    def _who(self, lookup: Lookup) -> str:
        if lookup.namespace:
            return f"ConfigMap {lookup.namespace}/{lookup.name}"
        return str(self._hub.endpoint) if self._hub is not None else "no hub"

    def _shrink(self) -> None:
        """Forget some of what was asked for longest ago, where it is too much."""
        for lookup in list(islice(self._entries, max(0, min(16, len(self._entries) - REMEMBERED)))):
            entry = self._entries[lookup]
            if entry.task is None and not entry.waiting:
                del self._entries[lookup]


def facts_in(data: Mapping[str, str], part: str, name: str, who: str) -> ModelFacts:
    """The facts in a ConfigMap's `data`, of which `part` is the model's config.json. Raises BadConfig naming `who`."""
    if part not in data:
        raise BadConfig(f"{who} has no key {part!r}; it has {', '.join(sorted(data)[:8]) or 'none'}")
    if sum(len(text) for text in data.values()) > LARGEST:
        raise BadConfig(f"{who} is too large; leave in it what config.json holds")
    sidecar = data.get(SIDECAR)
    return facts_of(
        parsed(data[part], f"{part} in {who}"),
        name,
        quantization_config=parsed(sidecar, f"{SIDECAR} in {who}") if sidecar is not None else None,
    )
