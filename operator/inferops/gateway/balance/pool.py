"""The live state of one service: which replica gets a request, who waits for one, and which are not to be asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from math import ceil, inf

from inferops.gateway.balance import spill
from inferops.gateway.balance.group import Group, Want
from inferops.gateway.balance.lease import Lease
from inferops.gateway.balance.level import Level
from inferops.gateway.balance.member import Member
from inferops.gateway.balance.outcome import Asleep, NoOther, Outcome, QueueFull, QueueTimeout, TooLong, Withdrawn
from inferops.gateway.balance.overflow import Overflow
from inferops.gateway.balance.patience import LONGEST, Patience
from inferops.gateway.balance.room import Room
from inferops.gateway.balance.spill import Here, Turn, Why
from inferops.gateway.balance.split import Split, entitled
from inferops.gateway.table import Backend, Replica, Revision

log = logging.getLogger(__name__)

PAUSE = 0.25  # seconds before a request comes back to a replica that did not take its connection


class Pool:
    """Live state of one service. `jitter` gives numbers in [0, 1)."""

    def __init__(
        self, backend: Backend, peers: int, clock: Callable[[], float], jitter: Callable[[], float],
        on_demand: Callable[[], None],
    ) -> None:  # fmt: skip
        self.backend = backend
        self.in_flight = 0  # requests at replicas
        self._busy = Level(clock())
        self.now = clock
        self._peers = peers
        self._jitter = jitter
        self._room: Room[Want, Lease] = Room(lambda lease: lease.done(Outcome.GONE), on_demand, clock)
        self._patience = Patience(clock)
        self._start = jitter()  # where turns begin: gateways do not all send their first request to the same replica
        self._split = Split(self._start)
        self._groups: dict[str, Group] = {}  # by hash of the revision
        self._revisions: dict[str, Revision] = {}
        self._leaving: dict[tuple[str, Replica], Member] = {}  # not in the table any more, with requests in flight
        self._limit = inf  # requests in flight of a replica, from this gateway
        self._used = self._moved = clock()  # when a request was here last; when one got a replica, or ended there
        self._closed = False
        self.overflow = Overflow(clock, jitter, self._too_long)
        self._on_demand = on_demand
        self.update(backend, peers)

    @property
    def waiting(self) -> int:
        """Requests in the room, and those that keep their place in it while another cluster is asked."""
        return len(self._room) + self.overflow.away

    def wanting(self, now: float) -> int:
        """Requests that wait, and those that would have had to, had another cluster not answered them of late."""
        return self.waiting + self.overflow.lately(now)

    def spent(self, now: float) -> tuple[float, float]:
        """Request-seconds at replicas and in the room, since this is known."""
        return self._busy.area(now), self._room.waited.area(now)

    def idle(self, now: float) -> float:
        """Seconds since a request was here last, or since the service is known; 0 while one is."""
        return 0.0 if self.in_flight or self.waiting else max(now - max(self._used, self.overflow.until), 0.0)

    def members(self) -> Iterator[Member]:
        """All replicas: those of the table, and those that left it with requests in flight."""
        for group in self._groups.values():
            yield from group.members.values()
        yield from self._leaving.values()

    async def acquire(
        self, *, session: str | None, affinity: bytes | None, exclude: Collection[str] = (), waited: float = 0.0,
        stream: bool = False, turn: Turn | None = None,
    ) -> Lease:  # fmt: skip
        """A replica for one request; waits while there is none.

        `session`: its requests stay on one revision and, where `affinity` is None, on one replica as far as its load
        allows. `affinity`: requests with the same go to the same replica, as far. `exclude` holds the names of
        replicas that were asked already, `waited` the seconds of `queue_timeout` that earlier calls for this request
        spent. `stream`: its first token will show. `turn`: another cluster may answer it. Raises NoReplica: QueueFull,
        QueueTimeout, Asleep, NoOther, Withdrawn or, with a turn, TooLong.
        """
        began = self._used = self.now()
        key = session.encode(errors="surrogateescape") if affinity is None and session is not None else affinity
        want = Want(session, key, frozenset(exclude) if exclude else ())
        if turn is not None:
            self.overflow.mind(turn, waited, self._asked())
        if lease := self._at_once(want):
            return self.overflow.given(lease, stream)
        if exclude and self._come_back(want.exclude):
            await asyncio.sleep(PAUSE)
            want = Want(session, key)
        lease = self._at_once(want) or await self._wait(want, waited + self.now() - began, turn)
        lease.queued = self.now() - began
        return self.overflow.given(lease, stream)

    def away(self, change: int) -> None:
        """A request begins (1) to be away, where another cluster is asked, or is so no more (-1)."""
        if change > 0 and not self._split.weights and not self.backend.asleep:
            self._patience.asked_at_zero()
        news = change > 0 and not self.wanting(self.now())
        self.overflow.away += change
        if news:
            self._on_demand()

    def spilled(self) -> None:
        """A request is answered by another cluster."""
        self._used = now = self.now()
        self.overflow.answered(now)

    def update(self, backend: Backend, peers: int) -> None:
        """Go by this from now on. What runs on replicas that went away goes on."""
        known = {(member.revision, member.replica): member for member in self.members()}
        self.backend, self._peers = backend, peers
        self.overflow.update(backend.spillover)
        self._limit = ceil(backend.max_concurrency / peers) if backend.max_concurrency else inf
        self._revisions = {revision.hash: revision for revision in backend.revisions}
        now = self.now()
        for name in self._groups.keys() - self._revisions.keys():
            self._groups[name].update((), now)  # leases hold on to it, and its members may be another's by then
        self._groups = {name: self._groups.get(name) or Group(self._tell) for name in self._revisions}
        for name, revision in self._revisions.items():
            members = [known.get((name, each)) or Member(each, name, self._jitter) for each in revision.replicas]
            first = int(self._start * len(members))
            self._groups[name].update(members[first:] + members[:first], now)
        here = {member for group in self._groups.values() for member in group.members.values()}
        self._leaving = {each: m for each, m in known.items() if m not in here and m.in_flight}
        staffed = [name for name, group in self._groups.items() if group.members]
        self._split.weights = entitled({name: each.weight for name, each in self._revisions.items()}, staffed)
        if staffed:
            self._patience.replica_came()
            self._serve()
        elif backend.asleep:
            self._room.fail(self._asleep)

    def close(self) -> None:
        """The service was deleted: nobody waits for it any more. What runs goes on."""
        self._closed = True
        self._room.fail(self._withdrawn)
        self.update(replace(self.backend, revisions=()), self._peers)

    def group(self, member: Member) -> Group | None:
        """The revision's replicas that a member is or was one of."""
        return self._groups.get(member.revision)

    def blame(self, member: Member, outcome: Outcome) -> None:
        """A member failed in a way that no request's outcome tells."""
        if (group := self.group(member)) is not None:
            group.blame(member, outcome, self.now())

    def settle(self, member: Member) -> None:
        """A member's breaker may have opened or closed."""
        if (group := self.group(member)) is not None:
            group.settle(member)
        self._serve()

    def returned(self, lease: Lease, outcome: Outcome) -> None:
        """A lease ended: whoever waits may have its place."""
        now = self._used = self._moved = self.now()
        self.in_flight -= 1
        self._busy.move(self.in_flight, now)
        if outcome is Outcome.OK:
            self._patience.served(now - lease.began)
        member = lease.member
        if self._leaving and not member.in_flight:
            self._leaving.pop((member.revision, member.replica), None)
        self._serve()

    def _at_once(self, want: Want) -> Lease | None:
        """A lease without waiting. Those who wait go first, should time alone have made a place free."""
        self._serve()
        return None if self._room else self._take(want)

    def _take(self, want: Want) -> Lease | None:
        """A lease, if a replica may be asked now."""
        now = self.now()
        found: dict[str, Member] = {}
        for name in self._split.weights:
            member = self._groups[name].choose(want, self._limit, now)
            if member is not None:
                found[name] = member
        if not found:
            return None
        chosen = self._split.choose(want.session, list(found))
        self.in_flight += 1
        self._moved = now
        self._busy.move(self.in_flight, now)
        return Lease(self, self._revisions[chosen], self._groups[chosen], found[chosen], now)

    def _serve(self) -> None:
        if self._room:
            self._room.serve(self._take_for_waiter, lambda want: bool(want.exclude))

    def _take_for_waiter(self, want: Want) -> Lease | None:
        if want.exclude and not self._others(want.exclude):  # they left while it waited: the same again, then
            want = replace(want, exclude=())
        return self._take(want)

    def _others(self, exclude: Collection[str]) -> bool:
        return any(self._groups[name].others(exclude) for name in self._split.weights)

    def _come_back(self, exclude: Collection[str]) -> bool:
        """Whether only replicas that were asked already are left, and did not answer.

        Where one did, its answer stands: the request gets none from another, and need not wait for that.
        """
        if self._others(exclude):
            return False
        asked = [member for member in self.members() if member.replica.name in exclude]
        if any(not member.unanswered for member in asked):
            raise NoOther(f"{self._name} has no other replica to ask")
        return bool(asked)

    def _here(self, ahead: int, placed: bool) -> Here:
        """What a request meets that has no replica at once, and so many before it."""
        replicas = self._asked()
        if replicas:
            room = spill.room(ahead, self._patience.service, self.in_flight, self.now() - self._moved)
        else:
            room = inf if self.backend.asleep or self._split.weights else self._patience.coming()
        return Here(replicas, room, full=not placed and self._is_full())

    def _asked(self) -> int:
        return sum(self._groups[name].asked for name in self._split.weights)

    def _is_full(self) -> bool:
        return self.waiting >= ceil(self.backend.max_queue / self._peers)

    async def _wait(self, want: Want, waited: float, turn: Turn | None) -> Lease:
        if self._closed:
            raise self._withdrawn()
        if turn is not None:
            self.overflow.consider(turn, waited, self._here(len(self._room), turn.placed))
        if not self._split.weights:
            if self.backend.asleep:
                raise self._asleep()
            self._patience.asked_at_zero()
        if self._is_full() and (turn is None or not turn.placed):
            raise self._full()
        left = self.backend.queue_timeout - waited
        if left <= 0:
            raise self._late()
        if turn is None:
            return await self._room.wait(want, left, self._late)
        since = self.now() - waited
        look = self.overflow.look(turn, since, lambda: self._here(0, True))
        return await self._room.wait(want, left, self._late, since, look)

    def _tell(self, member: Member) -> None:
        cause, replica = member.breaker.cause, f"{member.replica.name} at {member.replica.address}"
        if cause is None:
            log.info("%s: replica %s is asked again", self._name, replica)
        else:
            log.warning("%s: replica %s is not asked any more (%s)", self._name, replica, cause)

    @property
    def _name(self) -> str:
        return f"{self.backend.key.namespace}/{self.backend.key.name}"

    def _full(self) -> QueueFull:
        return QueueFull(f"{self.waiting} requests wait for {self._name}, as many as may", self._retry_after())

    def _late(self) -> QueueTimeout:
        allowed = f"{self.backend.queue_timeout:g} s"
        return QueueTimeout(f"no replica of {self._name} was free within {allowed}", self._retry_after())

    def _asleep(self) -> Asleep:
        return Asleep(self.backend.asleep, LONGEST)

    def _too_long(self, why: Why) -> TooLong:
        return TooLong(f"a request for {self._name} would wait longer than it should ({why})", self._retry_after())

    def _withdrawn(self) -> Withdrawn:
        return Withdrawn(f"{self._name} was deleted")

    def _retry_after(self) -> int:
        if not self._split.weights:
            return self._patience.until_replica()
        replicas = sum(len(self._groups[name].members) for name in self._split.weights)
        return self._patience.until_served(self.waiting, max(self.in_flight, replicas))
