"""What a rollout is told of the world beyond Kubernetes' objects: what was counted, and what its gates say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from inferops.api.resources import InferenceService
from inferops.api.rolloutstatus import STEPPING
from inferops.controller.asks import ask_of
from inferops.controller.counting import Counting
from inferops.controller.gates import Gates
from inferops.controller.store import Key, Store
from inferops.core.observation import GateView, RevisionView
from inferops.core.rollout import GateWanted
from inferops.core.signal import Window

# Phases in which counts matter: to judge by them, and to see whether requests are still there.
COUNTED = (*STEPPING, "Promoting", "RollingBack", "Retaining")


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The leader's."""

    counting: Counting
    asked: Gates
    store: Store

    def window(
        self, key: Key, service: InferenceService, revisions: Sequence[RevisionView]
    ) -> tuple[Window | None, str]:
        """What was counted since the rollout was last judged; None, and perhaps why there is nothing."""
        state = service.status.rollout
        if state.phase not in COUNTED:
            self.counting.forget(key)
            return None, ""
        self.counting.want(key, ask_of(self.store, service, revisions, service.spec.rollout.analysis.source))
        return self.counting.window(key, _time(state.analysis.until))

    def gates(self, key: Key) -> Mapping[str, GateView]:
        return self.asked.views(key)

    async def ask(self, key: Key, service: InferenceService, wanted: tuple[GateWanted, ...]) -> None:
        """Ask the gates that are wanted now, and no others. Raises as `Gates.ask`."""
        await self.asked.ask(key, service, wanted)

    def forget(self, key: Key) -> None:
        """The service is gone."""
        self.counting.forget(key)
        self.asked.forget(key)


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:  # none yet, or somebody edited the status
        return None
    return found if found.tzinfo is not None else None
