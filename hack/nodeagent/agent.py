"""Plays the kubelets of a set of GPU nodes: nodes come and go, and the pods on them live as on real ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import aiohttp

from nodeagent.addresses import ClusterAddresses, range_around
from nodeagent.client import Client, Json, load_kubeconfig
from nodeagent.engine import launch_engine
from nodeagent.events import Recorder
from nodeagent.images import Images
from nodeagent.kubelet import Kubelet, Place
from nodeagent.node import Node, Pod
from nodeagent.pace import Pace
from nodeagent.pod import ServedPod
from nodeagent.process import Launcher
from nodeagent.profiles import NodeProfile, parse_nodes
from nodeagent.report import ReportedPod
from nodeagent.watch import Listed, follow

logger = logging.getLogger(__name__)

Mode = Literal["serve", "report"]


class NodeAgent:
    """Fake GPU nodes on a real API server, for as long as the context lasts.

    `profiles` are NodeProfiles or texts such as `2x8xnvidia-h100-80gb` (see `parse_nodes`). In mode `serve` the
    containers run: vLLM and Triton as simulated engines on the pod's address, others idly. In mode `report` pods
    are only said to be ready, `ready_delay` seconds after they were bound.

    `load_seconds` is how long an engine takes to load, None leaves it to the size of its model. `time_scale` makes
    kubelet's waits (probes, back-offs, grace) and, unless `engine_time_scale` says else, the engines, their load
    included, that much faster. `cluster_range` is the /16 of the cluster; left out, the one around the API server's
    address. With `adopt` it takes over nodes of the names it would give, which an agent that was killed left behind.
    `launch` decides what a container's command runs.

    Raises ValueError for what it cannot understand and ApiError when the API server refuses a node.
    """

    def __init__(
        self,
        kubeconfig: str | Path,
        profiles: Iterable[NodeProfile | str] = ("1x8xnvidia-h100-80gb",),
        *,
        mode: Mode = "serve",
        load_seconds: float | None = None,
        time_scale: float = 1.0,
        engine_time_scale: float | None = None,
        ready_delay: float = 0.0,
        cluster_range: str | None = None,
        name_prefix: str = "",
        adopt: bool = False,
        context: str | None = None,
        launch: Launcher = launch_engine,
    ) -> None:
        self.images = Images()
        self._access = load_kubeconfig(kubeconfig, context)
        self._addresses = ClusterAddresses(cluster_range or range_around(self._access.host))
        self._wanted = [profile for given in profiles for profile in _profiles(given)]
        self._mode, self._ready_delay = mode, ready_delay
        self._pace = Pace(time_scale)
        self._engine_pace = Pace(time_scale if engine_time_scale is None else engine_time_scale)
        self._load_seconds = load_seconds
        self._prefix, self._adopt = name_prefix, adopt
        self._launch = launch
        self._kubelet: Kubelet | None = None
        self._nodes: dict[str, Node] = {}
        self._standing: dict[str, str | None] = {}  # nodes of others: name and pod range
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Register the nodes, and serve the pods on them from now on."""
        client = Client(self._access)
        probing = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        self._kubelet = Kubelet(
            client=client,
            events=Recorder(client),
            images=self.images,
            launch=self._launch,
            pace=self._pace,
            engine_pace=self._engine_pace,
            session=probing,
            load_seconds=self._load_seconds,
        )
        try:
            await self._look_around(client)
            await asyncio.gather(*(self._join(self._kubelet, profile) for profile in self._wanted))
        except BaseException:
            await self.stop()
            raise
        self._tasks = [asyncio.create_task(self._watch(client)), asyncio.create_task(self._kubelet.events.run())]

    async def stop(self) -> None:
        """End all processes and remove the nodes. The pods' objects stay, as after a power cut."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        leaving = [self.remove_node(name) for name in list(self._nodes)]
        for error in await asyncio.gather(*leaving, return_exceptions=True):
            if error:  # the API server may be gone before its nodes are
                logger.warning("removing a node: %s", error)
        if self._kubelet:
            await self._kubelet.session.close()
            await self._kubelet.client.close()

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return self._nodes

    @property
    def pods(self) -> Mapping[str, Pod]:
        """The pods on its nodes, by `namespace/name`."""
        return {f"{pod.namespace}/{pod.name}": pod for node in self._nodes.values() for pod in node.pods.values()}

    def node(self, name: str) -> Node:
        """A node, to be lost and recovered. Raises KeyError when there is none of that name."""
        return self._nodes[name]

    async def add_node(self, profile: NodeProfile | str) -> Node:
        """Let one more node join. Raises ValueError when `profile` is a text that means more or fewer than one."""
        if self._kubelet is None:
            raise RuntimeError("the agent was not started: use it with `async with`, or await start() first")
        (profile,) = _profiles(profile)
        await self._look_around(self._kubelet.client)
        return await self._join(self._kubelet, profile)

    async def remove_node(self, name: str) -> None:
        """Take a node out of the cluster. Raises KeyError when there is none of that name."""
        node = self._nodes.pop(name)
        await node.leave()
        self._addresses.release(node.place.addresses)

    def fail_pulls(self, glob: str) -> None:
        """Let pulls of images whose name matches `glob` fail from now on."""
        self.images.fail(glob)

    def allow_pulls(self, glob: str) -> None:
        """Take back `fail_pulls` with the same glob. Raises KeyError when there was none."""
        self.images.allow(glob)

    async def _look_around(self, client: Client) -> None:
        """Learn which nodes stand in the cluster, so as to keep clear of their names and addresses."""
        nodes = (await client.get("/api/v1/nodes"))["items"]
        self._standing = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in nodes}
        self._addresses.reserve(network for network in self._standing.values() if network)

    async def _join(self, kubelet: Kubelet, profile: NodeProfile) -> Node:
        name = self._name(profile)
        place = Place(name, profile, self._addresses.node(self._standing.get(name)))
        node = self._nodes[name] = Node(kubelet, place, self._make_pod)
        try:
            await node.join(adopt=name in self._standing)
        except BaseException:
            del self._nodes[name]  # it is not ours to remove
            raise
        return node

    def _name(self, profile: NodeProfile) -> str:
        names = (f"{self._prefix}{profile.short}-{number}" for number in count())
        return next(name for name in names if name not in self._nodes and (self._adopt or name not in self._standing))

    def _make_pod(self, kubelet: Kubelet, place: Place, pod: Json) -> Pod:
        if self._mode == "serve":
            return ServedPod(kubelet, place, pod)
        return ReportedPod(kubelet, place, pod, self._ready_delay)

    async def _watch(self, client: Client) -> None:
        async for event in follow(client, "/api/v1/pods", {"fieldSelector": "spec.nodeName!="}):
            if isinstance(event, Listed):
                uids = [pod["metadata"]["uid"] for pod in event.items]
                await asyncio.gather(*(node.keep_only(uids) for node in self._nodes.values()))
                for pod in event.items:
                    await self._see("ADDED", pod)
            else:
                await self._see(event.kind, event.object)

    async def _see(self, kind: str, pod: Json) -> None:
        node = self._nodes.get(pod["spec"].get("nodeName", ""))
        if node is None:
            return
        if kind == "DELETED":
            await node.gone(pod["metadata"]["uid"])
        else:
            node.see(pod)


def _profiles(given: NodeProfile | str) -> list[NodeProfile]:
    return parse_nodes(given) if isinstance(given, str) else [given]
