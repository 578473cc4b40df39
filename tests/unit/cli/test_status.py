"""`inferops status`: the tree that is shown of a service."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from inferops.api.inferenceservicestatus import InferenceServiceStatus, SizedOption, SizingStatus
from inferops.api.placement import ClusterPlacement, NotChosen, PlacementStatus
from inferops.api.resources import InferenceService
from inferops.api.scalingstatus import ScalingStatus
from inferops.cli.access import Shown
from inferops.cli.events import Told
from inferops.cli.status import tree
from inferops.core.observation import PodView
from unit.cli.scenes import NEW, OBSERVING, parsed, paused, retaining, revision, service, text
from unit.cli.scenes import shown as scene


def shown(status: InferenceServiceStatus) -> str:
    meta = {"name": "chat", "namespace": "team", "uid": "u", "generation": 1}
    parsed = InferenceService.model_validate({"metadata": meta, "spec": {"model": {"uri": "hf://Qwen/Qwen3-8B"}}})
    console = Console(width=300)
    with console.capture() as captured:
        console.print(tree(Shown(parsed.model_copy(update={"status": status}), [])))
    return captured.get()


def option(accelerator: str) -> SizedOption:
    return SizedOption(
        accelerator=accelerator,
        precision="bf16",
        replicas=1,
        concurrency=27,
        kv_tokens=35_207,
        longest_context=8192,
        ttft="635ms",
        tpot="76ms",
        tokens_per_second=205,
        usd_per_hour="0.78",
    )


def test_a_service_that_nobody_has_judged_says_so() -> None:
    assert "no operator has looked at it yet" in shown(InferenceServiceStatus())


def test_sizing_shows_the_model_and_the_cheapest_options() -> None:
    found = [option(f"1x gpu-{number}") for number in range(5)]
    text = shown(InferenceServiceStatus(sizing=SizingStatus(model="qwen: 8.19 billion parameters", options=found)))
    assert "qwen: 8.19 billion parameters" in text
    assert "1x gpu-0, bf16: 1 x 27 requests, TTFT 635ms, TPOT 76ms, 205 tokens/s, 0.78 USD/h" in text
    assert "gpu-2" in text and "gpu-3" not in text


def test_where_nothing_would_do_the_first_reason_is_shown() -> None:
    sizing = SizingStatus(model="qwen", rejected=["1x gpu-a does not fit", "1x gpu-b does not fit"])
    text = shown(InferenceServiceStatus(sizing=sizing))
    assert "1x gpu-a does not fit" in text and "gpu-b" not in text


def test_scaling_shows_what_is_wanted_and_the_numbers_behind_it() -> None:
    told = ScalingStatus(
        mode="auto", reason="Forecast", message="forecast", arrivals_per_second="12.3", forecast_per_second="14",
        capacity_per_second="4.1", utilization="0.8", cold_start="95s", attainment="0.9950",
        last_scale_time="2000-01-01T00:00:00Z",
    )  # fmt: skip
    text = shown(InferenceServiceStatus(scaling=told, desired_replicas=5, ready_replicas=3, explain=["forecast"]))
    lines = [line.lstrip("│├└─ ").rstrip() for line in text.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("scaling"))
    assert lines[start].startswith("scaling  5 replicas wanted, 3 ready, auto: Forecast, changed ")
    assert lines[start + 1 : start + 7] == [
        "12.3 requests/s arrive",
        "14 requests/s forecast",
        "a replica carries 4.1 requests/s",
        "0.8 of that is planned to be used",
        "it starts in 95s",
        "0.9950 of requests met the SLO",
    ]
    assert "forecast" in lines[lines.index("why") + 1]


def test_clusters_show_what_each_has_and_why_others_have_nothing() -> None:
    east = ClusterPlacement(
        cluster="east", state="Serving", accelerator="2x nvidia-l4", replicas=4, min_replicas=1, ready_replicas=2
    )
    west = ClusterPlacement(cluster="west", state="Lost", accelerator="1x nvidia-l4", replicas=3, min_replicas=3)
    north = NotChosen(cluster="north", reason="NoRoom", message="no room for a replica")
    told = PlacementStatus(clusters=[east, west], not_chosen=[north], message="there is no room for 1 of 8 replicas")
    text = shown(InferenceServiceStatus(placement=told))
    lines = [line.lstrip("│├└─ ").rstrip() for line in text.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("clusters"))
    assert lines[start:] == [
        "clusters  2 replicas ready",
        "there is no room for 1 of 8 replicas",
        "east  Serving  2 of 1 to 4 replicas ready, on 2x nvidia-l4",
        "west  Lost  0 of 3 replicas ready, on 1x nvidia-l4",
        "not north: NoRoom: no room for a replica",
        "cost  3.12 USD/h, 2,278 USD a month at this rate",
        "what to do: inferops why chat -n team",
    ]


def test_of_a_number_by_hand_nothing_of_scaling_is_shown() -> None:
    assert "scaling" not in shown(InferenceServiceStatus(desired_replicas=5, scaling=ScalingStatus(learned="x")))


@pytest.mark.parametrize(
    ("case", "rollout", "expected"),
    [
        ("under way", OBSERVING, ["rollout  Observing, step 2 of 3 (25%), revision a91c22d07b gets 25% of requests, "
                                  "errorRate NoWorse, ttft Undecided, tpot NotJudged",
                                  "Undecided: 25% reached; ttft is not decided yet",
                                  "more: inferops rollout status llama -n chat"]),
        ("paused", paused(analysis={}), ["rollout  Observing, paused, step 2 of 3 (25%), revision a91c22d07b gets 25% "
                                         "of requests",
                                         "NoData: no requests of the canary for 30m",
                                         "more: inferops rollout status llama -n chat"]),
        ("long over", retaining(phase="Succeeded"), ["rollout  Succeeded", "Promoted",
                                                     "more: inferops rollout status llama -n chat"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_rollout_is_one_branch(case: str, rollout: Any, expected: list[str]) -> None:
    lines = [line.lstrip("│├└─ ").rstrip() for line in text(tree(scene(service(rollout)))).splitlines()]
    start = lines.index(expected[0])
    assert lines[start : start + 4] == [*expected, "revisions  4 replicas ready"]


def test_a_service_that_never_had_a_rollout_shows_none() -> None:
    assert "rollout" not in text(tree(scene(service({}))))


@pytest.mark.parametrize("role", ["Stable", "Canary", "Previous", "Retiring"])
def test_each_revision_has_its_role_and_its_share(role: str) -> None:
    told = text(tree(scene(service({}, revisions=[revision(NEW, role, weight=10, desiredWeight=25, replicas=3)]))))
    assert f"{NEW}  {role}  10% of requests (25% desired)  0/3 ready  1x nvidia-h100-80gb" in told


def test_cost_is_told_with_what_the_rollout_adds() -> None:
    told = [
        revision("5f0d3a91c2", "Stable", replicas=4, usdPerHour="2.5"),
        revision(NEW, "Canary", replicas=1, usdPerHour="2.5"),
    ]
    raw = service(OBSERVING, revisions=told)
    expected = "cost  12.50 USD/h, 9,125 USD a month at this rate, 2.50 USD/h of it for the rollout"
    assert expected + "; 2.50 USD/h now, since not all of them have a node" in text(
        tree(Shown(parsed(raw), [PodView("a", "5f0d3a91c2", node="gpu-1"), PodView("b", "5f0d3a91c2")]))
    )
    assert f"{expected}\n" in text(tree(Shown(parsed(raw), [], unseen="you may not")))
    priceless = text(tree(scene(service(OBSERVING))))
    assert "cost  ? USD/h, with prices that are not known" in priceless


def test_events_and_where_to_ask_further_stand_at_its_end() -> None:
    news = [Told("HarmShown", "40 of 120 bad [x]", warning=True, count=2, last="2000-01-01T00:00:00Z")]
    drawn = text(tree(scene(service(OBSERVING)), news, ["you may not list events"]))
    lines = [line.lstrip("│├└─ ") for line in drawn.splitlines()]
    start = lines.index("events, the newest first")
    assert lines[start + 1].startswith("HarmShown (x2): 40 of 120 bad [x]  9") and lines[start + 1].endswith(" ago")
    assert lines[start + 2 :] == ["not seen: you may not list events", "what to do: inferops why llama -n chat"]
