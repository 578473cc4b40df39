"""What was asked of one service by the word of its engines, as Prometheus or the pods themselves tell it.

A sample is taken while each replica that is ready tells, but for new ones, which nobody may have found yet. One that
does not is waited for, for as long as samples hold; then the others count alone, while they are not the fewer ones: one
broken replica must not keep the rest from being scaled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferops.controller.following import Ask
from inferops.core.observation import PodView
from inferops.signals.engines import EngineSums
from inferops.signals.reading import Reading
from inferops.signals.samples import Samples

EARLY = 0.5  # seconds by which a look may be early, since timers are
STALE = 45.0  # seconds after which the newest sample says nothing any more: Prometheus may look every 30 s


@dataclass(slots=True)
class EngineLoad:
    """By the word of one source. Times are Unix seconds, and only grow."""

    samples: Samples = field(default_factory=Samples)
    waiting: int = 0  # requests in the engines' queues, as of the newest sample
    in_flight: int = 0  # there at all
    asked: float | None = None  # when it was asked last
    why: str = ""  # it does not tell
    _sums: EngineSums = field(default_factory=EngineSums)
    _silent: dict[str, float] = field(default_factory=dict[str, float])  # since when ready pods do not tell

    def take(self, answer: Reading | str, ask: Ask, now: float) -> None:
        """Take in what it said when it was asked."""
        if isinstance(answer, str) or ask.engine is None:
            self.why = answer if isinstance(answer, str) else self.why
            return
        self._sums.take(now, answer, ask.engine, {name: pod.restarts for name, pod in ask.pods.items()})
        ready = {name for name, pod in ask.pods.items() if pod.ready and not (pod.worker or pod.deleting)}
        silent = {name for name in ready - answer.readouts.keys() if not _new(ask.pods[name], now)}
        self._silent = {name: self._silent.get(name, now) for name in silent}
        if any(now - since <= STALE for since in self._silent.values()) or 2 * len(silent) > len(ready):
            self.why = f"{len(silent)} of {len(ready)} replicas that are ready do not tell their metrics"
            return
        self.samples.add(now, self._sums.total)
        self.waiting = sum(each.waiting for each in answer.readouts.values())
        self.in_flight = sum(each.there for each in answer.readouts.values())
        self.why = ""

    def fresh(self, now: float, within: float = STALE) -> bool:
        """Whether the newest sample still says something, and there is one to count from."""
        return len(self.samples) > 1 and now - self.samples.last <= within

    def due(self, now: float, every: float) -> bool:
        """Whether it is to be asked again, having been asked so often."""
        return self.asked is None or now - self.asked >= every - EARLY


def _new(pod: PodView, now: float) -> bool:
    """Whether it became ready of late."""
    return pod.ready_since is not None and now - pod.ready_since.timestamp() <= STALE
