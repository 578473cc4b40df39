"""What was read last of each resource, and the table that follows from it.

A change of one service costs the work of one service: of the others the views and Backends made before stay. A
resource that cannot be read hides no other, and itself stays as it could be read last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

from pydantic import ValidationError

from inferops.api.problems import problems
from inferops.catalogue import runtimes
from inferops.core.clusters.naming import hub_name
from inferops.gateway.sources import views
from inferops.gateway.sources.views import ServiceView, SliceView
from inferops.gateway.table import Backend, ServiceKey, Table
from inferops.kube.owned import Object
from inferops.runtimes import ENGINES
from inferops.runtimes.base import Api

log = logging.getLogger(__name__)

Name = tuple[str, str]  # namespace and name


class State:
    """The resources of one source, by `services`, `runtimes`, `slices` and `peers`, and the table made of them."""

    def __init__(self, changed: Callable[[], None] = lambda: None, own_hosts: Collection[str] = ()) -> None:
        """`own_hosts`: as `Table` has them."""
        self.changed = changed  # called when there may be another table
        self.services = Services(self)
        self.runtimes = Runtimes(self)
        self.slices = Slices(self)
        self.peers = Peers(self)
        self._dirty: set[ServiceKey] = set()
        self._wholes: dict[ServiceKey, ServiceKey] = {}  # services, by the names of their parts in the hub
        self._backends: dict[ServiceKey, Backend] = {}
        self._table: Table | None = None
        self._own_hosts = own_hosts

    def touch(self, *keys: ServiceKey) -> None:
        """What is known of these services has changed."""
        self._dirty.update(keys)
        self.changed()

    def table(self) -> Table:
        """The table as it follows now; the one of before where nothing in it has changed."""
        differs = self._table is None
        for key in self._concerned():
            backend = self._backend(key)
            if backend != self._backends.get(key):
                differs = True
                if backend is None:
                    self._backends.pop(key, None)
                else:
                    self._backends[key] = backend
        self._dirty.clear()
        if self._table is None or differs:
            self._table = Table(self._backends.values(), self._own_hosts)
        return self._table

    def _backend(self, key: ServiceKey) -> Backend | None:
        """None: there is none of its own: where it has a part in the hub, that answers for it."""
        service = self.services.views.get(key)
        if service is None:
            return None
        part, whole = self.services.views.get(service.part), self._whole(service)
        if part is None or not part.is_part(service):
            made = self._own(service)
            return views.answering_for(made, self._own(whole)) if whole is not None and whole.placed else made
        return None if service.placed else views.joined(self._own(service), self._own(part))

    def _own(self, service: ServiceView) -> Backend:
        return views.backend(service, self.runtimes.api(service.runtime), self.slices.of(service.key))

    def _whole(self, service: ServiceView) -> ServiceView | None:
        """The service whose part it is."""
        found = self.services.views.get(ServiceKey(service.metadata.namespace, service.part_of))
        return found if found is not None and service.is_part(found) else None

    def _concerned(self) -> set[ServiceKey]:
        """The services of which something has changed, their parts, and those whose parts they are."""
        found = set(self._dirty)
        for key in self._dirty:
            service = self.services.views.get(key)
            if service is not None and service.part_of:
                self._wholes[key] = ServiceKey(key.namespace, service.part_of)
            whole = self._wholes.get(key) if service is not None else self._wholes.pop(key, None)
            found |= {ServiceKey(key.namespace, hub_name(key.name))} | ({whole} if whole is not None else set())
        return found


class Services:
    """The InferenceServices."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.views: dict[ServiceKey, ServiceView] = {}
        self._versions: dict[ServiceKey, str] = {}

    def put(self, raw: Object) -> None:
        """Take one in as it is now."""
        meta = raw["metadata"]
        key = ServiceKey(meta.get("namespace", "default"), meta["name"])
        version = str(meta.get("resourceVersion") or "")
        if version and self._versions.get(key) == version:
            return
        self._versions[key] = version
        try:
            view = views.service_view(raw)
        except ValidationError as error:
            stays = "it stays as it was read last" if key in self.views else "requests do not find it"
            log.warning("InferenceService %s/%s: %s; %s", *key, "; ".join(problems(error)[:3]), stays)
            return
        if view != self.views.get(key):
            self.views[key] = view
            self._state.touch(key)

    def remove(self, namespace: str, name: str, version: int = 0) -> None:
        """Forget one."""
        key = ServiceKey(namespace, name)
        self._versions.pop(key, None)
        if self.views.pop(key, None) is not None:
            self._state.touch(key)

    def names(self) -> Iterable[Name]:
        return list(self._versions)


