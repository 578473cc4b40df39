"""What a rule sees of a simulated service at each of its looks, and what every rule can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Seen:
    """A service at one moment of virtual time, and what was counted since the rule's last look. Times are seconds."""

    now: float  # since the run began
    since: float  # of the last look
    wanted: int  # replicas decided last
    ready: int
    starting: int  # made and not ready yet, those without a node among them
    homeless: int  # those for which there is no node
    started: tuple[float, ...]  # from creation to ready, of replicas that became ready since
    arrivals: int
    ended: int
    tokens_in: int  # of requests that ended
    tokens_out: int
    busy: float  # request-seconds at replicas, with those in their own queues
    queued: float  # request-seconds waiting: in the gateway or in engines' queues
    waiting: int  # now: in the gateway or in engines' queues
    running: int  # now: in engines' batches
    judged: int  # requests judged by the SLO, as clients saw them
    missed: int
    ttft: float | None  # mean; None: none had a first token
    tpot: float | None
    kv: float  # mean share of the KV caches that requests hold, now


class Policy(Protocol):
    """A rule. It keeps what it remembers itself; one instance serves one run."""

    name: str
    every: float  # seconds between two looks

    def look(self, seen: Seen) -> int:
        """Replicas wanted from now on, not below 0. The run keeps them within its bounds."""
        ...
