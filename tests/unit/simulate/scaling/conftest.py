"""A stage for one rule: the test says what is measured at each look, replicas begin as the rule wants them."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.simulate.scaling.peers import PeerGoals
from inferops.simulate.scaling.policy import Policy, Seen


class Stage:
    """Replicas that take `cold` seconds to start, and a rule that is asked every `rule.every` seconds."""

    def __init__(self, rule: Policy, replicas: int = 1, cold: float = 0.0) -> None:
        self.rule, self.cold, self.now = rule, cold, 0.0
        self.wanted, self.ready = replicas, replicas
        self.births: list[float] = []  # when those that start will be ready

    def look(self, in_flight: int = 0, *, times: int = 1, **measured: Any) -> int:
        """The last of so many looks' decisions, each carried out."""
        for _ in range(times):
            self.now += self.rule.every
            while self.births and self.births[0] <= self.now:
                self.births.pop(0)
                self.ready += 1
            self._be(self.rule.look(self.seen(in_flight, **measured)))
        return self.wanted

    def seen(self, in_flight: int, **measured: Any) -> Seen:
        """All is in the engines' batches unless `waiting` says otherwise."""
        told: dict[str, Any] = {
            "arrivals": 0, "ended": 0, "tokens_in": 0, "tokens_out": 0, "busy": 0.0, "queued": 0.0, "waiting": 0,
            "judged": 0, "missed": 0, "ttft": None, "tpot": None, "kv": 0.0,
        } | measured  # fmt: skip
        return Seen(
            now=self.now,
            since=self.now - self.rule.every,
            wanted=self.wanted,
            ready=self.ready,
            starting=len(self.births),
            homeless=0,
            started=(),
            running=in_flight - told["waiting"] if in_flight else 0,
            **told,
        )

    def _be(self, wanted: int) -> None:
        self.wanted = wanted
        more = wanted - self.ready - len(self.births)
        if more > 0 and not self.cold:
            self.ready += more
        elif more > 0:
            self.births += [self.now + self.cold] * more
        else:
            dropped = min(-more, len(self.births))
            del self.births[len(self.births) - dropped :]
            self.ready -= -more - dropped


@pytest.fixture
def stage() -> type[Stage]:
    return Stage


@pytest.fixture
def goals() -> PeerGoals:
    """A replica that carries 10 requests a second, of which 40 are in flight then."""
    return PeerGoals(capacity=10.0, concurrency=40.0, ttft=1.0, tpot=0.05, highest=32)
