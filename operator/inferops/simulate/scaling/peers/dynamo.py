"""The rule of NVIDIA Dynamo's planner: a forecast every 3 minutes, and a step by load every 5 s.

The forecast of the next interval's requests, divided by what a profile says that one engine does within the SLA, is the
least that there is. In between one replica is added where the estimated TTFT or ITL of all engines exceeds the SLA, and
one is removed where both stay within 80 % of it once N/(N-1) of the load is on each. While replicas start, or when
nothing was served, it only observes. Engines are alike here, so a mean stands for all of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import ceil

from inferops.simulate.scaling.peers.forecasts import LEARNING, Predictor, forecast
from inferops.simulate.scaling.peers.goals import PeerGoals
from inferops.simulate.scaling.policy import Seen

LOOP = 5.0  # seconds
SAMPLES = 64  # that its regression remembers


@dataclass(frozen=True, slots=True)
class Settings:
    """A planner with its SLA and the profile of an engine."""

    engine: float  # requests a second of one engine, by its profile
    ttft: float = 0.5  # seconds
    itl: float = 0.05  # seconds
    interval: float = 180.0  # seconds
    predictor: Predictor = "arima"
    load: bool = True  # whether the step by load is on
    sensitivity: float = 0.8  # of the SLA, within which one may go
    consolidate: bool = True  # whether one goes only if the others can take its load; earlier versions did not ask
    lowest: int = 1


def defaults(goals: PeerGoals) -> Settings:
    """The SLA is the service's, the profile tells the truth."""
    return Settings(engine=goals.capacity, ttft=goals.ttft, itl=goals.tpot)


def sensible(goals: PeerGoals) -> Settings:
    return Settings(engine=0.7 * goals.capacity, ttft=goals.ttft, itl=goals.tpot, interval=60.0)


def grid(goals: PeerGoals) -> list[Settings]:
    """Stricter profiles and SLAs than what is promised, shorter intervals, fewer steps down."""
    base = Settings(engine=goals.capacity, ttft=goals.ttft, itl=goals.tpot)
    found = [
        replace(base, engine=share * goals.capacity, interval=interval, load=load)
        for share in (0.35, 0.45, 0.55, 0.65, 0.75, 0.9)
        for interval in (60.0, 180.0)
        for load in (True, False)
    ]
    return found + [
        replace(base, engine=share * goals.capacity, ttft=0.5 * goals.ttft, itl=0.7 * goals.tpot, sensitivity=0.5)
        for share in (0.45, 0.6, 0.75)
    ]


class Dynamo:
    """The planner of one deployment."""

    name = "dynamo"
    every = LOOP

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._forecast = forecast(settings.predictor)
        self._looks = round(settings.interval / LOOP)
        self._look, self._arrivals = 0, 0
        self._floor = settings.lowest
        self._itl = _Line()
        self._ttft: deque[float] = deque(maxlen=SAMPLES)

    def look(self, seen: Seen) -> int:
        """Replicas by the rule."""
        settings = self._settings
        self._look += 1
        self._arrivals += seen.arrivals
        if self._look == self._looks:
            expected = self._forecast(float(self._arrivals)) / settings.interval
            self._floor = max(ceil(expected / settings.engine), settings.lowest)
            self._look, self._arrivals = 0, 0
            if not settings.load:
                return self._floor
        if not settings.load:
            return seen.wanted
        step = self._step(seen)
        return seen.wanted if step is None else max(seen.ready + step, self._floor)

    def _step(self, seen: Seen) -> int | None:
        """One more, one fewer or none; None: it only observes."""
        settings, ready = self._settings, seen.ready
        if seen.ttft is None or seen.tpot is None or not ready:
            return None
        self._ttft.append(seen.ttft)
        self._itl.add(seen.kv, seen.tpot)
        if ready != seen.wanted or len(self._ttft) < LEARNING:
            return None
        if seen.ttft > settings.ttft or seen.tpot > settings.itl:
            return 1
        if ready < 2:
            return 0
        more = ready / (ready - 1) if settings.consolidate else 1.0
        own = min(self._ttft)  # of a request that finds no queue
        fits = (
            (seen.ttft - own) * more < (settings.ttft - own) * settings.sensitivity
            and seen.kv * more < 1.0
            and self._itl.at(seen.kv * more, seen.tpot) < settings.itl * settings.sensitivity
        )
        return -1 if fits else 0


class _Line:
    """The straight line through the last points."""

    __slots__ = ("_points", "_sums")

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._sums = [0.0, 0.0, 0.0, 0.0]  # of x, y, xx and xy

    def add(self, x: float, y: float) -> None:
        sums = self._sums
        if len(self._points) == SAMPLES:
            old, value = self._points[0]
            sums[0] -= old
            sums[1] -= value
            sums[2] -= old * old
            sums[3] -= old * value
        self._points.append((x, y))
        sums[0] += x
        sums[1] += y
        sums[2] += x * x
        sums[3] += x * y

    def at(self, x: float, otherwise: float) -> float:
        """Its value, never below 0 and never falling; `otherwise` where all points lie at one place."""
        count = len(self._points)
        along, up, square, product = self._sums
        spread = square - along * along / count
        if spread <= 1e-9:
            return otherwise
        slope = max(0.0, (product - along * up / count) / spread)
        return max(0.0, up / count + slope * (x - along / count))
