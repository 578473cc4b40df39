"""The live state of one service: which replica gets a request, who waits for one, and which are not to be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection

from inferops.gateway.outcome import Outcome
from inferops.gateway.table import Backend, Replica, Revision


class Lease:
    """The right to send one request to one replica. It must be given back with `done`.

    Where the replica is judged hung, `lost` turns True and `on_lost` is called, once. The attempt must end then:

        async with asyncio.timeout_at(deadline) as limit:
            lease.on_lost = lambda: limit.reschedule(loop.time())
            ...
        # on TimeoutError: the replica hangs where lease.lost, else the time is up; both are Outcome.TIMEOUT
    """

    revision: Revision
    replica: Replica
    queued: float  # seconds in the room
    lost: bool
    on_lost: Callable[[], None] | None

    def progress(self) -> None:
        """Bytes came from the replica: it lives."""
        raise NotImplementedError

    def done(self, outcome: Outcome) -> None:
        """The attempt ended; only the first call counts."""
        raise NotImplementedError


class Pool:
    """Live state of one service."""

    backend: Backend
    waiting: int  # requests in the room
    in_flight: int  # requests at replicas

    async def acquire(
        self, *, session: str | None, affinity: bytes | None, exclude: Collection[str] = (), waited: float = 0.0
    ) -> Lease:
        """A replica for one request; waits while there is none.

        `exclude` holds names of replicas that were asked already, `waited` the seconds of `queue_timeout` that
        earlier calls for the same request used up. Raises NoReplica: QueueFull, QueueTimeout, Asleep, NoOther or
        Withdrawn.
        """
        raise NotImplementedError

    def idle(self, now: float) -> float:
        """Seconds since a request was here last, or since the service is known; 0 while one is."""
        raise NotImplementedError
