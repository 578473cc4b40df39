"""The replicas of a simulated service: made, started, drained, lost and billed."""

from __future__ import annotations

from math import exp, log1p, sqrt
from random import Random
from typing import Any

from inferops.simulate.fleet.agenda import Agenda
from inferops.simulate.fleet.gateway import Gateway
from inferops.simulate.fleet.places import Places
from inferops.simulate.fleet.replica import Replica, Stage
from inferops.simulate.scaling.scenario import Scenario


class Replicas:
    """Those there are, and those wanted."""

    def __init__(self, scenario: Scenario, agenda: Agenda, gateway: Gateway) -> None:
        self.wanted = 0
        self.changes = 0  # of the number wanted
        self.turns = 0  # of the direction of changes
        self.started: list[float] = []  # seconds from creation to ready; who reads them clears them
        self.members: dict[Replica, None] = {}  # that count, in the order of their creation
        self.draining: dict[Replica, None] = {}
        self.seconds = 0.0  # billed, of those that are gone
        self.dollars = 0.0
        self.queued = 0.0  # request-seconds in their own queues, likewise
        self._scenario = scenario
        self._agenda = agenda
        self._gateway = gateway
        self._rising: bool | None = None  # the last change
        self._made = 0
        self._nodes = Random(f"nodes {scenario.seed}")
        self._places = Places(scenario.clusters, scenario.gpus, lambda: self._drawn(scenario.cold.node, self._nodes))
        gateway.on_drained = self._gone

    def begin(self, count: int) -> None:
        """So many are ready at second 0, as far as there is room."""
        self.wanted = count
        self._gateway.awake = count > 0
        while len(self.members) < count:
            replica = self._make(0.0)
            if replica.node is not None:
                replica.node.pulled = 0.0
                self._ready(0.0, replica)
                self.started.clear()

    def want(self, count: int, now: float) -> None:
        """So many are to be from now on."""
        if count != self.wanted:
            rising = count > self.wanted
            self.changes += 1
            self.turns += self._rising is not None and rising is not self._rising
            self._rising, self.wanted = rising, count
            self._gateway.awake = count > 0
            self._fill(now)
            while len(self.members) > count:
                self._remove(self._surplus(), now)

    def count(self, stage: Stage) -> int:
        """Members at that stage."""
        return sum(replica.stage is stage for replica in self.members)

    def lose_one(self, now: float, random: Random) -> None:
        """One that is ready dies; another is made."""
        ready = [replica for replica in self.members if replica.stage is Stage.READY]
        if ready:
            self._lose([random.choice(ready)], now)

    def lose_cluster(self, name: str, now: float) -> None:
        """All of a cluster die; others are made elsewhere."""
        self._places.lose(name)
        everyone = (*self.members, *self.draining)
        self._lose([each for each in everyone if each.node is not None and each.node.cluster.name == name], now)

    def find_cluster(self, name: str, now: float) -> None:
        """It is there again."""
        self._places.find(name)
        self._house(now)

    def bill(self, now: float) -> tuple[float, float]:
        """Replica-seconds and dollars until now."""
        seconds, dollars = self.seconds, self.dollars
        for replica in (*self.members, *self.draining):
            if replica.node is not None:
                seconds += now - replica.placed
                dollars += (now - replica.placed) / 3600 * replica.node.cluster.price
        return seconds, dollars

    def _fill(self, now: float) -> None:
        while len(self.members) < self.wanted:
            replica = self._make(now)
            if replica.node is not None:
                self._start(replica, now)

    def _make(self, now: float) -> Replica:
        self._made += 1
        replica = Replica(self._made, now, self._scenario.engine)
        self.members[replica] = None
        self._settle(replica, now)
        return replica

    def _settle(self, replica: Replica, now: float) -> bool:
        """Find a node for it, if there is one."""
        replica.node = self._places.take(now)
        if replica.node is None:
            return False
        replica.stage, replica.placed, replica.delay = Stage.STARTING, now, replica.node.cluster.delay
        return True

    def _start(self, replica: Replica, now: float) -> None:
        """It begins to start on its node. A number's parts take the same time whoever the rule is."""
        cold, node = self._scenario.cold, replica.node
        assert node is not None
        random = Random(f"{replica.number} {self._scenario.seed}")
        schedule, pull, load, warm = (
            self._drawn(part, random) for part in (cold.schedule, cold.pull, cold.load, cold.warm)
        )
        begun = max(now, node.up) + schedule
        if node.pulled is None:
            node.pulled = begun + pull
        self._agenda.put(max(begun, node.pulled) + load + warm, self._ready, replica)

    def _ready(self, now: float, what: Any) -> None:
        replica: Replica = what
        if replica.stage is Stage.STARTING:
            replica.stage = Stage.READY
            self.started.append(now - replica.created)
            self._gateway.balance.add(replica)
            self._gateway.serve(now)

    def _surplus(self) -> Replica:
        """Who goes first: without a node, then the newest that starts, then the one with the least to do."""
        for stage in (Stage.HOMELESS, Stage.STARTING):
            for replica in reversed(self.members):
                if replica.stage is stage:
                    return replica
        return min(self.members, key=lambda replica: (replica.in_flight, -replica.number))

    def _remove(self, replica: Replica, now: float) -> None:
        del self.members[replica]
        if replica.stage is Stage.READY:
            self._gateway.balance.remove(replica)
            replica.stage = Stage.DRAINING
            self.draining[replica] = None
            if replica.in_flight:
                return
        self._gone(now, replica)

    def _gone(self, now: float, replica: Replica) -> None:
        """The end of a replica, whose place another can have."""
        self.draining.pop(replica, None)
        replica.stage = Stage.GONE
        if replica.node is not None:
            self.seconds += now - replica.placed
            self.dollars += (now - replica.placed) / 3600 * replica.node.cluster.price
            self.queued += replica.batch.queued(now)
            self._places.give_back(replica.node, now)
            replica.node = None
            self._house(now)

    def _lose(self, lost: list[Replica], now: float) -> None:
        """They die. All of them are out before the first request looks for another, and new ones are made at once."""
        for replica in lost:
            self.members.pop(replica, None)
            if replica.stage is Stage.READY:
                self._gateway.balance.remove(replica)
            self._gone(now, replica)
        for replica in lost:
            self._gateway.lose(replica, now)
        self._fill(now)

    def _house(self, now: float) -> None:
        """Room was made: it goes to those without, the oldest first."""
        for replica in self.members:
            if replica.stage is Stage.HOMELESS and len(self.members) <= self.wanted:
                if not self._settle(replica, now):
                    return
                self._start(replica, now)

    def _drawn(self, mean: float, random: Random) -> float:
        """Seconds of a part, lognormal."""
        if mean <= 0:
            return 0.0
        variance = log1p(self._scenario.cold.spread**2)
        return mean * exp(random.gauss(0.0, 1.0) * sqrt(variance) - variance / 2)
