"""The status of an InferenceCluster, from what is known of the member."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.api.conditions import Reason
from inferops.api.inferencecluster import InferenceClusterStatus, Offer
from inferops.core.clusterstatus import NOT_ACTED_ON, Member, cluster_status, restored
from inferops.core.engine import Obstacle
from inferops.core.membership import Health

NOW = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
AT = NOW.timestamp()
OFFERS = (Offer(accelerator="nvidia-l4", nodes=1, total=8, free=8),)
WELL = Member(Health("Healthy"), uid="uid-1", nodes=2, ready=2, offers=OFFERS)
SILENT = Health("Suspect", silent=AT - 60, why="get Namespace /kube-system: no answer TimeoutError: timed out; or so")


def told(status: InferenceClusterStatus) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in status.conditions}


# What is known; then Ready, ControlPlaneHealthy, DataPlaneHealthy and CapacityFresh.
ROWS = [
    (WELL, "True Ready", "True Answers", "True NodesReady", "True Counted"),
    (replace(WELL, offers=None), "Unknown Probing", "True Answers", "True NodesReady", "Unknown Probing"),
    (replace(WELL, ready=0), "True Ready", "True Answers", "False NodesNotReady", "True Counted"),
    (replace(WELL, health=SILENT), "Unknown Suspect", "Unknown Suspect", "Unknown NotSeen", "False Stale"),
    (
        replace(WELL, health=replace(SILENT, gateways=True), cut_off=True),
        *("Unknown HubCutOff", "Unknown HubCutOff", "True GatewayAnswers", "False Stale"),
    ),
    (
        replace(WELL, health=replace(SILENT, state="Lost", gateways=False)),
        *("False Lost", "False Lost", "False GatewaySilent", "False Stale"),
    ),
    (
        replace(WELL, health=Health("Unauthorized", why="401 Unauthorized")),
        *("False Unauthorized", "False Unauthorized", "Unknown NotSeen", "False Stale"),
    ),
    (
        replace(WELL, health=Health("Returning", back=AT)),
        *("Unknown Returning", "Unknown Returning", "Unknown NotSeen", "False Stale"),
    ),
]


@pytest.mark.parametrize(("seen", "ready", "control", "data", "capacity"), ROWS)
def test_what_is_told(seen: Member, ready: str, control: str, data: str, capacity: str) -> None:
    found = {
        kind: " ".join(both) for kind, both in told(cluster_status(InferenceClusterStatus(), 3, NOW, seen)).items()
    }
    assert (found["Ready"], found["ControlPlaneHealthy"]) == (ready, control)
    assert (found["DataPlaneHealthy"], found["CapacityFresh"]) == (data, capacity)


@pytest.mark.parametrize("seen", [row[0] for row in ROWS])
def test_it_follows_kstatus(seen: Member) -> None:
    """Ready is Unknown with Reconciling, and False with Stalled."""
    found = told(cluster_status(InferenceClusterStatus(), 3, NOW, seen))
    beside = {"True": set(), "Unknown": {"Reconciling"}, "False": {"Stalled"}}[found["Ready"][0]]
    assert {"Reconciling", "Stalled"} & set(found) == beside


def test_offers_stay_as_they_were_counted_last() -> None:
    once = cluster_status(InferenceClusterStatus(), 3, NOW, WELL)
    gone = cluster_status(once, 3, NOW, Member(SILENT))
    assert (gone.offers, gone.cluster_uid) == (list(OFFERS), "uid-1")
    assert told(gone)["CapacityFresh"] == ("False", "Stale")


def test_one_that_is_not_asked_says_why_and_offers_nothing() -> None:
    once = cluster_status(InferenceClusterStatus(), 3, NOW, WELL)
    for why in (NOT_ACTED_ON, Obstacle(Reason.SAME_CLUSTER, "twice")):
        found = cluster_status(once, 4, NOW, why)
        assert told(found) == {"Ready": ("False", why.reason), "Stalled": ("True", why.reason)}
        assert (found.observed_generation, found.offers) == (4, [])


health = st.builds(
    Health,
    st.sampled_from(["Suspect", "Lost"]),
    st.integers(0, 2_000_000_000).map(float),
    st.none(),
    st.sampled_from([None, True, False]),
    st.text(max_size=80),
)


@settings(max_examples=200)
@given(health, st.booleans())
def test_a_silence_is_read_back_as_it_was_told(seen: Health, cut_off: bool) -> None:
    """So an operator that starts writes nothing, and counts on from when the silence began."""
    once = cluster_status(InferenceClusterStatus(), 1, NOW, Member(seen, cut_off, offers=OFFERS))
    back = restored(once)
    assert (back.state, back.silent, back.why) == (seen.state, seen.silent, seen.why)
    again = cluster_status(once, 1, NOW + timedelta(hours=1), Member(replace(back, gateways=seen.gateways), cut_off))
    assert again == once


def test_nothing_is_restored_of_one_that_was_well() -> None:
    assert restored(cluster_status(InferenceClusterStatus(), 1, NOW, WELL)) == Health()
    assert restored(InferenceClusterStatus()) == Health()
