"""Which replicas must be asked whether they live, and what follows from what they say. No I/O.

`/health` of an engine answers 200 while the engine behind it hangs. So a replica is judged by what comes from it: one
that owes answers and has shown no sign of life for SUSPECT seconds is asked something real (probing.py). One that then
says nothing at all is out, and its requests are given up; one that is only slow is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from math import inf

from inferops.gateway.balance.breaker import Cause
from inferops.gateway.balance.member import Member
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.pool import Pool

SUSPECT = 3.0  # seconds without a sign of life
# Seconds after which one that answered is asked again if it shows nothing else. With SUSPECT, the 5 s of a probe and
# the time between looks, one that hangs right after it answered is still out within 10 s.
ASSURED = 4.0
SILENT_CAUSES = (Cause.UNREACHABLE, Cause.HUNG)


class Verdict(StrEnum):
    """What a replica said when it was asked."""

    ALIVE = "alive"  # an answer, and be it that the question was bad
    BUSY = "busy"  # no answer in time, though its engine works
    FULL = "full"  # that it takes no more now
    FAILING = "failing"  # an error of its own
    UNREACHABLE = "unreachable"  # it takes no connection, or drops it
    SILENT = "silent"  # nothing


BLAMED = {Verdict.FAILING: Outcome.FAILED, Verdict.UNREACHABLE: Outcome.UNREACHABLE}


def suspects(pool: Pool, now: float) -> Iterator[Member]:
    """The replicas to ask now: those that owe a sign of life, and those that are out until they give one."""
    for member in pool.members():
        owes = now - member.quiet >= SUSPECT
        out = member.breaker.cause in SILENT_CAUSES and member.breaker.due(now)
        if (owes or out) and not member.probing:
            yield member


def judge(pool: Pool, member: Member, verdict: Verdict, quiet: float, now: float) -> None:
    """Act on what a replica said. `quiet`: its `Member.quiet` when it was asked."""
    if verdict is Verdict.SILENT and member.quiet == quiet:
        _give_up(member, now)
    else:
        _heard(pool, member, verdict, now)
    pool.settle(member)


def _give_up(member: Member, now: float) -> None:
    member.breaker.open(Cause.HUNG, now)
    member.quiet = inf
    for held in list(member.held):
        held.lose()


def _heard(pool: Pool, member: Member, verdict: Verdict, now: float) -> None:
    """It said something, or something came from it meanwhile."""
    breaker = member.breaker
    member.quiet = now + ASSURED - SUSPECT if member.in_flight else inf
    if breaker.cause in SILENT_CAUSES:
        if verdict is Verdict.ALIVE:
            breaker.answered(now)
        else:
            breaker.open(breaker.cause, now)
    elif breaker.cause is None and verdict in BLAMED:
        pool.blame(member, BLAMED[verdict])
