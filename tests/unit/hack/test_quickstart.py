"""The quickstart: its samples are three versions of one service, and what it tells of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml
from rich.console import Console

from controlplane import BenchError
from harness import ROOT, wait_until
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.resources import InferenceService
from inferops.core.revision import revision_of
from quickstart import NAME, SAMPLES, Narrator, line

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


class FakeCluster:
    def __init__(self) -> None:
        self.looks = 0

    def get(self, path: str) -> str:
        self.looks += 1
        raise BenchError("gone")


class FakeTraffic:
    def __init__(self) -> None:
        self.answers = Counter({200: 3, 0: 1})


def test_the_narrator_bears_with_a_cluster_that_is_gone_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quickstart.EVERY", 0.001)
    monkeypatch.setattr("quickstart.console", Console(width=200))
    cluster = FakeCluster()
    narrator = Narrator(cluster, FakeTraffic())  # type: ignore[arg-type]
    narrator.start()
    wait_until("it has looked", lambda: cluster.looks > 3, 10, 0.001)
    narrator.stop()
    assert not narrator.is_alive()
    told = capsys.readouterr().out
    assert told.count("gone") == 1
    assert "clients got 1x no answer, 3x 200" in told
