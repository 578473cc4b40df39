"""The replicas of one revision: which of them gets a request.

With a key: consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): the first replica on the
ring from the key's place on that has no more than SLACK times its fair share of the requests in flight. Without: the
one with the fewest, equals in rotation. A replica that is half-open after errors gets one request to prove itself.

One that refuses, or fails without being out for it, answers faster than those that work, and would seem the least
loaded for ever. So it rests for a moment after each refusal, while another can take its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf

from inferops.gateway.balance.breaker import Cause
from inferops.gateway.balance.member import Balance, Member
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.ring import Ring

SLACK = (5, 4)  # 1.25 as a fraction: exact, so that all gateways agree
REST = 0.5  # seconds
NOT_MUCH = 0.5  # of the replicas may be out for their errors; more, and the fault is the revision's or the requests'


@dataclass(frozen=True, slots=True)
class Want:
    """What a request asks of a replica."""

    session: str | None = None
    key: bytes | None = None  # requests with the same belong on the same replica
    exclude: Collection[str] = ()  # names of replicas that it was at already


class Group:
    """The replicas of one revision that may get requests."""

    def __init__(self, turned: Callable[[Member], None]) -> None:
        """`turned` is called when a member is not asked any more, and when it is again."""
        self._turned = turned
        self.members: Mapping[str, Member] = {}  # by name
        # Each of them is in one of these.
        self._up = Balance()
        self._resting: dict[Member, float] = {}  # until when; the first is the first to end
        self._out: dict[Member, None] = {}  # those whose breaker is not closed
        self._ring: Ring | None = None

    def update(self, members: Iterable[Member], now: float) -> None:
        """These are the replicas from now on."""
        named = {member.replica.name: member for member in members}
        if named != self.members:
            if named.keys() != self.members.keys():
                self._ring = None  # made when it is needed: many services never do
            self.members = named
            self._sort_in()
        self._readmit(now)

    def choose(self, want: Want, limit: float, now: float) -> Member | None:
        """The replica for a request, if one has less than `limit` in flight. Asking commits to nothing."""
        if self._out and (trial := self._trial(want.exclude, limit, now)):
            return trial
        if not self._resting:
            return self._pick(want, limit)
        self._wake(now)
        member = self._pick(want, limit)
        if member is None:
            self._wake(inf)
            member = self._pick(want, limit)
        return member

    def take(self, member: Member, now: float) -> None:
        """A request goes to the member."""
        if member.breaker.cause is not None:
            member.breaker.trial = True
        self._load(member, 1)
        if member.quiet == inf:
            member.quiet = now

    def free(self, member: Member, outcome: Outcome, epoch: int, now: float) -> None:
        """A request that was taken in the breaker's `epoch` ended."""
        self._load(member, -1)
        member.breaker.ended(outcome, epoch, now, self._may_eject)
        self.settle(member)
        if (outcome is Outcome.REFUSED or member.breaker.spared) and self._is_up(member):
            self._up.remove(member)
            self._resting[member] = now + REST

    def blame(self, member: Member, outcome: Outcome, now: float) -> None:
        """The member, which is asked, failed without a request."""
        member.breaker.ended(outcome, member.breaker.epoch, now, self._may_eject)
        self.settle(member)

    def settle(self, member: Member) -> None:
        """The member's breaker may have opened or closed."""
        if self.members.get(member.replica.name) is not member:
            return
        closed = member.breaker.cause is None
        if closed and member in self._out:
            del self._out[member]
            self._up.add(member)
            self._turned(member)
        elif not closed and member not in self._out:
            if self._resting.pop(member, None) is None:
                self._up.remove(member)
            self._out[member] = None
            self._turned(member)

    @property
    def asked(self) -> int:
        """Replicas that are not out."""
        return len(self.members) - len(self._out)

    def others(self, exclude: Collection[str]) -> bool:
        """Whether a replica beside these is asked, be it full now."""
        return any(name not in exclude and m.breaker.cause is None for name, m in self.members.items())

    def _pick(self, want: Want, limit: float) -> Member | None:
        up = self._up
        if up.least >= limit or not up.size:
            return None
        if want.key is not None:
            return self._by_key(want.key, want.exclude, limit)
        member = up.pick(want.exclude)
        return member if member is not None and member.in_flight < limit else None

    def _by_key(self, key: bytes, exclude: Collection[str], limit: float) -> Member | None:
        size, total = self._up.size, self._up.total
        for name in exclude:
            if (member := self.members.get(name)) is not None and self._is_up(member):
                size, total = size - 1, total - member.in_flight
        if size == 0:
            return None
        bound = min(-(-SLACK[0] * (total + 1) // (SLACK[1] * size)), limit)
        if self._ring is None:
            self._ring = Ring(self.members)
        for name in self._ring.walk(key):
            member = self.members[name]
            if member.in_flight < bound and self._is_up(member) and name not in exclude:
                return member
        return None  # all have reached the limit

    def _trial(self, exclude: Collection[str], limit: float, now: float) -> Member | None:
        for member in self._out:
            failing = member.breaker.cause is Cause.ERRORS and member.breaker.due(now)
            if failing and member.in_flight < limit and member.replica.name not in exclude:
                return member
        return None

    def _wake(self, now: float) -> None:
        """End the rests that are over by then."""
        for member, until in list(self._resting.items()):
            if until > now:
                return
            del self._resting[member]
            self._up.add(member)

    def _is_up(self, member: Member) -> bool:
        if member in self._out or member in self._resting:
            return False
        return self.members.get(member.replica.name) is member

    def _load(self, member: Member, change: int) -> None:
        if self._is_up(member):
            self._up.load(member, change)
        else:
            member.in_flight += change

    def _sort_in(self) -> None:
        self._up, self._out, self._resting = Balance(), {}, {}
        for member in self.members.values():
            if member.breaker.cause is None:
                self._up.add(member)
            else:
                self._out[member] = None

    def _may_eject(self) -> bool:
        return self._failing() + 1 <= NOT_MUCH * len(self.members)

    def _failing(self) -> int:
        return sum(member.breaker.cause is Cause.ERRORS for member in self._out)

    def _readmit(self, now: float) -> None:
        """Where too many of those left are out for their errors, ask them again."""
        for member in list(self._out):
            if self._failing() <= NOT_MUCH * len(self.members):
                return
            if member.breaker.cause is Cause.ERRORS:
                member.breaker.answered(now)
                self.settle(member)
