"""The quickstart: its samples are three versions of one service, and what it tells of them."""

from __future__ import annotations

from typing import Any

import yaml

from harness import ROOT
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.resources import InferenceService
from inferops.core.revision import revision_of
from quickstart import NAME, SAMPLES, line

CHOICE = AcceleratorChoice(type="nvidia-l4")


def sample(name: str, **status: Any) -> InferenceService:
    document = yaml.safe_load((ROOT / SAMPLES / f"{name}.yaml").read_text())
    document["metadata"]["generation"] = 2
    return InferenceService.model_validate({**document, "status": {"observedGeneration": 2, **status}})


def not_ready(reason: str, message: str) -> dict[str, str]:
    told = {"reason": reason, "message": message, "lastTransitionTime": "2026-11-21T09:00:00Z"}
    return {"type": "Ready", "status": "False", **told}


def test_the_samples_are_three_versions_of_one_service() -> None:
    services = [sample(name) for name in ("chat", "better", "worse")]
    assert {service.metadata.name for service in services} == {NAME}
    assert len({revision_of(service.spec, CHOICE).hash for service in services}) == 3
    assert len({service.spec.rollout.model_dump_json() for service in services}) == 1


def test_nothing_is_told_until_the_operator_has_looked() -> None:
    assert line(sample("chat", observedGeneration=1)) == ""


def test_why_it_is_not_ready_is_told() -> None:
    condition = not_ready("Loading", "no node")
    told = line(sample("better", conditions=[condition], rollout={"phase": "Loading", "message": "it loads"}))
    assert told.startswith("Loading")
    assert told.endswith("it loads; not Ready: no node")


def test_nothing_is_told_twice() -> None:
    condition = not_ready("HarmShown", "it went")
    told = line(sample("worse", conditions=[condition], rollout={"phase": "RolledBack", "message": "it went back"}))
    assert told == "RolledBack: it went back"
