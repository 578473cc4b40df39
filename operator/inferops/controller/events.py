"""Kubernetes Events, deduplicated: the same thing said again raises a count and makes no second Event."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from inferops.api import API_VERSION
from inferops.controller.store import Key
from inferops.core.event import Event
from inferops.kube.client import Kube, KubeError
from inferops.kube.kinds import EVENT
from inferops.kube.owned import Object

log = logging.getLogger(__name__)

COMPONENT = "inferops"
REMEMBERED = 4096  # Events whose count is known; an older one starts again at 1
MESSAGE_LIMIT = 1000


@dataclass(slots=True)
class Recorder:
    """Writes Events beside a resource. An Event that cannot be written is logged and lost, nothing else."""

    kube: Kube
    now: Callable[[], datetime]
    _said: OrderedDict[str, tuple[int, str]] = field(default_factory=OrderedDict)  # count and first time by name

    async def record(self, key: Key, uid: str, events: Iterable[Event]) -> None:
        for event in events:
            try:
                await self._write(key, uid, event)
            except KubeError as error:
                log.warning("event %s for %s/%s is lost: %s", event.reason, key.namespace, key.name, error)

    async def _write(self, key: Key, uid: str, event: Event) -> None:
        kind = "Warning" if event.warning else "Normal"
        # Counts of restarts and the like go on for days: other numbers do not make it another Event.
        words = re.sub(r"\d+", "0", event.message)
        fingerprint = hashlib.sha256(f"{uid} {event.reason} {kind} {words}".encode()).hexdigest()[:16]
        name = f"{key.name}.{fingerprint}"
        stamp = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        count, first = self._said.get(name, (0, stamp))
        desired: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": key.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": key.kind,
                "namespace": key.namespace,
                "name": key.name,
                "uid": uid,
            },
            "type": kind,
            "reason": event.reason,
            "message": event.message[:MESSAGE_LIMIT],
            "firstTimestamp": first,
            "lastTimestamp": stamp,
            "count": count + 1,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
        }
        await self._say(desired, new=count == 0)
        self._said[name] = (count + 1, first)
        self._said.move_to_end(name)
        while len(self._said) > REMEMBERED:
            self._said.popitem(last=False)

    async def _say(self, desired: Object, *, new: bool) -> None:
        """Create the Event, which is cheaper than to apply it; one that is there already gets the new count."""
        if new:
            try:
                await self.kube.create(EVENT, desired)
                return
            except KubeError as error:
                if error.status != 409:
                    raise
        await self.kube.apply(EVENT, desired, force=True)
