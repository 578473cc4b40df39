"""Plays kubelet for one pod: network, init containers, containers, its status all along, and its deletion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from nodeagent.client import ApiError, Json
from nodeagent.events import Event
from nodeagent.faults import Orders
from nodeagent.kubelet import Kubelet, Place
from nodeagent.lifecycle import ContainerLife
from nodeagent.pace import timestamp
from nodeagent.process import Process
from nodeagent.references import Missing, check_volumes
from nodeagent.status import Container, PodFacts, pod_status
from nodeagent.writer import StatusWriter, take_out

logger = logging.getLogger(__name__)

VOLUME_RETRY = 10.0  # seconds


class ServedPod:
    """A pod whose containers run. Faults on demand: `crash` and `hang`."""

    def __init__(self, kubelet: Kubelet, place: Place, pod: Json) -> None:
        self.kubelet = kubelet
        self.place = place
        self.pod = pod
        self.address = ""
        self.uid: str = pod["metadata"]["uid"]
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        self._path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self._since = (pod.get("status") or {}).get("startTime") or timestamp()
        self._orders = Orders()
        self._init = self._lives("initContainers", "initContainerStatuses")
        self._main = self._lives("containers", "containerStatuses")
        self._writer = StatusWriter(kubelet.client, self._path, self.uid, self._status)
        self._deleted = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"{self.namespace}/{self.name}")

    def life(self, container: str | None = None) -> ContainerLife:
        """A container by name; the first when left out. Raises KeyError when there is none of that name."""
        if container is None:
            return self._main[0]
        return {life.shown.name: life for life in (*self._init, *self._main)}[container]

    def crash(self, code: int = 1, container: str | None = None) -> None:
        """End a container's process at once with `code`. Raises RuntimeError when none runs."""
        self._running(container).crash(code)

    def hang(self, container: str | None = None) -> None:
        """Let a container's process answer nothing any more. Raises RuntimeError when none runs."""
        self._running(container).hang()

    def log(self, container: str | None = None) -> Sequence[str]:
        """The lines that a container's process wrote since its last start."""
        return self.life(container).log

    def update(self, pod: Json) -> None:
        """The pod object changed."""
        before, self.pod = self.pod, pod
        if "deletionTimestamp" not in pod["metadata"]:
            self._strike(starting=False)
            if _gates(pod) != _gates(before):
                self.changed()
            return
        grace = pod["metadata"].get("deletionGracePeriodSeconds") or 0
        if self._deleted.is_set() and grace < (before["metadata"].get("deletionGracePeriodSeconds") or 0):
            asyncio.get_running_loop().call_later(self.kubelet.pace.real(grace), self._kill)
        self._deleted.set()

    async def vanish(self) -> None:
        """The pod object or the node is gone: end everything at once and write nothing more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def changed(self) -> None:
        """A container's state changed: the status has to be written."""
        self._writer.changed()

    def started(self, life: ContainerLife) -> None:
        """A container's process was started: faults that were ordered before strike now."""
        if life is self._main[0]:
            self._strike(starting=True)

    def tell(self, kind: str, reason: str, message: str) -> None:
        """Post an event."""
        self.kubelet.events.post(Event(self.namespace, self.name, self.uid, self.place.name, kind, reason, message))

    def accelerators(self, spec: Json) -> tuple[str | None, int]:
        """Which accelerator of the node the container has, and how many."""
        limits = (spec.get("resources") or {}).get("limits") or {}
        count = sum(int(limits.get(resource, 0)) for resource in self.place.profile.devices)
        return (self.place.profile.accelerator if count else None), count

    def _running(self, container: str | None) -> Process:
        life = self.life(container)
        if life.process is None or not life.runs:
            raise RuntimeError(f"{self.namespace}/{self.name}: {life.shown.name} does not run; wait until it does")
        return life.process

    def _strike(self, *, starting: bool) -> None:
        life = self._main[0]
        if life.process is None or not life.runs:
            return
        for fault in self._orders.due(self.pod, starting=starting):
            if fault.code is None:
                life.process.hang()
            else:
                life.process.crash(fault.code)

    def _lives(self, specs: str, statuses: str) -> list[ContainerLife]:
        spec = self.pod["spec"]
        known = {status["name"]: status for status in (self.pod.get("status") or {}).get(statuses) or []}
        reason = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        policy, init = spec.get("restartPolicy", "Always"), specs == "initContainers"
        lives = []
        for part in spec.get(specs) or []:
            sidecar = init and part.get("restartPolicy") == "Always"
            own = "Always" if sidecar else "OnFailure" if init and policy == "Always" else policy
            shown = Container.resumed(part, known.get(part["name"]), reason, sidecar=sidecar)
            lives.append(ContainerLife(self, part, shown, policy=own, finite=own != "Always"))
        return lives

    def _status(self, written: list[Json]) -> Json:
        pod = self.pod
        gates = tuple(gate["conditionType"] for gate in pod["spec"].get("readinessGates") or [])
        facts = PodFacts(
            generation=pod["metadata"].get("generation", 1),
            restart_policy=pod["spec"].get("restartPolicy", "Always"),
            start_time=self._since,
            host_address=self.place.addresses.node,
            address=self.address or None,
            readiness_gates=gates,
        )
        before = [*((pod.get("status") or {}).get("conditions") or []), *written]
        init, main = ([life.shown for life in lives] for lives in (self._init, self._main))
        return pod_status(facts, init, main, before, timestamp())

    async def _run(self) -> None:
        tasks = [asyncio.create_task(part()) for part in (self._live, self._writer.run, self._deleted.wait)]
        living, writing, deleted = tasks
        try:
            if "deletionTimestamp" in self.pod["metadata"]:
                self._deleted.set()
            await asyncio.wait({writing, deleted}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                await self._terminate()
                await living
                await self._remove()
        except Exception:
            logger.exception("%s/%s: its node failed it", self.namespace, self.name)
        finally:
            self._kill()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(life.freed() for life in (*self._main, *self._init)))
            if self.address:
                self.place.addresses.release(self.address)

    async def _live(self) -> None:
        try:
            await self._bring_up()
        except Exception:
            logger.exception("%s/%s: its node failed it", self.namespace, self.name)

    async def _bring_up(self) -> None:
        """Bring it up and keep it up. Returns when all its containers have ended for good."""
        if (self.pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") or self._deleted.is_set():
            return
        self.changed()
        await self._mount()
        self.address = self.place.addresses.take((self.pod.get("status") or {}).get("podIP"))
        self.changed()
        async with asyncio.TaskGroup() as group:
            if await self._initialize(group):
                await asyncio.gather(*(life.run() for life in self._main))
            for life in self._init if not self._deleted.is_set() else ():  # what is left of them are sidecars
                await life.stop(self._grace())

    async def _mount(self) -> None:
        """Wait for the Secrets and ConfigMaps of its volumes."""
        while not self._deleted.is_set():
            try:
                return await check_volumes(self.kubelet.client, self.pod)
            except (Missing, ApiError) as error:
                self.tell("Warning", "FailedMount", str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.kubelet.pace.real(VOLUME_RETRY)):
                        await self._deleted.wait()

    async def _initialize(self, group: asyncio.TaskGroup) -> bool:
        """Run the init containers one after the other, and start the sidecars. Returns whether all went well."""
        for life in self._init:
            if life.shown.sidecar:
                running = group.create_task(life.run())
                up = asyncio.create_task(life.up.wait())
                await asyncio.wait({running, up}, return_when=asyncio.FIRST_COMPLETED)
                up.cancel()
            else:
                await life.run()
                if life.shown.exit_code != 0:
                    return False
        return True

    def _grace(self) -> float:
        meta = self.pod["metadata"]
        usual = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        return float(meta.get("deletionGracePeriodSeconds", usual) or 0)

    async def _terminate(self) -> None:
        """Stop the containers within the grace that the deletion gave, the sidecars last."""
        clock, grace = asyncio.get_running_loop().time, self._grace()
        begun = clock()
        for lives in (self._main, self._init[::-1]):
            spent = (clock() - begun) * self.kubelet.pace.scale
            await asyncio.gather(*(life.stop(max(grace - spent, 0.0)) for life in lives))

    def _kill(self) -> None:
        for life in (*self._main, *self._init):
            life.kill()

    async def _remove(self) -> None:
        """Write how it ended, then take the object out of the API."""
        await take_out(self.kubelet.client, self._path, self.uid, self._writer.write)


def _gates(pod: Json) -> dict[str, str]:
    """The conditions that others set, by type."""
    wanted = {gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []}
    conditions = (pod.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition["status"] for condition in conditions if condition["type"] in wanted}
