"""Whom the leader calls outside of Kubernetes for rollouts: the webhooks of gates, and those who want to be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from inferops.controller.gates import Gates
from inferops.controller.notify import Notifier, Receiver
from inferops.controller.store import Key, Store
from inferops.controller.webhookhosts import Guarded, Hosts
from inferops.controller.webhooks import Poster
from inferops.kube.client import Kube

LAST_WORDS = 0.5  # seconds that messages get at the end


@dataclass(frozen=True, slots=True)
class Outward:
    """Gates and notifications, with their connections."""

    gates: Gates
    notifier: Notifier
    posters: tuple[Poster, ...]

    @classmethod
    def to(
        cls,
        hosts: Sequence[str],
        receivers: Sequence[Receiver],
        *,
        kube: Kube,
        store: Store,
        add: Callable[[Key, float], None],
        now: Callable[[], datetime],
        counted: Callable[[str, str], None],
    ) -> Self:
        """Webhooks may be at `hosts`, which are patterns; `receivers` are told. Raises ValueError on no pattern."""
        allowed = Hosts(hosts)
        # Of the two, only users' webhooks are kept from addresses: receivers are the admin's.
        webhooks, messages = Poster(Guarded(allowed)), Poster()
        gates = Gates(kube, store, add, webhooks, allowed)
        return cls(gates, Notifier(receivers, messages, now, counted), (webhooks, messages))

    async def close(self) -> None:
        """Stop asking and telling, after what is queued was told, as far as that takes no time."""
        await self.notifier.drain(LAST_WORDS)
        await self.gates.close()
        for poster in self.posters:
            await poster.close()
