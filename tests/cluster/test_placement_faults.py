"""Three members, all real, behind lines that fail in every way: what is passed over, borne, taken over, and given back.

The scenes follow each other, and an outage shows several services at once: waiting is most of the time. Each scene says
what of its faults bit, so that none passes because nothing happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.faultproxy import Fault
from cluster.placements import CHAT, EVERY, LOST, SUSPECT, Fleet, Member
from cluster.services import Json, denied, manifest

EVERYWHERE = {"clusters": {}, "minClusters": 3}
AT_MOST_TWO = {**EVERYWHERE, "maxPerCluster": 2}
ORPHAN = {**EVERYWHERE, "deletionPolicy": "Orphan"}
IN_NORTH = {"clusters": {"matchLabels": {"name": "north"}}}
URI = "hf://Qwen/Qwen3-8B"
V1, V2 = ({"uri": URI, "revision": each} for each in ("v1", "v2"))
WAVES = {"steps": [], "retainPrevious": "0s", "clusters": {"waves": [["east"], ["north"]], "bake": "5m"}}
ONE_EACH = {"east": ("Serving", 1), "north": ("Serving", 1), "west": ("Serving", 1)}
TWO_EACH = {name: ("Serving", 2) for name in ONE_EACH}
ALL = ("llama", "wide", "gone", "left", "theirs", "load")
HPA: Json = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "load", "namespace": CHAT},
    "spec": {
        "scaleTargetRef": {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "InferenceService", "name": "load"},
        "minReplicas": 2,
        "maxReplicas": 4,
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
                                                                         "averageUtilization": 50}}}
        ],
    },
}  # fmt: skip
POLICY: Json = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "no-v2"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["serving.inferops.dev"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["inferenceservices"],
                }
            ]
        },
        "validations": [
            {"expression": "!has(object.spec.model.revision) || object.spec.model.revision != 'v2'",
             "message": "v2 is not approved here"}
        ],
    },
}  # fmt: skip
BINDING: Json = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "no-v2"},
    "spec": {"policyName": "no-v2", "validationActions": ["Deny"]},
}


class Scene:
    """The fleet with its services, and what was seen of them before."""

    def __init__(self, fleet: Fleet, backup: Path) -> None:
        self.fleet, self.backup = fleet, backup
        self.east, self.north, self.west = fleet.each
        self.theirs = self.east.child("theirs")

    def children(self) -> dict[tuple[str, str], str]:
        """UIDs of what is ours in the members, by cluster and name."""
        found = {
            (cluster, name): member.child(name).get("metadata", {}).get("uid", "")
            for cluster, member in self.fleet.members.items()
            for name in ALL
        }
        return {key: uid for key, uid in found.items() if uid}


@pytest.fixture(scope="module")
def scene(fleet: Fleet) -> Iterator[Scene]:
    """Two replicas of one service where it is cheapest, one of each of three others everywhere, and a namesake of a
    fourth that east has of its own."""
    east, north = fleet.members["east"], fleet.members["north"]
    apis = "/apis/admissionregistration.k8s.io/v1"
    north.cluster.apply(f"{apis}/validatingadmissionpolicies/no-v2", POLICY)
    north.cluster.apply(f"{apis}/validatingadmissionpolicybindings/no-v2", BINDING)
    east.edit("theirs", {**manifest("theirs")["spec"], "scaling": {"replicas": 1}})
    fleet.ask("llama", scaling={"replicas": 2})
    fleet.ask("wide", model=V1, scaling={"replicas": 3}, placement=AT_MOST_TWO, rollout=WAVES)
    fleet.ask("gone", scaling={"replicas": 3}, placement=EVERYWHERE)
    fleet.ask("left", scaling={"replicas": 3}, placement=ORPHAN)
    fleet.ask("theirs", scaling={"replicas": 1})
    fleet.ask("load", scaling={"mode": "auto", "minReplicas": 1, "maxReplicas": 4}, placement=IN_NORTH)
    fleet.wait("all are ready", lambda: fleet.ready("llama", "wide", "gone", "left", "theirs"), 60, of="wide")
    fleet.wait("the one by load", lambda: len(north.uids("load")) == 1, of="load")
    yield Scene(fleet, fleet.back_up())


def test_what_is_not_ours_is_left_alone_and_goes_elsewhere(scene: Scene) -> None:
    assert scene.fleet.why_not("theirs")["east"] == "Refused"
    assert scene.fleet.record("theirs") == {"north": ("Serving", 1)}


def test_short_faults_of_every_kind_write_nothing(scene: Scene) -> None:
    fleet, (east, north, west) = scene.fleet, scene.fleet.each
    fleet.quiet()
    before = fleet.written()
    asked = [each.probes() for each in fleet.each]
    busy, late = Fault(method="GET", status=429, retry_after=1, times=3), Fault(watch=False, delay=0.5, times=20)
    with north.proxy.fault(busy), west.proxy.fault(late):
        began = time.monotonic()
        east.cut()
        assert north.proxy.fail_watches(410) > 0
        assert west.proxy.cut_watches() > 0
        north.line.reset()
        west.line.slow(0.3)
        fleet.wait("two probes fall into it", lambda: time.monotonic() - began > 2 * EVERY)
    for each in fleet.each:
        each.mend()

    def heard() -> bool:
        return all(each.probes() >= number + 3 for each, number in zip(fleet.each, asked, strict=True))

    fleet.wait("all answer again", heard)
    assert fleet.written() == before
    assert east.line.bites["held"] > 0 and east.door.bites["held"] > 0
    assert north.line.bites["reset"] > 0 and busy.hits.total() == 3
    assert west.line.bites["slowed"] > 0 and late.hits.total() > 0


def test_what_is_written_arrives_once_whatever_happens_on_the_way(scene: Scene) -> None:
    fleet, (east, north, west) = scene.fleet, scene.fleet.each
    before = [each.child("wide")["metadata"]["generation"] for each in fleet.each]
    lost = Fault(method="PATCH", path="/wide", drop="after", times=1)
    busy = Fault(method="PATCH", path="/wide", status=429, retry_after=1, times=2)
    with east.proxy.fault(lost), north.proxy.fault(busy):
        west.line.slow(0.4)
        fleet.ask("wide", scaling={"replicas": 6})
        fleet.until("two in each", "wide", TWO_EACH)
    west.mend()
    assert (lost.hits.total(), busy.hits.total()) == (1, 2) and west.line.bites["slowed"] > 0
    assert [each.child("wide")["metadata"]["generation"] for each in fleet.each] == [number + 1 for number in before]
    # Watches that were failed and cut tell again: what somebody changes there is seen, and taken back.
    north.edit("wide", {"scaling": {"replicas": 5}})
    fleet.wait("taken back", lambda: _replicas(north, "wide") == 2)
    # What the hub left open there somebody else may set, here by something that does not work.
    north.cluster.kubectl("scale", "infs/load", "-n", CHAT, "--replicas=1")
    north.cluster.apply(f"/apis/autoscaling/v2/namespaces/{CHAT}/horizontalpodautoscalers/load", HPA)


def test_one_that_refuses_us_keeps_what_it_has_and_nobody_gets_less(scene: Scene) -> None:
    fleet, (east, north, west) = scene.fleet, scene.fleet.each
    refused = Fault(status=401)
    with east.proxy.fault(refused):
        fleet.wait("it is told", lambda: fleet.record("llama")["east"] == ("Suspect", 2), of="llama")
        fleet.ask("wide", scaling={"replicas": 3})
        fleet.ask("llama", scaling={"replicas": 3})
        fleet.until("elsewhere", "llama", {"east": ("Suspect", 2), "north": ("Serving", 1)})
        fleet.wait("it is decided", lambda: fleet.says("wide"), of="wide")
        assert fleet.replicas("wide") == dict.fromkeys(ONE_EACH, 2)
        assert "east" in west.spillover("wide") & north.spillover("wide"), "its gateways may serve on"
        assert fleet.reason("east") == "Unauthorized"
    assert refused.hits.total() > 0
    fleet.ask("llama", scaling={"replicas": 2})
    fleet.until("one in each", "wide", ONE_EACH)
    fleet.until("where it is cheapest", "llama", {"east": ("Serving", 2)})


@pytest.fixture(scope="module")
def outage(scene: Scene) -> dict[str, Any]:
    """All members fall silent, two by resets and one as if the ground had swallowed it, while a new version serves in
    the first wave. Meanwhile two services are deleted, and the operator is killed."""
    fleet, (east, north, west) = scene.fleet, scene.fleet.each
    fleet.ask("wide", model=V2)
    baking = {"east": "v2", "north": "v1", "west": "v1"}
    fleet.wait("the first wave serves", lambda: fleet.placement("wide")["rollout"]["phase"] == "Baking", of="wide")
    assert fleet.versions("wide") == baking
    found = {"children": scene.children(), "pods": east.uids("llama"), "bites": east.line.bites["reset"]}
    began, found["writes"] = time.monotonic(), fleet.written()[2]
    east.refuse()
    west.refuse()
    north.cut()
    fleet.wait("it is told", lambda: fleet.reason("east") == "HubCutOff", 2 * SUSPECT)
    fleet.delete("left")
    fleet.delete("gone")
    fleet.wait("it waits", lambda: fleet.says("gone").get("reason") == "Terminating", of="gone")
    found["blocked"] = fleet.says("gone")["message"]
    fleet.end()
    fleet.begin()
    fleet.wait("long enough to be lost", lambda: time.monotonic() - began > LOST + 2 * EVERY)
    fleet.wait("one more look", lambda: fleet.reason("west") == "HubCutOff")
    return found


def test_when_all_are_silent_it_is_the_hub_that_is_alone(scene: Scene, outage: dict[str, Any]) -> None:
    fleet = scene.fleet
    assert fleet.record("llama") == {"east": ("Suspect", 2)}
    # The new operator first waits for all to answer.
    told = ("east", "west")
    fleet.wait("it is told", lambda: {fleet.record("wide")[each][0] for each in told} == {"Suspect"}, of="wide")
    assert fleet.record("wide")["north"][0] in ("Serving", "Suspect"), "whoever hears nothing waits before he gives up"
    assert fleet.written()[2] == outage["writes"]
    assert scene.children() == outage["children"]


def test_a_deletion_waits_for_them_by_name_and_an_orphan_does_not(scene: Scene, outage: dict[str, Any]) -> None:
    assert all(f"{name}: " in outage["blocked"] for name in ONE_EACH) and "Orphan" in outage["blocked"]
    assert scene.fleet.service("gone") and not scene.fleet.service("left")


def test_one_that_stays_lost_is_replaced_and_what_it_has_runs_on(scene: Scene, outage: dict[str, Any]) -> None:
    fleet, (east, north, west) = scene.fleet, scene.fleet.each
    for each in (north, west):
        each.mend()
    fleet.wait("others take over", lambda: len(north.uids("llama")) == 2, of="llama")
    assert fleet.record("llama")["east"] == ("Lost", 2)
    assert (east.child("llama")["metadata"]["uid"], east.uids("llama")) == (
        outage["children"]["east", "llama"],
        outage["pods"],
    )
    assert east.line.bites["reset"] > outage["bites"] and north.line.bites["held"] > 0
    fleet.wait("the others are rid of it", lambda: not north.child("gone") and not west.child("gone"))
    assert east.child("gone") and fleet.service("gone")
    fleet.wait("no longer passed on to", lambda: "east" not in west.spillover("wide"), of="wide")


def test_a_cluster_that_refuses_the_version_stops_the_waves(scene: Scene, outage: dict[str, Any]) -> None:
    """Its own admission policy does. The first wave is lost by now, so it is the first that can tell."""
    fleet = scene.fleet
    fleet.wait("stopped", lambda: fleet.placement("wide")["rollout"]["phase"] == "Stopped", of="wide")
    assert "v2 is not approved here" in fleet.placement("wide")["rollout"]["message"]
    assert fleet.versions("wide") == {"east": "v2", "north": "v1", "west": "v1"}, "nobody can tell east anything"


def test_one_that_is_back_is_rid_of_what_was_deleted_then_adopted_then_drained(
    scene: Scene, outage: dict[str, Any]
) -> None:
    fleet, east = scene.fleet, scene.east
    back = time.monotonic()
    east.mend()
    serving: list[int] = []

    def done() -> bool:
        serving.append(sum(fleet.replicas("llama").values()))
        return not fleet.service("gone") and serving[-1] == 2 and fleet.ready("llama")

    fleet.wait("one of them is enough", done, of="llama")
    assert min(serving) == 2 and serving[0] == 4
    assert east.child("llama")["metadata"]["uid"] == outage["children"]["east", "llama"]
    first = east.proxy.writes(back)[0]
    assert (first.method, first.path.rpartition("/")[2]) == ("DELETE", "gone"), "before anything else"
    fleet.wait("it has the old version again", lambda: set(fleet.versions("wide").values()) == {"v1"}, of="wide")
    assert not east.child("gone")
    left = {key: uid for key, uid in scene.children().items() if key[1] == "left"}
    assert left == {key: uid for key, uid in outage["children"].items() if key[1] == "left"} and len(left) == 3


def test_an_autoscaler_in_a_member_is_not_fought(scene: Scene) -> None:
    """It has no metrics: what it set, two replicas at least, stays."""
    fleet, north = scene.fleet, scene.north
    fleet.wait("it has scaled", lambda: len(north.uids("load")) == 2, of="load")
    began = time.monotonic()
    asked = north.probes()
    fleet.wait("the hub has looked", lambda: north.probes() > asked + 1)
    assert _replicas(north, "load") == 2
    assert not [each for each in north.proxy.writes(began) if each.path.endswith("/load")]


def test_a_hub_from_an_older_backup_deletes_nothing_and_adopts_what_is_applied_again(scene: Scene) -> None:
    fleet = scene.fleet
    fleet.ask("late", scaling={"replicas": 2})
    fleet.wait("it is ready", lambda: fleet.ready("late"), of="late")
    [cluster] = fleet.record("late")
    late = fleet.members[cluster].child("late")["metadata"]["uid"], fleet.members[cluster].uids("late")
    before = scene.children()
    fleet.end()
    fleet.restore(scene.backup)
    restored = time.monotonic()
    fleet.begin()
    fleet.wait("all are known", lambda: all(fleet.reason(each, "Ready") == "Ready" for each in fleet.members))
    fleet.wait("what the backup has is ready", lambda: fleet.ready("llama", "wide"), of="llama")
    assert not fleet.service("late")
    fleet.ask("late")
    fleet.wait("it is adopted", lambda: fleet.ready("late"), of="late")
    assert (fleet.members[cluster].child("late")["metadata"]["uid"], fleet.members[cluster].uids("late")) == late
    assert before.items() <= scene.children().items()
    assert not [each for member in fleet.each for each in member.proxy.writes(restored) if each.method == "DELETE"]


def test_what_is_not_ours_was_never_touched_and_nothing_was_denied(scene: Scene) -> None:
    now = scene.east.child("theirs")
    assert (now["metadata"]["uid"], now["metadata"]["generation"]) == (
        scene.theirs["metadata"]["uid"],
        scene.theirs["metadata"]["generation"],
    )
    assert not [each for each in scene.east.proxy.writes() if each.path.endswith("/theirs")]
    assert not denied(scene.east.cluster)


def _replicas(member: Member, name: str) -> int:
    found: int = member.child(name)["spec"]["scaling"]["replicas"]
    return found
