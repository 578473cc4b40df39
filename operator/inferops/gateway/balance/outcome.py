"""How an attempt at a replica ended, and why no attempt was made."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How one attempt at one replica ended."""

    OK = "ok"
    FAILED = "failed"  # a 5xx of the engine, or an answer that broke off
    REFUSED = "refused"  # 429 or 503 of an engine that is full: no fault of it
    UNREACHABLE = "unreachable"  # no connection, or it was reset before any byte came
    TIMEOUT = "timeout"  # it took longer than allowed, or the replica was judged hung
    CLIENT = "client"  # a 4xx of the engine: the request's fault
    GONE = "gone"  # the client went away


class NoReplica(Exception):
    """No replica takes the request. `retry_after` is in whole seconds; the message is for people."""

    status = 503

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class QueueFull(NoReplica):
    """As many wait as may."""

    status = 429


class QueueTimeout(NoReplica):
    """It waited as long as it may."""


class TooLong(NoReplica):
    """It would wait for longer than it should, while another cluster may answer."""


class Asleep(NoReplica):
    """No replica will come, whoever waits."""


class NoOther(NoReplica):
    """All that could be asked have been asked and have answered: what they answered stands."""


class Withdrawn(NoReplica):
    """The service was deleted while the request waited."""
