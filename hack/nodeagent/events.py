"""Posts the events that kubelet would: one object for each thing that happens to a pod, counted when it repeats."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass

import aiohttp

from nodeagent.client import MERGE, ApiError, Client, Json
from nodeagent.pace import timestamp

logger = logging.getLogger(__name__)

WAITING, REMEMBERED = 1000, 4096  # events beyond these are dropped, and counted anew
KEPT_BACK = frozenset({404, 409, 403})  # the namespace goes away, or somebody removed the event


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a pod, seen from its node."""

    namespace: str
    pod: str
    uid: str
    node: str
    kind: str  # Normal or Warning
    reason: str
    message: str


class Recorder:
    """Writes events behind the pods' backs, in order, and never makes a pod wait."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: asyncio.Queue[Event] = asyncio.Queue(WAITING)
        self._seen: OrderedDict[Event, tuple[str, int]] = OrderedDict()  # name and count

    def post(self, event: Event) -> None:
        """Write `event` soon; drop it when too many wait."""
        if not self._queue.full():
            self._queue.put_nowait(event)

    async def run(self) -> None:
        """Write what is posted. Ends only by cancellation."""
        while True:
            event = await self._queue.get()
            try:
                await self._write(event)
            except ApiError as error:
                if error.status not in KEPT_BACK:
                    logger.warning("%s", error)
                self._seen.pop(event, None)
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.warning("posting an event for %s/%s: %s", event.namespace, event.pod, error)

    async def _write(self, event: Event) -> None:
        path = f"/api/v1/namespaces/{event.namespace}/events"
        name, count = self._seen.pop(event, ("", 0))
        if count:
            again: Json = {"count": count + 1, "lastTimestamp": timestamp()}
            await self._client.patch(f"{path}/{name}", again, MERGE)
        else:
            name = (await self._client.create(path, _body(event)))["metadata"]["name"]
        self._seen[event] = (name, count + 1)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def _body(event: Event) -> Json:
    now = timestamp()
    return {
        "metadata": {"generateName": f"{event.pod[:200]}.", "namespace": event.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": event.namespace,
            "name": event.pod,
            "uid": event.uid,
        },
        "type": event.kind,
        "reason": event.reason,
        "message": event.message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": "kubelet", "host": event.node},
    }
