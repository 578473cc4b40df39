"""What a soak counts, and how it judges: growth by robust slopes, requests by what became of them, GPUs without owner.

Pure: times are seconds of one clock, whichever. Nothing here asks for the time, a process or the cluster.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import NamedTuple

HOUR = 3600.0
WARM_UP = 120.0  # seconds of a process that tell nothing: caches fill, modules are loaded
LEAST = 300.0  # seconds after that; less of a process is told and not judged
PAIRS = 400  # samples of one series at most, evenly chosen: a slope takes the square of that
MIB = 1024.0 * 1024.0


class Limit(NamedTuple):
    """Growth is too much only where it is both: a short run makes a small step a steep slope."""

    an_hour: float
    at_all: float  # over what was looked at


LIMITS: Mapping[str, Limit] = {
    "rss": Limit(48 * MIB, 8 * MIB),
    "tasks": Limit(60, 12),
    "fds": Limit(60, 12),
    "threads": Limit(12, 4),
    "stored": Limit(240, 40),
    "queue": Limit(60, 12),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one time. `None`: it did not tell."""

    at: float
    rss: float | None = None  # bytes
    tasks: float | None = None
    fds: float | None = None
    threads: float | None = None
    queue: float | None = None
    stored: float | None = None  # objects
    cpu: float | None = None  # seconds since its start


@dataclass(frozen=True, slots=True)
class Growth:
    """How a figure of a process went."""

    process: str
    figure: str
    seconds: float  # that were looked at
    first: float  # median of the first fifth of them
    last: float
    highest: float
    an_hour: float  # the median slope, and between what the middle half of all slopes lies
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`ok`, `grows`, or `short`: too little was seen of the process."""
        if self.seconds < LEAST:
            return "short"
        limit = LIMITS[self.figure]
        total = self.an_hour * self.seconds / HOUR
        return "grows" if self.an_hour > limit.an_hour and total > limit.at_all else "ok"


def slopes(points: Sequence[tuple[float, float]]) -> list[float]:
    """The slopes between any two points, sorted (Theil 1950, Sen 1968): up to 29 % of the points may be wild."""
    chosen = points if len(points) <= PAIRS else [points[i * len(points) // PAIRS] for i in range(PAIRS)]
    return sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(chosen, 2) if b[0] != a[0])


def growth(process: str, figure: str, samples: Sequence[Sample]) -> Growth | None:
    """Of one figure of a process after its warm-up. None where it never told it twice."""
    told = [(each.at, float(value)) for each in samples if (value := getattr(each, figure)) is not None]
    begun = samples[0].at + WARM_UP if samples else 0.0
    later = [point for point in told if point[0] >= begun] or told
    found = slopes(later)
    if not found:
        return None
    few = max(1, len(later) // 5)
    values = [value for _, value in later]
    quarter = len(found) // 4
    return Growth(
        process,
        figure,
        later[-1][0] - later[0][0],
        median(values[:few]),
        median(values[-few:]),
        max(values),
        median(found) * HOUR,
        found[quarter] * HOUR,
        found[-1 - quarter] * HOUR,
    )


def all_growth(series: Mapping[str, Sequence[Sample]]) -> list[Growth]:
    """Of every figure that has a limit, of every process."""
    found = [growth(process, figure, samples) for process, samples in series.items() for figure in LIMITS]
    return [each for each in found if each is not None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got. `whole`: all of the answer, or a stream up to its [DONE]."""

    service: str
    began: float
    ended: float
    status: int = 0  # 0: no answer
    whole: bool = False
    code: str = ""  # of an error body, or of the error event that ended a stream
    retry_after: bool = False
    revision: str = ""
    stream: bool = False
    note: str = ""  # of the client, where there was no answer


@dataclass(frozen=True, slots=True)
class Excuse:
    """Something that was done to a service, while which errors may be honest. No service: to all."""

    service: str
    cause: str
    since: float
    until: float


