"""What a rollout is told: from when on requests are counted, of which pods, by the names of which engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.resources import InferenceService
from inferops.api.rolloutstatus import AnalysisStatus, RolloutStatus
from inferops.catalogue import accelerators, runtimes
from inferops.controller.counting import Counting
from inferops.controller.following import Ask
from inferops.controller.gates import Gates
from inferops.controller.rollouts import Rollouts
from inferops.controller.store import Key, Store
from inferops.core.observation import PodView, RevisionView
from inferops.core.revision import revision_of
from inferops.core.signal import Window
from inferops.runtimes import ENGINES

KEY = Key("InferenceService", "chat", "llama")
WINDOW = Window(datetime(2025, 11, 3, tzinfo=UTC), datetime(2025, 11, 3, 0, 0, 5, tzinfo=UTC), "gateway")


@dataclass
class Counted:
    """What is asked of Counting."""

    asks: list[Ask] = field(default_factory=list[Ask])
    since: list[datetime | None] = field(default_factory=list["datetime | None"])
    forgotten: int = 0

    def want(self, key: Key, ask: Ask) -> None:
        self.asks.append(ask)

    def window(self, key: Key, since: datetime | None) -> tuple[Window | None, str]:
        self.since.append(since)
        return WINDOW, ""

    def forget(self, key: Key) -> None:
        self.forgotten += 1


def service(runtime: str = "vllm", phase: str = "Observing", until: str = "", **spec: Any) -> InferenceService:
    parsed = InferenceService.model_validate(
        {
            "metadata": {"name": "llama", "namespace": "chat", "uid": "1"},
            "spec": {"model": {"uri": "hf://org/m"}, "accelerators": [{"type": "nvidia-l4"}],
                     "runtime": {"name": runtime}, **spec},
        }
    )  # fmt: skip
    rollout = RolloutStatus.model_validate({"phase": phase, "analysis": AnalysisStatus(until=until).dump()})
    return parsed.model_copy(update={"status": InferenceServiceStatus(rollout=rollout)})


def revision(hash_: str, runtime: str = "vllm", **facts: Any) -> RevisionView:
    of = service(runtime)
    pod = PodView(f"{hash_}-0", hash_, **facts)
    return RevisionView(hash_, revision_of(of.spec, of.spec.accelerators[0]), pods=(pod,))


def ask(of: InferenceService, *revisions: RevisionView) -> tuple[Counted, Window | None]:
    counted = Counted()
    store = Store(accelerators(), runtimes())
    rollouts = Rollouts(cast(Counting, counted), cast(Gates, None), store)
    return counted, rollouts.window(KEY, of, revisions)[0]


def test_counts_are_wanted_of_the_pods_of_both_revisions() -> None:
    slo = {"ttft": "800ms", "tpot": "50ms"}
    counted, window = ask(service(slo=slo), revision("a"), revision("b"), revision("c", worker=True))
    [asked] = counted.asks
    assert window is WINDOW and set(asked.pods) == {"a-0", "b-0"}
    assert (asked.ttft, asked.tpot, asked.source) == (0.8, 0.05, "auto")
    assert asked.engine is ENGINES["vllm"].metrics and asked.ports["http"] == 8000


def test_unlike_engines_do_not_compare_by_their_own_metrics() -> None:
    counted, _ = ask(service(), revision("a", "vllm"), revision("b", "sglang"))
    assert counted.asks[0].engine is None and counted.asks[0].ports == {}


@pytest.mark.parametrize(
    ("until", "since"),
    [
        ("2025-11-03T12:00:00Z", datetime(2025, 11, 3, 12, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        ("2025-11-03T12:00:00", None),  # of which nobody knows the zone
    ],
)
def test_counting_goes_on_from_what_was_judged(until: str, since: datetime | None) -> None:
    counted, _ = ask(service(until=until), revision("a"))
    assert counted.since == [since]


@pytest.mark.parametrize("phase", ["Idle", "WaitingForCapacity", "Loading", "Succeeded", "RolledBack"])
def test_nothing_is_counted_where_no_requests_are_compared(phase: str) -> None:
    counted, window = ask(service(phase=phase), revision("a"), revision("b"))
    assert window is None and counted.asks == [] and counted.forgotten == 1
