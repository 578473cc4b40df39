"""What a rollout is told of the world beyond Kubernetes' objects: what was counted, and what its gates say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from inferops.api.formats import seconds
from inferops.api.resources import InferenceService
from inferops.api.rolloutstatus import STEPPING
from inferops.controller.counting import Ask, Counting
from inferops.controller.gates import Gates
from inferops.controller.store import Key, Store
from inferops.core.observation import GateView, RevisionView
from inferops.core.rollout import GateWanted
from inferops.core.signal import Window
from inferops.runtimes import ENGINES
from inferops.runtimes.base import ServingEngine

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
        self.counting.want(key, self._ask(service, revisions))
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

    def _ask(self, service: InferenceService, revisions: Sequence[RevisionView]) -> Ask:
        slo, analysis = service.spec.slo, service.spec.rollout.analysis
        engine = self._engine(revisions)
        return Ask(
            source=analysis.source,
            pods={pod.name: pod for each in revisions for pod in each.pods if not (pod.worker or pod.deleting)},
            engine=engine.metrics if engine is not None else None,
            ports={port.name: port.number for port in engine.ports} if engine is not None else {},
            ttft=seconds(slo.ttft) if slo.ttft is not None else None,
            tpot=seconds(slo.tpot) if slo.tpot is not None else None,
        )

    def _engine(self, revisions: Sequence[RevisionView]) -> ServingEngine | None:
        """What serves the revisions; None where they have unlike engines, whose metrics do not compare."""
        runtimes = self.store.runtimes()
        named = {each.spec.runtime.name for each in revisions if each.spec is not None and each.pods}
        engines = {runtimes[name].engine if name in runtimes else "" for name in named}
        return ENGINES.get(engines.pop()) if len(engines) == 1 else None


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:  # none yet, or somebody edited the status
        return None
    return found if found.tzinfo is not None else None
