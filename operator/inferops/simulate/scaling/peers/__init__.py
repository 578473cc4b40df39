"""Rules of other autoscalers, re-implemented from what their sources and documentation say, for comparison.

Each module is one of them: its settings as users know them, a rule that keeps its own memory, what its defaults are,
what somebody careful would set, and a grid of settings to tune over. `NAMES` lists them. A bound, `clairvoyant`, is no
rule and needs the demand itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inferops.simulate.scaling.peers import (
    aibrix,
    dynamo,
    hpa,
    keda,
    kpa,
    kubeai,
    ray,
    skyserve,
    static,
    wva,
)
from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.policy import Policy

Settings = Any  # of the peer's module; each peer has its own


@dataclass(frozen=True, slots=True)
class Peer:
    """One other autoscaler."""

    rule: Callable[[Settings], Policy]
    defaults: Callable[
        [PeerGoals], Settings
    ]  # its own, with the targets that it leaves to users set to what is carried
    sensible: Callable[[PeerGoals], Settings]
    grid: Callable[[PeerGoals], list[Settings]]


PEERS: dict[str, Peer] = {
    "hpa": Peer(hpa.Hpa, hpa.defaults, hpa.sensible, hpa.grid),
    "kpa": Peer(kpa.Kpa, kpa.defaults, kpa.sensible, kpa.grid),
    "keda": Peer(keda.Keda, keda.defaults, keda.sensible, keda.grid),
    "kubeai": Peer(kubeai.KubeAi, kubeai.defaults, kubeai.sensible, kubeai.grid),
    "aibrix": Peer(aibrix.Apa, aibrix.defaults, aibrix.sensible, aibrix.grid),
    "aibrix-corrected": Peer(
        aibrix.Apa,
        lambda goals: aibrix.corrected(aibrix.defaults(goals)),
        lambda goals: aibrix.corrected(aibrix.sensible(goals)),
        lambda goals: [aibrix.corrected(settings) for settings in aibrix.grid(goals)],
    ),
    "wva": Peer(wva.Wva, wva.defaults, wva.sensible, wva.grid),
    "dynamo": Peer(dynamo.Dynamo, dynamo.defaults, dynamo.sensible, dynamo.grid),
    "ray": Peer(ray.RayServe, ray.defaults, ray.sensible, ray.grid),
    "skyserve": Peer(skyserve.SkyServe, skyserve.defaults, skyserve.sensible, skyserve.grid),
    "static": Peer(static.Static, static.defaults, static.sensible, static.grid),
}
NAMES = tuple(PEERS)


def peer(name: str, goals: PeerGoals) -> Policy:
    """The rule of that name as somebody careful would set it up. Raises ValueError where there is none."""
    found = _known(name)
    return found.rule(found.sensible(goals))


def peer_defaults(name: str, goals: PeerGoals) -> Policy:
    """The rule of that name with its own defaults. Raises ValueError where there is none."""
    found = _known(name)
    return found.rule(found.defaults(goals))


def _known(name: str) -> Peer:
    if name not in PEERS:
        raise ValueError(f"{name!r} is no autoscaler to compare with; there are {', '.join(NAMES)}")
    return PEERS[name]


__all__ = ["NAMES", "PEERS", "Peer", "PeerGoals", "peer", "peer_defaults"]
