"""The store's objects of one kind, as `kube.mirror` keeps a copy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inferops.controller.queue import Queue
from inferops.controller.store import Key, Store
from inferops.kube.kinds import Kind
from inferops.kube.owned import Object


@dataclass(frozen=True, slots=True)
class StoreCopy:
    """Puts what is told of a kind into the store, and the keys that it concerns into the queue."""

    store: Store
    queue: Queue[Key]
    kind: Kind

    def put(self, raw: Object) -> None:
        self._tell(self.store.put(self.kind, raw))

    def remove(self, namespace: str, name: str, version: int) -> None:
        self._tell(self.store.remove(self.kind, namespace, name, not_after=version))

    def names(self) -> Iterable[tuple[str, str]]:
        return self.store.names(self.kind)

    def _tell(self, keys: set[Key]) -> None:
        for key in keys:
            self.queue.add(key)
