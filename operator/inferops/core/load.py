"""What was asked of a service between two moments, over all of its replicas: what scaling goes by."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.core.signal import Source


@dataclass(frozen=True, slots=True)
class Load:
    """What was counted in (since, until], in Unix seconds. Counters that began anew within it count from 0.

    Nothing is negative. What a source cannot tell is None; a request-second is one request for one second.
    """

    since: float
    until: float
    source: Source
    arrivals: int  # requests that came, with those that were turned away for want of room; retries count once
    ended: int  # requests that replicas ended
    busy: float  # request-seconds at replicas, with those in their own queues
    queued: float = 0.0  # request-seconds in the gateways' queues
    waiting: int = 0  # requests in queues now: the gateways' and the engines'
    in_flight: int = 0  # requests at replicas now, with those in their own queues
    tokens_in: int | None = None  # of prompts of requests that ended
    tokens_out: int | None = None  # of their answers
    ttft: float | None = None  # mean seconds from arrival to first token
    tpot: float | None = None  # mean seconds from one token to the next
    judged: int = 0  # requests judged by the SLO as their clients saw them, waiting included
    missed: int = 0  # those of them that it was too slow for, or that were turned away for want of room
    spilled: int = 0  # requests that came, and that another cluster answers, where they count among arrivals

    @property
    def seconds(self) -> float:
        return self.until - self.since

    @property
    def demand(self) -> int:
        """Requests that clients sent here, whoever answers them, and those that other clusters passed on."""
        return self.arrivals + self.spilled
