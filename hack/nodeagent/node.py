"""One node of the bench and the pods that live on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from nodeagent.client import Json
from nodeagent.kubelet import Kubelet, Place
from nodeagent.logs import LogServer
from nodeagent.pod import ServedPod
from nodeagent.registration import Registration
from nodeagent.report import ReportedPod

logger = logging.getLogger(__name__)

Pod = ServedPod | ReportedPod
PodMaker = Callable[[Kubelet, Place, Json], Pod]


class Node:
    """A node: `place` says what it is, `pods` holds what runs on it, by uid."""

    def __init__(self, kubelet: Kubelet, place: Place, make_pod: PodMaker) -> None:
        self.place = place
        self.pods: dict[str, Pod] = {}
        self.lost = False
        self._kubelet = kubelet
        self._make_pod = make_pod
        self._registration = Registration(kubelet.client, place)
        self._logs = LogServer(kubelet.client.access, place.addresses.node, self._served)

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return self.place.name

    async def join(self, *, adopt: bool = False) -> None:
        """Register it, or with `adopt` take over the one of its name, and keep it alive from now on."""
        await self._logs.start()
        try:
            await self._registration.register(adopt=adopt)
        except BaseException:
            await self._logs.stop()
            raise

    async def lose(self) -> None:
        """Cut its power: no heart beat, no process, and nobody is told. The control plane finds out by itself."""
        self.lost = True
        await self._registration.stop_beating()
        await self._logs.stop()
        await self._end(list(self.pods))

    async def recover(self) -> None:
        """Boot it again: Ready at once, and the pods that still belong to it start once more."""
        self.lost = False
        await self._logs.start()
        await self._registration.beat_again()
        query = {"fieldSelector": f"spec.nodeName={self.name}"}
        for pod in (await self._kubelet.client.get("/api/v1/pods", **query))["items"]:
            self.see(pod)

    async def leave(self) -> None:
        """End everything on it and take it out of the cluster. The pods' objects stay, as after a power cut."""
        self.lost = True
        await self._logs.stop()
        await self._end(list(self.pods))
        await self._registration.remove()

    def see(self, pod: Json) -> None:
        """A pod is bound to it, or has changed."""
        if self.lost:
            return
        uid = pod["metadata"]["uid"]
        if uid in self.pods:
            self.pods[uid].update(pod)
            return
        try:
            self.pods[uid] = self._make_pod(self._kubelet, self.place, pod)
        except RuntimeError as error:  # no address left: the pod stays pending, as on a node that is full
            logger.warning("%s/%s: %s", pod["metadata"]["namespace"], pod["metadata"]["name"], error)

    async def keep_only(self, uids: Iterable[str]) -> None:
        """End the pods that are not among `uids`: their objects are gone."""
        await self._end(list(self.pods.keys() - set(uids)))

    def _served(self, namespace: str, name: str) -> ServedPod | None:
        pods = (pod for pod in self.pods.values() if (pod.namespace, pod.name) == (namespace, name))
        return next((pod for pod in pods if isinstance(pod, ServedPod)), None)

    async def _end(self, uids: list[str]) -> None:
        pods = [self.pods.pop(uid) for uid in uids if uid in self.pods]
        await asyncio.gather(*(pod.vanish() for pod in pods))

    async def gone(self, uid: str) -> None:
        """A pod's object is gone."""
        await self._end([uid])
