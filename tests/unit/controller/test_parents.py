"""What is kept of a user's resource: of its annotations, the one that asks something of its rollout."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from inferops.api.rollout import ACTION
from inferops.catalogue import accelerators, runtimes
from inferops.controller.observe import observe
from inferops.controller.parents import parent_view
from inferops.controller.store import Key, Store
from inferops.core.observation import Observation
from inferops.kube.kinds import INFERENCE_SERVICE
from unit.controller.building import service

LLAMA = Key("InferenceService", "chat", "llama")
NOW = datetime(2025, 11, 3, 12, tzinfo=UTC)
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ABORT = "abort@a91c22d07b/t1"


def annotated(version: int = 1, annotations: Any = None, **spec: Any) -> Any:
    raw = service(version=version, **spec)
    raw["metadata"]["annotations"] = annotations
    return raw


def seen(*versions: Any) -> tuple[dict[str, str], set[Key]]:
    """The annotations that a decision sees after these versions, and the keys that the last of them concerned."""
    store = Store(accelerators(), runtimes())
    keys: set[Key] = set()
    for raw in versions:
        keys = store.put(INFERENCE_SERVICE, raw)
    observation = observe(LLAMA, store, NOW)
    assert isinstance(observation, Observation)
    return observation.service.metadata.annotations, keys


@pytest.mark.parametrize(
    ("case", "before", "now", "kept", "keys"),
    [
        ("an action", {}, {ACTION: ABORT}, {ACTION: ABORT}, {LLAMA}),
        ("the same action in a new version", {ACTION: ABORT}, {ACTION: ABORT}, {ACTION: ABORT}, set()),
        ("the same action once more", {ACTION: ABORT}, {ACTION: "abort@a91c22d07b/t2"},
         {ACTION: "abort@a91c22d07b/t2"}, {LLAMA}),
        ("an action that was taken away", {ACTION: ABORT}, {}, {}, {LLAMA}),
        ("an empty action", {}, {ACTION: ""}, {}, set()),
        ("annotations of others", {}, {APPLIED: "x" * 9000}, {}, set()),
        ("annotations of others beside an action", {ACTION: ABORT}, {ACTION: ABORT, APPLIED: "x"}, {ACTION: ABORT},
         set()),
        ("one that is far too long", {}, {ACTION: "abort@" + "a" * 9000}, {ACTION: "abort@" + "a" * 122}, {LLAMA}),
        ("none", None, None, {}, set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_of_annotations_the_action_alone_is_seen_and_makes_work(
    case: str, before: Any, now: Any, kept: dict[str, str], keys: set[Key]
) -> None:
    assert seen(annotated(1, before), annotated(2, now)) == (kept, keys)


def test_what_nobody_annotated_is_kept_as_it_always_was() -> None:
    assert parent_view(annotated(annotations={APPLIED: "x"})) == parent_view(service())
