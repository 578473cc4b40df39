"""What was asked of one service, in numbers that only grow: as a gateway tells it, and added up over several."""

from __future__ import annotations

from typing import NamedTuple


class Totals(NamedTuple):
    """Since whoever counts began. Gateways tell them in this order."""

    arrivals: float = 0  # requests that came, with those turned away for want of room; retries count once
    ended: float = 0  # requests that replicas ended
    busy: float = 0.0  # request-seconds at replicas
    queued: float = 0.0  # request-seconds in the gateways' queues
    tokens_in: float = 0  # of prompts of requests that ended
    tokens_out: float = 0  # of their answers
    counted: float = 0  # requests whose tokens the engine told
    ttft: float = 0.0  # seconds from arrival to first token, of all of which they are known
    firsts: float = 0  # how many those are
    tpot: float = 0.0  # seconds from one token to the next on average, likewise
    paced: float = 0
    judged: float = 0  # requests judged by the SLO as their clients saw them
    missed: float = 0
    spilled: float = 0  # requests that came, and that another cluster has begun to answer; no arrivals here


NONE = Totals()
FIELDS = len(Totals._fields)