class Runtimes:
    """The admin's ServingRuntimes, in front of those that are built in."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._built_in = {name: spec.engine for name, spec in runtimes().items()}
        self._engines: dict[str, str] = {}  # by name

    def put(self, raw: Object) -> None:
        """Take one in as it is now."""
        name, engine = raw["metadata"]["name"], views.engine_of(raw)
        if engine not in ENGINES:
            log.warning("ServingRuntime %s: spec.engine: %r is none of %s", name, engine, ", ".join(ENGINES))
        elif self._engines.get(name) != engine:
            self._engines[name] = engine
            self._touch(name)

    def remove(self, namespace: str, name: str, version: int = 0) -> None:
        """Forget one."""
        if self._engines.pop(name, None) is not None:
            self._touch(name)

    def names(self) -> Iterable[Name]:
        return [("", name) for name in self._engines]

    def api(self, runtime: str) -> Api:
        """What requests may reach of the engine of a runtime."""
        engine = self._engines.get(runtime) or self._built_in.get(runtime)
        return ENGINES[engine].api if engine is not None else views.ANY_ENGINE

    def _touch(self, name: str) -> None:
        self._state.touch(*(key for key, view in self._state.services.views.items() if view.runtime == name))


class Slices:
    """The EndpointSlices of revisions."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._views: dict[Name, SliceView] = {}
        self._by_service: dict[ServiceKey, dict[str, SliceView]] = {}  # and by name

    def put(self, raw: Object) -> None:
        """Take one in as it is now."""
        meta = raw["metadata"]
        where = meta.get("namespace", "default"), meta["name"]
        view = views.slice_view(raw)
        if view == self._views.get(where):
            return
        self.remove(*where)
        if view is not None:
            self._views[where] = view
            self._by_service.setdefault(view.key, {})[where[1]] = view
            self._state.touch(view.key)

    def remove(self, namespace: str, name: str, version: int = 0) -> None:
        """Forget one."""
        view = self._views.pop((namespace, name), None)
        if view is not None:
            own = self._by_service[view.key]
            del own[name]
            if not own:
                del self._by_service[view.key]
            self._state.touch(view.key)

    def names(self) -> Iterable[Name]:
        return list(self._views)

    def of(self, key: ServiceKey) -> list[SliceView]:
        """Those of a service, in one order."""
        own = self._by_service.get(key, {})
        return [own[name] for name in sorted(own)]


class Peers:
    """The EndpointSlices of the gateways' own Service."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._addresses: dict[Name, set[str]] = {}

    def put(self, raw: Object) -> None:
        """Take one in as it is now."""
        meta = raw["metadata"]
        where = meta.get("namespace", "default"), meta["name"]
        found = views.ready_addresses(raw)
        if self._addresses.get(where) != found:
            self._addresses[where] = found
            self._state.touch()

    def remove(self, namespace: str, name: str, version: int = 0) -> None:
        """Forget one."""
        if self._addresses.pop((namespace, name), None):
            self._state.touch()

    def names(self) -> Iterable[Name]:
        return list(self._addresses)

    def ready(self) -> int:
        """How many gateways are ready. At least one: whoever asks."""
        return max(1, len(set[Any]().union(*self._addresses.values())))
