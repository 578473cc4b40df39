"""Where replicas find room: nodes of clusters, those that are there and those that an autoscaler adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from inferops.simulate.scaling.scenario import ClusterFigures

NODE_GPUS = 8
KEPT = 600.0  # seconds that an added node stays when nothing is on it


class Node:
    """One node, of a size for a number of replicas."""

    __slots__ = ("added", "cluster", "empty", "pulled", "room", "size", "up")

    def __init__(self, cluster: ClusterFigures, size: int, up: float = 0.0, added: bool = False) -> None:
        self.cluster = cluster
        self.size = size  # replicas
        self.room = size  # that it can still take
        self.up = up  # since when it is, or will be, there
        self.added = added
        self.pulled: float | None = None  # since when the image is, or will be, there
        self.empty = inf  # since when nothing is on it


class Places:
    """The nodes of all clusters, the cheapest clusters first."""

    def __init__(self, clusters: Sequence[ClusterFigures], gpus: int, delay: Callable[[], float]) -> None:
        """`gpus`: of one replica. `delay`: seconds until a node that is asked for is there, each time drawn anew."""
        self._each = max(1, NODE_GPUS // gpus)  # replicas on a node
        self._delay = delay
        self._nodes: dict[str, list[Node]] = {}
        self._lost: set[str] = set()
        self._clusters = sorted(clusters, key=lambda cluster: cluster.price)
        for cluster in self._clusters:
            self._nodes[cluster.name] = [Node(cluster, size) for size in self._sizes(cluster.replicas)]

    def take(self, now: float) -> Node | None:
        """Room for one replica; None: there is none, and none to be added."""
        for cluster in self._clusters:
            if cluster.name not in self._lost and (node := self._in(cluster, now)) is not None:
                node.room -= 1
                node.empty = inf
                return node
        return None

    def give_back(self, node: Node, now: float) -> None:
        """A replica is gone from `node`."""
        node.room += 1
        if node.room == node.size:
            node.empty = now

    def lose(self, name: str) -> None:
        """A cluster is gone, with the nodes that were added to it and the images on all others."""
        self._lost.add(name)
        self._nodes[name] = [node for node in self._nodes[name] if not node.added]
        for node in self._nodes[name]:
            node.pulled = None

    def find(self, name: str) -> None:
        """It is there again."""
        self._lost.discard(name)

    def _in(self, cluster: ClusterFigures, now: float) -> Node | None:
        """The first node with room: those with the image before others, and those that are there before new ones."""
        nodes = [node for node in self._nodes[cluster.name] if not node.added or now - node.empty < KEPT]
        self._nodes[cluster.name] = nodes
        open_ = [node for node in nodes if node.room]
        if open_:
            return min(open_, key=lambda node: (node.up > now, node.pulled is None))
        more = cluster.provisioned - sum(node.size for node in nodes if node.added)
        if more <= 0:
            return None
        node = Node(cluster, min(self._each, more), now + self._delay(), added=True)
        nodes.append(node)
        return node

    def _sizes(self, replicas: int) -> list[int]:
        whole, rest = divmod(replicas, self._each)
        return [self._each] * whole + ([rest] if rest else [])
