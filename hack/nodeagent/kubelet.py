"""What pods are given to live on: what all nodes share, and the place that one node is."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from nodeagent.addresses import NodeAddresses
from nodeagent.client import Client
from nodeagent.events import Recorder
from nodeagent.images import Images
from nodeagent.pace import Pace
from nodeagent.process import Launcher
from nodeagent.profiles import NodeProfile


@dataclass(frozen=True, slots=True)
class Kubelet:
    """Handed to every pod. `engine_pace` scales what happens inside an engine."""

    client: Client
    events: Recorder
    images: Images
    launch: Launcher
    pace: Pace
    engine_pace: Pace
    session: aiohttp.ClientSession  # for probes
    load_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A node, as the pods on it see it."""

    name: str
    profile: NodeProfile
    addresses: NodeAddresses
