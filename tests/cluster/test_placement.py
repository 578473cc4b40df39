"""A service over three members, all real: placed node by node, spread, given back, rolled out wave by wave, deleted."""

from __future__ import annotations

from cluster.placements import GPUS, NODES, SOON, Fleet
from cluster.reading import reader
from cluster.services import denied

WHOLE = [{"type": "nvidia-h100-80gb", "count": GPUS}]  # of a node
EVERYWHERE = {"clusters": {}, "minClusters": 3}
WAVES = {"steps": [], "retainPrevious": "0s", "clusters": {"waves": [["east"], ["north"]], "bake": "1s"}}
URI = "hf://Qwen/Qwen3-8B"
V1, V2 = ({"uri": URI, "revision": each} for each in ("v1", "v2"))


def test_it_goes_where_it_is_cheapest(fleet: Fleet) -> None:
    node = reader(fleet.members["west"].cluster).list("nodes", "", "")[0]["metadata"]["name"]
    fleet.members["west"].cluster.kubectl("cordon", node)
    fleet.wait("it does not count", lambda: fleet.free("west") == (NODES - 1) * GPUS)
    fleet.ask("waves", model=V1, scaling={"replicas": 3}, placement=EVERYWHERE, rollout=WAVES)
    fleet.ask("whole", accelerators=WHOLE, scaling={"replicas": 1})
    fleet.until("one in each", "waves", {"east": ("Serving", 1), "north": ("Serving", 1), "west": ("Serving", 1)})
    fleet.until("the cheapest", "whole", {"east": ("Serving", 1)})
    fleet.wait("they are ready", lambda: fleet.ready("waves", "whole"))
    assert fleet.why_not("whole") == {"north": "NotNeeded", "west": "NotNeeded"}
    assert not fleet.members["west"].child("whole")


def test_free_gpus_on_several_nodes_and_on_cordoned_ones_are_no_room(fleet: Fleet) -> None:
    """Of three nodes in each cluster one has a pod of the other service, and another one of west is cordoned."""
    fleet.ask("whole", scaling={"replicas": 7})
    record = {"east": ("Serving", 2), "north": ("Serving", 2), "west": ("Serving", 1)}
    fleet.until("as far as there is room", "whole", record)
    assert fleet.says("whole", "Scheduled")["reason"] == "InsufficientCapacity"
    assert "2 of 7 replicas" in fleet.placement("whole")["message"]


def test_a_new_version_comes_to_one_cluster_after_the_other(fleet: Fleet) -> None:
    fleet.ask("waves", model=V2)
    seen: list[dict[str, str]] = []

    def done() -> bool:
        now = fleet.versions("waves")
        if not seen or seen[-1] != now:
            seen.append(now)
        return fleet.ready("waves") and set(now.values()) == {"v2"}

    fleet.wait("all have it", done, of="waves")
    new = [[name for name, version in each.items() if version == "v2"] for each in seen]
    assert [each for each in new if each] == [["east"], ["east", "north"], ["east", "north", "west"]]


def test_what_is_not_needed_any_more_is_given_back(fleet: Fleet) -> None:
    fleet.ask("whole", scaling={"replicas": 1})
    fleet.until("taken back", "whole", {"east": ("Serving", 1)})
    others = fleet.members["north"], fleet.members["west"]
    fleet.wait("gateways stand by", lambda: all(each.stands_by("whole") for each in others))


def test_it_is_deleted_everywhere(fleet: Fleet) -> None:
    for name in ("waves", "whole"):
        fleet.delete(name)
    fleet.wait("it is gone", lambda: not fleet.service("waves") and not fleet.service("whole"), SOON)
    assert not any(each.child(name) for each in fleet.each for name in ("waves", "whole"))


def test_nothing_is_denied(fleet: Fleet) -> None:
    assert not denied(fleet.hub)
    assert not denied(fleet.members["east"].cluster)
