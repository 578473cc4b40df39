"""Whether one replica may be asked, judged by how its attempts ended. Pure: the time is an argument.

Closed: it is asked. It opens when attempts fail one after the other, one without a connection counting more, or when
half of the recent ones did. Open: it is not asked for a back-off, which doubles each time up to BACKOFF_MAX. After that
half-open: one attempt, or one probe, tells. What failed while being asked (errors) is tried with a request; what did
not answer at all (unreachable, hung) with a probe, since a request would only wait there.

Answers of a full engine and answers to bad requests are no failures; a client that goes away says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from inferops.gateway.balance.outcome import Outcome

STREAK = 5  # points of failures in a row
POINTS = {Outcome.FAILED: 1, Outcome.TIMEOUT: 1, Outcome.UNREACHABLE: 3}  # of a failure; what is not here is none
SHARE = 0.5  # of the attempts in the window
ENOUGH = 20  # attempts, for a share to say anything
HALF_WINDOW = 5.0  # seconds; the window is between one and two of it
BACKOFF = 1.0  # seconds, the first
BACKOFF_MAX = 30.0
FORGIVEN = 60.0  # seconds after the last closing, when earlier openings do not count any more


class Cause(StrEnum):
    """Why a replica is out."""

    ERRORS = "errors"  # it answers with errors
    UNREACHABLE = "unreachable"  # it takes no connections
    HUNG = "hung"  # it takes requests and does not answer


class Breaker:
    """The state of one replica. `jitter` gives numbers in [0, 1)."""

    __slots__ = ("_jitter", "_streak", "_times", "_window", "cause", "closed_at", "epoch", "trial", "until")

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.cause: Cause | None = None  # None: closed
        self.until = 0.0  # the end of the back-off
        self.trial = False  # whether an attempt is under way that tells whether it comes back
        self.epoch = 0  # openings so far: what an attempt from before the last one has to say is old
        self.closed_at = float("-inf")
        self._jitter = jitter
        self._streak = 0
        self._times = 0  # openings that count for the back-off
        self._window = _Window()

    @property
    def spared(self) -> bool:
        """Whether it fails and is asked all the same, since too many are out."""
        return self.cause is None and self._streak >= STREAK

    def due(self, now: float) -> bool:
        """Whether it is half-open and waits for an attempt or a probe."""
        return self.cause is not None and not self.trial and now >= self.until

    def ended(self, outcome: Outcome, epoch: int, now: float, may_eject: Callable[[], bool]) -> None:
        """An attempt that began in `epoch` ended. `may_eject`: whether errors may take one more replica out."""
        if epoch != self.epoch:
            return
        points = POINTS.get(outcome, 0)
        if self.cause is not None:
            self._tried(outcome, points, now)
        elif points:
            self._failed(outcome, points, now, may_eject)
        elif outcome is not Outcome.GONE:
            self._streak = 0
            self._window.add(False, now)

    def answered(self, now: float) -> None:
        """A trial or a probe was answered: it is asked again, and out again with the next failure."""
        if self.cause is None:
            return
        self.cause, self.trial, self.closed_at = None, False, now
        self._streak = STREAK - 1
        self._window = _Window()

    def open(self, cause: Cause, now: float) -> None:
        """It is out, or remains so, for a back-off."""
        if self.cause is None and now - self.closed_at > FORGIVEN:
            self._times = 0
        wait = min(BACKOFF * 2.0 ** min(self._times, 10), BACKOFF_MAX)
        self.until = now + wait * (0.75 + 0.25 * self._jitter())
        self.cause, self.trial = cause, False
        self._times += 1
        self.epoch += 1

    def _tried(self, outcome: Outcome, points: int, now: float) -> None:
        if points:
            self.open(Cause.UNREACHABLE if outcome is Outcome.UNREACHABLE else Cause.ERRORS, now)
        elif outcome is Outcome.GONE:
            self.trial = False
        else:
            self.answered(now)

    def _failed(self, outcome: Outcome, points: int, now: float, may_eject: Callable[[], bool]) -> None:
        self._streak += points
        self._window.add(True, now)
        if self._streak < STREAK and not self._window.failing(now):
            return
        if outcome is Outcome.UNREACHABLE:
            self.open(Cause.UNREACHABLE, now)
        elif may_eject():
            self.open(Cause.ERRORS, now)


class _Window:
    """Counts of the recent attempts, in two halves of which the older one is dropped as a whole."""

    __slots__ = ("bad", "began", "count", "old_bad", "old_count")

    def __init__(self) -> None:
        self.began = float("-inf")
        self.count = self.bad = self.old_count = self.old_bad = 0

    def add(self, bad: bool, now: float) -> None:
        self._turn(now)
        self.count += 1
        self.bad += bad

    def failing(self, now: float) -> bool:
        self._turn(now)
        count = self.count + self.old_count
        return count >= ENOUGH and self.bad + self.old_bad >= SHARE * count

    def _turn(self, now: float) -> None:
        if now - self.began < HALF_WINDOW:
            return
        recent = now - self.began < 2 * HALF_WINDOW
        self.old_count, self.old_bad = (self.count, self.bad) if recent else (0, 0)
        self.count = self.bad = 0
        self.began = now
