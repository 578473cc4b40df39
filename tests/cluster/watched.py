"""What the API server told of a namespace's services and pods, as it went along: a timeline to hold promises against.

Times are those at which the news arrived, in Unix seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from cluster.services import Json
from inferops.controller.views import REVISION_LABEL, SERVICE_LABEL
from inferops.kube.kinds import INFERENCE_SERVICE, POD, Kind
from nodeagent.client import Client
from nodeagent.watch import Changed, follow

OFTEN = 0.05  # seconds between two looks at what is known


@dataclass(frozen=True, slots=True)
class Moment:
    """A service as it was from some time on."""

    at: float
    service: Json

    @property
    def status(self) -> Json:
        return dict(self.service.get("status") or {})

    @property
    def judged(self) -> bool:
        """Whether the status is about the spec as it is."""
        return bool(self.status.get("observedGeneration") == self.service["metadata"]["generation"])

    @property
    def rollout(self) -> Json:
        return dict(self.status.get("rollout") or {})

    @property
    def phase(self) -> str:
        return str(self.rollout.get("phase", "Idle"))

    @property
    def step(self) -> str:
        """The phase, with the step's weight where it has one."""
        rollout = self.rollout
        return f"{self.phase} {rollout.get('weight', 0)} %" + (" paused" if rollout.get("paused") else "")

    @property
    def weights(self) -> dict[str, int]:
        """Percentages on record by hash, none of them 0."""
        revisions = self.status.get("revisions") or ()
        return {each["hash"]: each["weight"] for each in revisions if each.get("weight")}

    def condition(self, kind: str) -> Json:
        conditions = self.status.get("conditions") or ()
        return next((each for each in conditions if each["type"] == kind), {})

    def conditions(self) -> dict[str, str]:
        return {each["type"]: each["status"] for each in self.status.get("conditions") or ()}


@dataclass(slots=True)
class PodTrace:
    """A pod from its creation to its end."""

    name: str
    uid: str
    service: str
    revision: str
    seen: float
    ready: float | None = None  # when it was first
    unready: float | None = None  # when it was not any more, though nobody had deleted it
    deleted: float | None = None
    gone: float | None = None
    restarts: int = 0
    ends: dict[float, str] = field(default_factory=dict)  # how its container ended, by when: whole seconds

    @property
    def there(self) -> bool:
        """Whether it is, and is to stay."""
        return self.deleted is None and self.gone is None

    @property
    def serving(self) -> bool:
        return self.there and self.ready is not None and self.unready is None

    def take(self, pod: Json, now: float) -> None:
        """News of it."""
        status = pod.get("status") or {}
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ())
        if pod["metadata"].get("deletionTimestamp"):
            self.deleted = self.deleted or now
        elif ready:
            self.ready, self.unready = self.ready or now, None
        elif self.ready is not None:
            self.unready = self.unready or now
        for container in status.get("containerStatuses") or ():
            self.restarts = max(self.restarts, container.get("restartCount", 0))
            for state in (container.get("lastState"), container.get("state")):
                ended = (state or {}).get("terminated")
                if ended and self.deleted is None:
                    self.ends[datetime.fromisoformat(ended["finishedAt"]).timestamp()] = str(ended["reason"])


class Watched:
    """The services and pods of a namespace, for as long as the context lasts."""

    def __init__(self, api: Client, namespace: str) -> None:
        self.moments: dict[str, list[Moment]] = defaultdict(list)
        self.pods: dict[str, PodTrace] = {}  # by uid
        self._api, self._namespace = api, namespace

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._follow(INFERENCE_SERVICE, self._service)),
            asyncio.create_task(self._follow(POD, self._pod)),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def until(self, what: str, true: Callable[[], object], within: float) -> float:
        """Wait until something is so; returns when it was. Raises TimeoutError that names `what`."""
        try:
            async with asyncio.timeout(within):
                while not true():
                    for task in self._tasks:
                        if task.done():
                            task.result()  # which raises
                    await asyncio.sleep(OFTEN)
        except TimeoutError:
            raise TimeoutError(f"{what}: not within {within:.0f} s") from None
        return time.time()

    def pods_of(self, service: str, revision: str = "") -> list[PodTrace]:
        """All that there were."""
        found = (pod for pod in self.pods.values() if pod.service == service)
        return [pod for pod in found if revision in ("", pod.revision)]

    async def _follow(self, kind: Kind, take: Callable[[str, Json], None]) -> None:
        async for news in follow(self._api, kind.path(self._namespace), {}):
            for change in [news] if isinstance(news, Changed) else [Changed("MODIFIED", each) for each in news.items]:
                take(change.kind, change.object)

    def _service(self, kind: str, service: Json) -> None:
        self.moments[service["metadata"]["name"]].append(Moment(time.time(), service))

    def _pod(self, kind: str, pod: Json) -> None:
        meta, now = pod["metadata"], time.time()
        labels = meta.get("labels") or {}
        if meta["uid"] not in self.pods:
            service, revision = labels.get(SERVICE_LABEL, ""), labels.get(REVISION_LABEL, "")
            self.pods[meta["uid"]] = PodTrace(meta["name"], meta["uid"], service, revision, now)
        trace = self.pods[meta["uid"]]
        trace.take(pod, now)
        if kind == "DELETED":
            trace.gone = now
