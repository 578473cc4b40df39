"""The right to send one request to one replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from inferops.gateway.balance.group import Group
from inferops.gateway.balance.member import Member
from inferops.gateway.balance.outcome import Outcome
from inferops.gateway.balance.spill import Firsts
from inferops.gateway.table import Replica, Revision


class Owner(Protocol):
    """The pool that gave the lease."""

    @property
    def now(self) -> Callable[[], float]:
        """Its clock."""

    def group(self, member: Member) -> Group | None:
        """Where the member is now: its revision may have gone and come back."""

    def returned(self, lease: Lease, outcome: Outcome) -> None:
        """The attempt ended."""

    def settle(self, member: Member) -> None:
        """The member may be asked again."""


class Lease:
    """One attempt at one replica. It must be given back with `done`.

    Where the replica is judged hung, `lost` turns True and `on_lost` is called, once. The attempt must end then:

        async with asyncio.timeout_at(deadline) as limit:
            lease.on_lost = lambda: limit.reschedule(loop.time())
            ...
        # on TimeoutError: the replica hangs where lease.lost, else the time is up; both are Outcome.TIMEOUT
    """

    __slots__ = (
        "_epoch", "_firsts", "_group", "_owner", "began", "ended", "lost", "member", "on_lost", "queued", "revision"
    )  # fmt: skip

    def __init__(self, owner: Owner, revision: Revision, group: Group, member: Member, now: float) -> None:
        self._owner = owner
        self.revision = revision
        self._group = group
        self.member = member
        self._epoch = member.breaker.epoch
        self._firsts: Firsts | None = None  # that count it, while it has no first token
        self.queued = 0.0  # seconds in the room
        self.lost = False
        self.ended = False
        self.on_lost: Callable[[], None] | None = None
        self.began = now
        member.held.add(self)
        group.take(member, now)

    @property
    def replica(self) -> Replica:
        return self.member.replica

    def await_first(self, firsts: Firsts) -> None:
        """Count it among those whose first token has not come, until it has."""
        self._firsts = firsts
        firsts.begin(self.began)

    def progress(self) -> None:
        """Bytes of an answer came from the replica: it lives."""
        now = self._owner.now()
        if self._firsts is not None:
            self._came()
        member = self.member
        member.lives(now)
        if member.breaker.trial and self._epoch == member.breaker.epoch and not self.ended:
            member.breaker.answered(now)
            self._owner.settle(member)

    def done(self, outcome: Outcome) -> None:
        """The attempt ended; only the first call counts."""
        if self.ended:
            return
        self.ended = True
        now = self._owner.now()
        if self._firsts is not None:
            self._came()
        member = self.member
        member.held.discard(self)
        (self._owner.group(member) or self._group).free(member, outcome, self._epoch, now)
        if outcome in (Outcome.UNREACHABLE, Outcome.TIMEOUT):
            member.unanswered = True
        elif outcome is not Outcome.GONE:
            member.unanswered = False
            member.lives(now)
        self._owner.returned(self, outcome)

    def _came(self) -> None:
        """Its first token came, or never will."""
        if self._firsts is not None:
            self._firsts.end(self.began)
            self._firsts = None

    def lose(self) -> None:
        """The replica is judged hung: give up."""
        self.lost = True
        if self.on_lost is not None:
            self.on_lost()
