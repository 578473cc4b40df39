"""Says of a pod that it runs without running anything: one write a pod, for tests of scale."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from nodeagent.client import Json
from nodeagent.faults import Orders
from nodeagent.kubelet import Kubelet, Place
from nodeagent.pace import timestamp
from nodeagent.status import Container, PodFacts, pod_status, running, terminated, waiting
from nodeagent.writer import StatusWriter, take_out

logger = logging.getLogger(__name__)


class ReportedPod:
    """A pod that is ready `delay` seconds of its time after it was seen, and gone as soon as it is deleted."""

    def __init__(self, kubelet: Kubelet, place: Place, pod: Json, delay: float) -> None:
        self.kubelet = kubelet
        self.place = place
        self.uid: str = pod["metadata"]["uid"]
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        before = pod.get("status") or {}
        known = {status["name"]: status for status in before.get("containerStatuses") or []}
        self._containers = [
            Container.resumed(spec, known.get(spec["name"]), "ContainerCreating") for spec in pod["spec"]["containers"]
        ]
        self._up_already = before.get("phase") == "Running" and all(status["ready"] for status in known.values())
        self._since = before.get("startTime") or timestamp()
        self._generation = pod["metadata"].get("generation", 1)
        self._orders = Orders()
        self.address = place.addresses.take(before.get("podIP"))
        self._path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self._writer = StatusWriter(kubelet.client, self._path, self.uid, self._status)
        self._deleted = asyncio.Event()
        self._task = asyncio.create_task(self._run(delay), name=f"{self.namespace}/{self.name}")
        self.update(pod)

    def crash(self, code: int = 1, container: str | None = None) -> None:
        """Report that its containers ended with `code` and wait to be started again; they stay so."""
        now = timestamp()
        for shown in self._containers:
            shown.last_state = terminated(code, now, now)
            shown.state = waiting("CrashLoopBackOff", f"back-off 5m0s restarting failed container={shown.name}")
            shown.ready = shown.started = False
            shown.restarts += 1
        self._writer.changed()

    def hang(self, container: str | None = None) -> None:
        """Report that its containers run and are not ready."""
        for shown in self._containers:
            shown.ready = False
        self._writer.changed()

    def log(self, container: str | None = None) -> Sequence[str]:
        """Nothing: nothing runs."""
        return ()

    def update(self, pod: Json) -> None:
        """The pod object changed."""
        self._generation = pod["metadata"].get("generation", 1)
        if "deletionTimestamp" in pod["metadata"]:
            self._deleted.set()
            return
        for fault in self._orders.due(pod):
            if fault.code is None:
                self.hang()
            else:
                self.crash(fault.code)

    async def vanish(self) -> None:
        """The pod object or the node is gone: write nothing more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, delay: float) -> None:
        writing = asyncio.create_task(self._writer.run())
        deleted = asyncio.create_task(self._deleted.wait())
        try:
            await asyncio.wait({deleted}, timeout=self.kubelet.pace.real(delay))
            if not deleted.done():
                self._bring_up()
                await asyncio.wait({deleted, writing}, return_when=asyncio.FIRST_COMPLETED)
            if deleted.done():
                await self._remove()
        except Exception:
            logger.exception("%s/%s: its node failed it", self.namespace, self.name)
        finally:
            writing.cancel()
            deleted.cancel()
            await asyncio.gather(writing, deleted, return_exceptions=True)
            self.place.addresses.release(self.address)

    def _bring_up(self) -> None:
        if self._up_already:
            return
        for shown in self._containers:
            if not shown.last_state:  # else it was made to crash meanwhile
                shown.state = running(timestamp())
                shown.ready = shown.started = True
        self._writer.changed()

    async def _remove(self) -> None:
        await take_out(self.kubelet.client, self._path, self.uid)

    def _status(self, written: list[Json]) -> Json:
        facts = PodFacts(
            generation=self._generation,
            restart_policy="Always",
            start_time=self._since,
            host_address=self.place.addresses.node,
            address=self.address,
        )
        return pod_status(facts, (), self._containers, written, timestamp())
