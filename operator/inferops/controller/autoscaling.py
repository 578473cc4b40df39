"""What scaling is told of the world beyond Kubernetes' objects: the load, and what the leader remembers of its looks.

The leader's alone, in memory. What must outlive it stands in status.scaling.learned, which the first look after a
start goes by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from inferops.api.resources import InferenceService
from inferops.controller.asks import ask_of
from inferops.controller.following import Ask
from inferops.controller.store import Key, Store
from inferops.core import fleet
from inferops.core.load import Load
from inferops.core.observation import Looked, RevisionView

LONGEST = 60.0  # seconds before the newest sample at which a window begins at the earliest: what was before is past


class Loads(Protocol):
    """What was asked of each service, as `loads.Loads` counts it."""

    def want(self, key: Key, ask: Ask) -> None: ...

    def load(self, key: Key, since: float | None) -> tuple[Load | None, str]: ...

    def forget(self, key: Key) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to go by."""

    load: Load | None = None
    why: str = ""  # there is none
    looked: Looked = field(default_factory=Looked)


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """The leader's looks at all services."""

    loads: Loads
    store: Store
    _looked: dict[Key, Looked] = field(default_factory=dict[Key, Looked])

    def told(self, key: Key, service: InferenceService, revisions: Sequence[RevisionView], now: float) -> Told:
        """What was counted of a service since the last look at it, of which `now` is the next, in Unix seconds."""
        scaling = service.spec.scaling
        if not fleet.by_load(scaling):
            self.forget(key)
            return Told()
        looked = self._looked.get(key, Looked())
        queues = service.spec.scaling.mode == "queueDepth"  # requests wait within engines for the most part
        self.loads.want(key, replace(ask_of(self.store, service, revisions), queues=queues))
        since = None if looked.at is None else min(max(looked.at, now - LONGEST), now)
        load, why = self.loads.load(key, since)
        return Told(load, why, looked)

    def applied(self, key: Key, looked: Looked | None) -> None:
        """What was decided at a look is so by now: the next one goes on from there. None: there was no look."""
        if looked is not None:
            self._looked[key] = looked

    def forget(self, key: Key) -> None:
        """The service is gone, or does not follow its load any more."""
        self._looked.pop(key, None)
        self.loads.forget(key)
