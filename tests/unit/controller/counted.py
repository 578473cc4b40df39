"""Gateways that tell what a test puts into them, of a service with two replicas: s1 of aaa, c1 of bbb."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inferops.controller.demandline import Counted
from inferops.controller.store import Key
from inferops.signals.cumulative import Tally

LLAMA = Key("InferenceService", "chat", "llama")


def counted(**pods: tuple[str, Tally, int]) -> Counted:
    return Counted(
        {pod: revision for pod, (revision, _, _) in pods.items()},
        {pod: tally for pod, (_, tally, _) in pods.items()},
        {pod: now for pod, (_, _, now) in pods.items()},
    )


def both(stable: int, canary: int, bad: int = 0, now: int = 0) -> Counted:
    """What a gateway counted: so many of each, of which the canary failed some."""
    good = canary - bad
    return counted(
        s1=("aaa", Tally((stable, stable, stable), (0, 0, 0), stable), now),
        c1=("bbb", Tally((good, good, good), (bad, 0, 0), canary), now),
    )


class Gateways:
    """Gateways that told what a test puts into them."""

    def __init__(self) -> None:
        self.told: dict[str, Counted] = {}
        self.counted: Callable[[Key, str, Counted], None] = lambda key, start, counted: None

    def counts(self, key: Key) -> Mapping[str, Counted]:
        return self.told if key == LLAMA else {}

    def tell(self, what: Counted, start: str = "g 1") -> None:
        self.told[start] = what
        self.counted(LLAMA, start, what)
