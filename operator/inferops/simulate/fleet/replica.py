"""One simulated replica: where it is, since when, and the engine in it."""

from __future__ import annotations

from enum import Enum

from inferops.simulate.batching import Batch
from inferops.simulate.fleet.places import Node
from inferops.simulate.runs import RunCache
from inferops.simulate.scaling.scenario import EngineFigures


class Stage(Enum):
    """Of a replica's life."""

    HOMELESS = "homeless"  # there is no node for it
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"  # takes no request any more
    GONE = "gone"


class Replica:
    """One replica. Times are seconds since the run began."""

    __slots__ = ("batch", "created", "delay", "in_flight", "node", "number", "placed", "stage")

    def __init__(self, number: int, created: float, figures: EngineFigures) -> None:
        self.number = number
        self.created = created
        self.placed = created  # when a node was found for it: billed from then on
        self.node: Node | None = None
        self.stage = Stage.HOMELESS
        self.in_flight = 0  # requests
        self.delay = 0.0  # seconds that a request takes there and back
        self.batch = Batch(
            figures.timing,
            figures.kv_tokens,
            max_num_seqs=figures.max_num_seqs,
            token_budget=figures.token_budget,
            block_size=figures.block_size,
            cache=RunCache,
        )
