"""What a service's replicas did while its load changed: looked at twice a second, judged by phase, kept as JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from autoscale_load import Load, Request
from inferops.kube.kinds import INFERENCE_SERVICE
from nodeagent.client import Client

EVERY = 0.5  # seconds between two looks
NUMBERS = ("arrivalsPerSecond", "forecastPerSecond", "capacityPerSecond", "utilization")


@dataclass(frozen=True, slots=True)
class Sample:
    """A service at one moment."""

    at: float  # in Unix seconds
    wanted: int  # replicas decided on
    ready: int
    rate: float  # requests a second that clients send by now
    open: int  # requests that have not ended
    reason: str = ""  # of the decision
    message: str = ""
    numbers: tuple[str, ...] = ()  # as NUMBERS names them, of when it was decided


@dataclass(frozen=True, slots=True)
class Phase:
    """A span of time with one change of load."""

    name: str
    since: float
    until: float


@dataclass(slots=True)
class Record:
    """All of it."""

    samples: list[Sample] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)  # what happened beside the load

    def within(self, since: float, until: float) -> list[Sample]:
        return [sample for sample in self.samples if since <= sample.at < until]

    def wanted(self, since: float, until: float) -> list[int]:
        """The numbers of replicas that were decided on, each once, in order."""
        numbers = [sample.wanted for sample in self.within(since, until)]
        return [number for number, before in zip(numbers, [None, *numbers], strict=False) if number != before]

    def told(self, since: float, until: float) -> list[str]:
        """Each decision of a span of time, and the requests that came by its word, for whoever asks why."""
        samples = self.within(since, until)
        news = [each for before, each in zip([None, *samples], samples, strict=False) if not _same(before, each)]
        return [
            f"{each.at - since:.1f} s: {each.wanted} wanted, {each.ready} ready, {each.open} open, {each.reason}, "
            f"{dict(zip(NUMBERS, each.numbers, strict=False))}"
            for each in news
        ]

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase.name == name)

    def dump(self, requests: Iterable[Request], **facts: Any) -> str:
        """As JSON, with the requests as [began, seconds to the first token, seconds from one to the next, error]."""
        told = [(each.began, each.ttft, each.tpot, each.error) for each in requests]
        return json.dumps({**facts, **asdict(self), "requests": told})


def _same(before: Sample | None, after: Sample) -> bool:
    return before is not None and (before.wanted, before.reason) == (after.wanted, after.reason)


def turns(numbers: Sequence[int]) -> int:
    """How often a number that rose falls, or one that fell rises."""
    steps = [after - before for before, after in pairwise(numbers) if after != before]
    return sum((step > 0) != (before > 0) for before, step in pairwise(steps))


def attainment(requests: Sequence[Request], ttft: float, tpot: float) -> float:
    """Share of requests that were answered whole within both."""
    return sum(each.within(ttft, tpot) for each in requests) / max(len(requests), 1)


class Watch:
    """Looks at one service while the context lasts."""

    def __init__(self, api: Client, namespace: str, name: str, load: Load) -> None:
        self.record = Record()
        self._api, self._path, self._load = api, INFERENCE_SERVICE.path(namespace, name), load

    async def __aenter__(self) -> Self:
        await self._look()
        self._looking = asyncio.create_task(self._keep_looking())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._looking.cancel()
        await asyncio.wait([self._looking])

    @property
    def now(self) -> Sample:
        return self.record.samples[-1]

    def mark(self, text: str) -> None:
        """Something happened now."""
        self.record.marks.append((time.time(), text))

    async def until(self, what: str, true: Any, within: float) -> float:
        """Wait until `true(sample)`; returns the seconds that took. Raises TimeoutError that tells where it stands."""
        began = time.monotonic()
        while not true(self.now):
            if self._looking.done():
                self._looking.result()
            if time.monotonic() - began > within:
                raise TimeoutError(f"{what}: not within {within:.0f} s; {self.now}")
            await asyncio.sleep(EVERY / 2)
        return time.monotonic() - began

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self._look()

    async def _look(self) -> None:
        service = await self._api.get(self._path)
        self.record.samples.append(_sample(service.get("status") or {}, self._load))


def _sample(status: Mapping[str, Any], load: Load) -> Sample:
    scaling = status.get("scaling") or {}
    return Sample(
        time.time(),
        status.get("desiredReplicas") or 0,
        status.get("readyReplicas") or 0,
        load.rate,
        load.open,
        scaling.get("reason", ""),
        scaling.get("message", ""),
        tuple(scaling.get(name, "") for name in NUMBERS),
    )
