"""Our own rule in a simulation: the very function that the operator calls, shown what a gateway would have told."""

from __future__ import annotations

from inferops.core.autoscale.history import History
from inferops.core.autoscale.rule import Recommendation, recommend
from inferops.core.autoscale.terms import Fleet, Goals, Seed, Signals
from inferops.core.load import Load
from inferops.simulate.scaling.policy import Seen

EVERY = 15.0  # seconds until the first look


class Ours:
    """`core.autoscale` from look to look. `every` is what the rule asks for each time."""

    def __init__(self, goals: Goals, seed: Seed | None = None, name: str = "inferops", kind: str = "simulated") -> None:
        """`seed`: what sizing reckons that a replica carries; None: nothing is known before it was measured."""
        self.name = name
        self.every = EVERY
        self.history = History()
        self.last: Recommendation | None = None  # with its reason and numbers
        self._goals = goals
        self._seed = seed
        self._kind = kind

    def look(self, seen: Seen) -> int:
        """Replicas wanted from now on."""
        return self._decide(seen, self._load(seen), "")

    def blind(self, seen: Seen) -> int:
        """The same while nothing is told but what the cluster itself knows of replicas."""
        return self._decide(seen, None, "the metrics are out")

    def _decide(self, seen: Seen, load: Load | None, why: str) -> int:
        fleet = Fleet(
            wanted=seen.wanted,
            ready=seen.ready,
            starting=seen.starting,
            homeless=seen.homeless,
            started=seen.started,
            kind=self._kind,
        )
        signals = Signals(load=load, fleet=fleet, seed=self._seed, why=why)
        found = recommend(self.history, signals, self._goals, seen.now)
        self.history, self.every, self.last = found.history, found.again, found
        return found.replicas

    def _load(self, seen: Seen) -> Load:
        """What a gateway would have told.

        Requests wait in the gateway while no replica is ready, and where it limits what a replica is sent; else in
        engines' queues, where they count as busy.
        """
        outside = self._goals.most is not None or not seen.ready
        return Load(
            since=seen.since,
            until=seen.now,
            source="gateway",
            arrivals=seen.arrivals,
            ended=seen.ended,
            busy=seen.busy,
            queued=seen.queued if outside else 0.0,
            waiting=seen.waiting,
            in_flight=seen.running + (0 if outside else seen.waiting),
            tokens_in=seen.tokens_in,
            tokens_out=seen.tokens_out,
            ttft=seen.ttft,
            tpot=seen.tpot,
            judged=seen.judged,
            missed=seen.missed,
        )
