"""Whose requests are to be counted, how its engines call their metrics, and what is too slow: from what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from inferops.api.formats import seconds
from inferops.api.resources import InferenceService
from inferops.controller.following import Ask
from inferops.controller.store import Store
from inferops.core.observation import RevisionView
from inferops.runtimes import ENGINES
from inferops.runtimes.base import ServingEngine


def ask_of(
    store: Store,
    service: InferenceService,
    revisions: Sequence[RevisionView],
    source: Literal["auto", "gateway", "prometheus", "pods"] = "auto",
    *,
    queues: bool = False,
) -> Ask:
    """What is to be asked of `source` about a service whose `revisions` there are. `queues`: how many wait within the
    engines as well."""
    slo = service.spec.slo
    engine = _engine(store, revisions)
    return Ask(
        source=source,
        pods={pod.name: pod for each in revisions for pod in each.pods if not (pod.worker or pod.deleting)},
        engine=engine.metrics if engine is not None else None,
        ports={port.name: port.number for port in engine.ports} if engine is not None else {},
        ttft=seconds(slo.ttft) if slo.ttft is not None else None,
        tpot=seconds(slo.tpot) if slo.tpot is not None else None,
        queues=queues,
    )


def _engine(store: Store, revisions: Sequence[RevisionView]) -> ServingEngine | None:
    """What serves the revisions; None where they have unlike engines, whose metrics do not compare."""
    runtimes = store.runtimes()
    named = {each.spec.runtime.name for each in revisions if each.spec is not None and each.pods}
    engines = {runtimes[name].engine if name in runtimes else "" for name in named}
    return ENGINES.get(engines.pop()) if len(engines) == 1 else None
