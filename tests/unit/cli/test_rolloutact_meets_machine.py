"""The command line and the rollout itself agree on what an action acts on: what the one asks for, the other does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from inferops.api.inferenceservice import SLOSpec
from inferops.cli.rolloutact import ACTIONS, Action, Refused, intent, value
from inferops.core.observation import PodView, RevisionView
from inferops.core.rollout import Splitter, View, step
from inferops.kube.owned import Object
from unit.cli.scenes import (
    BAD,
    NEW,
    NOW,
    OBSERVING,
    OLD,
    PROMOTED,
    gated,
    loading,
    observing,
    parsed,
    paused,
    retaining,
    rolled_back,
    service,
)

SCENES: Mapping[str, Object] = {
    "nothing is rolled out": service({}, latestRevision=OLD),
    "it loads": service(loading()),
    "it is observed": service(OBSERVING),
    "it is paused": service(paused()),
    "it waits at a manual gate": service(gated()),
    "it is promoted": service(observing(phase="Promoting", weight=100)),
    "it is rolled back": service(observing(phase="RollingBack", weight=0)),
    "it was rolled back": service(rolled_back()),
    "the previous one is warm": service(retaining(), **PROMOTED),
    "the previous one is cold": service(retaining(phase="Succeeded"), **PROMOTED),
    "the previous one is gone": service(retaining(phase="Succeeded", previous=""), **PROMOTED),
}


def ready(hash_: str, replicas: int) -> RevisionView:
    pods = (
        PodView(f"llama-{hash_}-{number}", hash_, node="gpu-1", ready=True, started=True, ready_since=NOW)
        for number in range(replicas)
    )
    return RevisionView(hash_, order=2 if hash_ == NEW else 1, pods=tuple(pods))


def handled(raw: Object, action: str) -> bool:
    """Whether the operator carries it out, at its next look."""
    parsed_ = parsed(raw)
    status = parsed_.status
    weights = {each.hash: each.weight for each in status.revisions if each.weight}
    view = View(
        now=NOW,
        target=status.latest_revision,
        replicas=4,
        spec=parsed_.spec.rollout,
        slo=SLOSpec(),
        revisions={OLD: ready(OLD, 4), NEW: ready(NEW, 4 if status.stable_revision == NEW else 1)},
        recorded=status.stable_revision,
        routed_to=status.stable_revision,
        splitter=Splitter.OWN,
        weights=weights,
        action=action,
    )
    return action in step(status.rollout, view).state.handled


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("scene", SCENES)
def test_what_is_asked_for_is_carried_out_and_what_is_refused_would_do_nothing(scene: str, action: Action) -> None:
    raw = SCENES[scene]
    for hash_ in (NEW, OLD, BAD):
        try:
            asked: Any = value(intent(action, parsed(raw), hash_))
        except Refused:
            # A second promotion would be taken down as carried out, and change nothing.
            again = (action, scene, hash_) == ("promote", "it is promoted", NEW)
            assert handled(raw, f"{action}@{hash_}/again") == again
        else:
            assert handled(raw, asked)