class Judged(NamedTuple):
    """`answered`; `refused` and `failed`: honestly, for a cause; `broken`: a stream that ended by an error event."""

    what: str
    cause: str


HONEST = ("refused", "failed", "broken", "unknown")
REFUSALS = {"queue_full", "queue_timeout", "service_asleep", "wait_too_long", "rate_limit_exceeded"}

UNKNOWN = {"model_not_found", "service_not_found"}


def judge(answer: Answer, excuses: Iterable[Excuse], faulty: frozenset[str] = frozenset()) -> Judged:
    """What became of a request. `faulty`: revisions that answer errors by themselves, as they were told to.

    Lost is what got neither its whole answer nor an honest error that it could get: a connection that ends without a
    word, an answer that never comes, half an answer; and any error that nothing excuses.
    """
    if answer.whole and answer.status == 200 and not answer.code:
        return Judged("answered", "")
    if answer.status == 0 or (answer.status == 200 and not answer.code):
        return Judged("lost", answer.note or "half an answer")
    kind = _kind(answer)
    if answer.revision in faulty and kind in ("failed", "broken"):
        return Judged(kind, "faulty revision")
    here = [each for each in excuses if each.service in ("", answer.service)]
    cause = next((each.cause for each in here if each.since <= answer.ended and answer.began <= each.until), "")
    if not cause or kind not in HONEST:
        return Judged("lost", f"{answer.status} {answer.code} without a cause")
    if kind == "refused" and not answer.retry_after:
        return Judged("lost", f"{answer.status} {answer.code} without Retry-After")
    return Judged(kind, cause)


def _kind(answer: Answer) -> str:
    if answer.status == 200:
        return "broken"
    if answer.status in (429, 503) and answer.code in REFUSALS:
        return "refused"
    if answer.status == 404:
        return "unknown" if answer.code in UNKNOWN else "dishonest"
    return "failed" if answer.status >= 500 and answer.code else "dishonest"


@dataclass(slots=True)
class Requests:
    """The account of all requests."""

    sent: int = 0
    by: Counter[Judged] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)  # of those that were not answered whole
    examples: list[Answer] = field(default_factory=list)  # of lost ones

    def count(self, answer: Answer, excuses: Iterable[Excuse], faulty: frozenset[str] = frozenset()) -> None:
        judged = judge(answer, excuses, faulty)
        self.sent += 1
        self.by[judged] += 1
        if judged.what != "answered":
            self.codes[f"{judged.what}, {judged.cause}: {answer.status} {answer.code}"] += 1
        if judged.what == "lost" and len(self.examples) < 20:
            self.examples.append(answer)

    def number(self, what: str) -> int:
        return sum(count for judged, count in self.by.items() if judged.what == what)


@dataclass(frozen=True, slots=True)
class GpuPod:
    """A pod of ours that holds GPUs."""

    uid: str
    service: str  # uid of the InferenceService that it belongs to
    gpus: int


@dataclass(slots=True)
class Orphans:
    """GPU-seconds that pods held after their service was gone, from look to look.

    Pods are given `grace` seconds to end: their drain. What is held longer is orphaned.
    """

    grace: float
    draining: float = 0.0
    orphaned: float = 0.0
    _since: dict[str, float] = field(default_factory=dict)  # when a service's uid was first missed
    _last: float | None = None

    def look(self, at: float, pods: Iterable[GpuPod], services: frozenset[str]) -> None:
        """`services`: the uids of those that there are, read after the pods, so that none is missed by mistake."""
        passed = 0.0 if self._last is None else at - self._last
        self._last = at
        held: defaultdict[str, int] = defaultdict(int)
        for pod in pods:
            if pod.service not in services:
                held[pod.service] += pod.gpus
        for uid, gpus in held.items():
            since = self._since.setdefault(uid, at)
            late = min(passed, max(0.0, at - since - self.grace))
            self.orphaned += gpus * late
            self.draining += gpus * (passed - late if since < at else 0.0)
        self._since = {uid: since for uid, since in self._since.items() if uid in held}
