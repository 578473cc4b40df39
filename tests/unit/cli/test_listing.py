"""`inferops list`: a line a service, in 120 columns."""

from __future__ import annotations

from typing import Any

import pytest

from inferops.cli import table
from inferops.cli.lines import line
from inferops.cli.listing import WIDTH, drawn, row
from inferops.cli.table import Cell, Column
from inferops.kube.owned import Object
from unit.cli.scenes import NOW, OBSERVING, OLD, at, parsed, paused, revision, service

READY = [{"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": at()}]
STABLE = revision(OLD, "Stable", replicas=4, readyReplicas=4, weight=100, desiredWeight=100, usdPerHour="2.5")


def serving(**more: Any) -> Object:
    found = service(conditions=READY, revisions=[STABLE], desiredReplicas=4, url="http://llama.chat.svc", **more)
    found["metadata"] = {**found["metadata"], "creationTimestamp": at(hours=-50)}
    return found


def lines(*raws: Object, wide: bool = False, everywhere: bool = True) -> list[str]:
    columns, rows = drawn(map(parsed, raws), NOW, wide=wide, everywhere=everywhere)
    return [line(each).plain for each in table.lines(columns, rows, 0 if wide else WIDTH)]


def test_a_service_that_serves() -> None:
    header, told = lines(serving(), everywhere=False)
    assert header == "NAME   READY  REVISION    CANARY  REPLICAS  ACCELERATOR          USD/H  REASON  AGE"
    assert told == "llama  True   5f0d3a91c2  -       4/4       1x nvidia-h100-80gb  10.00  Ready   2d"


def test_a_canary_is_told_with_its_share() -> None:
    raw = service(OBSERVING, conditions=READY, desiredReplicas=4)
    found = row(parsed(raw), NOW)
    assert (found["canaryWeight"], found["reason"], found["usdPerHour"]) == (25, "Observing", None)
    assert " 25% " in lines(raw)[1] and " ? " in lines(raw)[1], "no price is known, and none is guessed"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (service(paused(), conditions=READY), "RolloutPaused"),
        (service(conditions=READY, generation=3), "NotJudgedYet"),
        (service(conditions=[]), "NotJudgedYet"),
    ],
)
def test_the_reason_is_what_people_must_know(raw: Object, reason: str) -> None:
    assert row(parsed(raw), NOW)["reason"] == reason


def test_long_names_and_all_columns_stay_within_120() -> None:
    raw = serving()
    raw["metadata"] = {**raw["metadata"], "name": "n" * 50, "namespace": "s" * 40}
    raw["status"]["revisions"][0] = {**STABLE, "accelerator": "16x nvidia-h100-80gb on 2 nodes (spot)"}
    raw["status"]["conditions"] = [{**READY[0], "status": "False", "reason": "LeaderWorkerSetMissingForEver"}]
    assert all(len(each) <= 120 for each in lines(raw)) and lines(raw)[1].startswith("sss")
    assert "…" in lines(raw)[1] and "…" not in lines(raw, wide=True)[1]


def test_placed_services_count_over_their_clusters() -> None:
    clusters = [
        {"cluster": "eu", "state": "Serving", "accelerator": "2x nvidia-l4", "readyReplicas": 2, "desiredReplicas": 2},
        {"cluster": "us", "state": "Serving", "accelerator": "1x nvidia-l4", "readyReplicas": 1, "desiredReplicas": 2},
    ]
    found = row(parsed(service(conditions=READY, revisions=[], placement={"target": 4, "clusters": clusters})), NOW)
    assert (found["readyReplicas"], found["replicas"], found["clusters"]) == (3, 4, ["eu", "us"])
    assert found["accelerator"] == "1x nvidia-l4, 2x nvidia-l4" and found["usdPerHour"] == pytest.approx(6 * 0.78)


def test_wide_has_the_address() -> None:
    assert "http://llama.chat.svc" in lines(serving(), wide=True)[1]


def test_texts_of_others_are_harmless_and_cut() -> None:
    columns = Column("A", cut=True), Column("B", right=True)
    header, told = table.lines(columns, [("[red]\x1b[31m" + 20 * "x", Cell("7", "red"))], 13)
    assert header == "A           B" and line(told).plain == "[red] [31…  7"


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_documents_are_the_same_data(output: str) -> None:
    import yaml

    data = row(parsed(serving()), NOW)
    assert yaml.safe_load(table.document(data, output)) == data
