"""Whether a request goes to another cluster, since it would wait here for longer than it should. Pure: times are
arguments.

Those that wait in the gateway are served one after the other, so who comes now waits for as long as that takes by the
mean time of a request of late, and at least for as long as nothing has moved. What waits in an engine shows in the
streams that have not begun: of a queue in which everybody waits for W, those in it have waited for W/2 on average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from inferops.gateway.table import Backend

SHARE = 0.1  # of queueTimeout that a request waits here, without an SLO: most of it is left for the way back
MOST = 0.5  # of queueTimeout, whatever the SLO says: likewise
GUEST = 0.5  # of what a request may wait here: one that another cluster passed on
HOLD = 1.0  # seconds, up to three times, for which a request that was spilled over counts as one that waits


class Why(StrEnum):
    """What is wrong here."""

    NO_REPLICA = "no_replica"  # there is none, or all of them are out
    QUEUE = "queue"  # it would wait for longer than it should
    FULL = "queue_full"  # as many wait as may


@dataclass(frozen=True, slots=True)
class Here:
    """What a request meets that came, or looks again, now."""

    replicas: int  # that are asked
    room: float = 0.0  # seconds that it would still wait in the gateway for one; 0: it need not, inf: none will come
    engine: float = 0.0  # and then in an engine for its turn
    full: bool = False  # it would wait, and may not


@dataclass(slots=True)
class Turn:
    """How one request waits that another cluster may answer."""

    allowed: float  # seconds
    elsewhere: Callable[[], bool]  # whether another cluster can be asked now
    placed: bool = False  # it had a place in the room, which it comes back to


def allowed(backend: Backend) -> float:
    """Seconds that a request may wait before other clusters are asked."""
    wanted = backend.ttft if backend.ttft is not None else SHARE * backend.queue_timeout
    return min(wanted, MOST * backend.queue_timeout)


def allowed_to_guest(backend: Backend, wait: float | None, stay: bool) -> float:
    """Likewise of one that another cluster's gateway passed on, which may wait for so long, and can wait nowhere else
    where it is to stay. It may wait for less than others of ours before these go elsewhere: no clusters exchange
    requests."""
    if stay:
        return backend.queue_timeout if wait is None else min(wait, backend.queue_timeout)
    own = GUEST * allowed(backend)
    return own if wait is None else min(wait, own)


def why(here: Here, allowed: float, waited: float = 0.0) -> Why | None:
    """Why a request that may wait for so many seconds, and has for some of them, should not wait here; None: it should,
    or need not wait."""
    if here.full:
        return Why.FULL
    ahead = here.room + here.engine
    if not ahead or waited + ahead <= allowed:
        return None
    return Why.QUEUE if here.replicas else Why.NO_REPLICA


def room(ahead: int, service: float, at_once: int, still: float) -> float:
    """Seconds until it is the turn of a request with so many before it, of which so many are answered at once, each in
    `service` seconds; nothing has moved for `still` seconds."""
    return max((ahead + 1) * service / max(at_once, 1), still)


class Firsts:
    """The streams at replicas whose first token has not come."""

    __slots__ = ("_began", "count")

    def __init__(self) -> None:
        self.count = 0
        self._began = 0.0  # sum of the moments when they began

    def begin(self, now: float) -> None:
        self.count += 1
        self._began += now

    def end(self, began: float) -> None:
        """One has its first token, or will never have one."""
        self.count -= 1
        self._began = self._began - began if self.count else 0.0

    def expected(self, replicas: int, now: float) -> float:
        """Seconds until the first token of a stream that begins now. One a replica is being worked on, and no queue."""
        if self.count <= replicas:
            return 0.0
        return max(2 * (now - self._began / self.count), 0.0)


class Lately:
    """How many there were in the last seconds, between one and three times HOLD."""

    __slots__ = ("_began", "_count", "_old")

    def __init__(self) -> None:
        self._began = -inf
        self._count = self._old = 0

    @property
    def until(self) -> float:
        """When all of them are forgotten, if no more come."""
        return self._began + 2 * HOLD

    def add(self, now: float) -> None:
        self._turn(now)
        self._count += 1

    def count(self, now: float) -> int:
        if now >= self.until:
            return 0
        return self._count + self._old if now - self._began < HOLD else self._count

    def _turn(self, now: float) -> None:
        if now - self._began < HOLD:
            return
        self._old = self.count(now)
        self._count, self._began = 0, now
