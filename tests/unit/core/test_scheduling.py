"""Which nodes can hold a replica, which accelerator is chosen, and the sentence that says why none is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.api.inferenceservice import AcceleratorChoice
from inferops.core.choices import choices
from inferops.core.observation import LEADER_WORKER_SET, Nodes, NodeView, Observation, PodView, RevisionView
from inferops.core.revision import revision_of
from inferops.core.scheduling import (
    NOT_WHOLE,
    SPOT_LABELS,
    ZONE,
    choose,
    has_accelerator,
    is_spot,
    match,
    missing,
    zoned,
)
from unit.core.building import ACCELERATORS, LABELS, choice, node, revision, seen, service

L4 = choice("l4", 4)
PAIR = choice("l4", 16, nodes=2)
IN_USE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


@pytest.mark.parametrize(
    ("case", "wanted", "nodes", "says", "reason", "parts"),
    [
        ("no node at all", L4, [], "", "NoMatchingNode", ["none of the 0 nodes", "NVIDIA-L4", "spec.accelerators"]),
        ("only other types", L4, [node("a", "h100"), node("b", "cpu")], "", "NoMatchingNode",
         ["4x nvidia.com/gpu (l4)", "none of the 2 nodes", "nvidia.com/gpu.product in (NVIDIA-L4)"]),
        ("all of its values are named", choice("h100"), [node()], "", "NoMatchingNode",
         ["in (NVIDIA-H100, NVIDIA-H100-SXM)"]),
        ("only spot nodes", L4, [node(spot=True)], "", "NoMatchingNode", ["none of the 1 nodes is a node with"]),
        ("only nodes on demand", choice("l4", 4, spot=True), [node()], "", "NoMatchingNode",
         ["(l4, spot)", "is a spot node with"]),
        ("the whole GPU is not its slice", choice("mig"), [node("a", "h100")], "", "NoMatchingNode",
         ["1x nvidia.com/mig-1g.10gb (mig)"]),
        ("no node is large enough", L4, [node("a", count=2), node("b", count=3), node("c", "h100")], "",
         "NodesTooSmall", ["2 of 3 nodes have l4", "largest has 3 of nvidia.com/gpu", "lower spec.accelerators count"]),
        ("the device plugin is gone", L4, [node(count=0)], "", "NodesTooSmall", ["the largest has 0"]),
        ("all cordoned or lost", L4,
         [node("a", cordoned=True), node("b", ready=False), node("c", ready=False), node("d", count=1)], "",
         "NodesUnavailable", ["of the 3 nodes", "1 are cordoned", "2 are not ready", "uncordon or repair"]),
        ("all in use", L4, [node("a"), node("b"), node("c", "h100")], IN_USE, "InsufficientCapacity",
         ["2 of 3 nodes could hold it", "none of them has enough nvidia.com/gpu free", IN_USE]),
        ("a slice in use", choice("mig"), [node("a", "mig")], "0/1 nodes: 1 Insufficient nvidia.com/mig-1g.10gb.",
         "InsufficientCapacity", ["1x nvidia.com/mig-1g.10gb", "1 of 1 nodes"]),
        ("something else", L4, [node()], "0/1 nodes are available: 1 Insufficient memory.", "Unschedulable",
         ["1 of 1 nodes could hold it", "the scheduler says: 0/1 nodes are available: 1 Insufficient memory."]),
        ("too few large nodes for a group", PAIR, [node("a"), node("b", count=4), node("c", count=4)], "",
         "NodesTooSmall", ["16x nvidia.com/gpu (l4) on 2 nodes, 8 on each", "3 of 3 nodes have l4, 1 have enough",
                           "the largest has 8", "add larger nodes"]),
        ("one node of a group is lost", PAIR, [node("a"), node("b", ready=False)], "", "NodesUnavailable",
         ["of the 2 nodes that have it", "1 are not ready", "repair them"]),
        ("a group's GPUs are in use", PAIR, [node("a"), node("b")], IN_USE, "InsufficientCapacity",
         ["on 2 nodes", "2 of 2 nodes could hold it"]),
        ("GPUs that are shared are no whole ones", L4,
         [replace(node("a"), labels={**node("a").labels, "nvidia.com/gpu.sharing-strategy": "mps"})], "",
         "NoMatchingNode", ["none of the 1 nodes"]),
        ("nothing said yet", L4, [node()], "", "Unschedulable", ["1 of 1 nodes could hold it"]),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_why_a_replica_finds_no_node(
    case: str, wanted: AcceleratorChoice, nodes: list[NodeView], says: str, reason: str, parts: list[str]
) -> None:
    found = missing(wanted, ACCELERATORS[wanted.type], nodes, says)
    assert found.reason == reason
    assert "a replica needs" in found.message
    for part in parts:
        assert part in found.message


def chosen_of(seen: Observation, current: RevisionView | None) -> AcceleratorChoice:
    return choose(seen, choices(seen), current)


@pytest.mark.parametrize(
    ("case", "wanted", "nodes", "usable"),
    [
        ("large enough and free to use", L4, [node("a", count=4), node("b", count=3)], ["a"]),
        ("not cordoned, not lost", L4, [node("a", cordoned=True), node("b", ready=False), node("c")], ["c"]),
        ("on demand never lands on spot", L4, [node("a", spot=True), node("b")], ["b"]),
        ("spot lands on nothing else", choice("l4", 4, spot=True), [node("a", spot=True), node("b")], ["a"]),
        ("any of the label's values", choice("h100", 8), [node("a", "h100"), node("b")], ["a"]),
        ("a group needs its share of each", PAIR, [node("a"), node("b", count=7), node("c")], ["a", "c"]),
        ("slices count by their own resource", choice("mig", 2), [node("a", "mig", 2), node("b", "h100")], ["a"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_which_nodes_can_hold_a_replica(
    case: str, wanted: AcceleratorChoice, nodes: list[NodeView], usable: list[str]
) -> None:
    assert [found.name for found in match(wanted, ACCELERATORS[wanted.type], nodes).usable] == usable


@pytest.mark.parametrize(("key", "values"), NOT_WHOLE)
def test_cut_and_shared_gpus_are_known_by_every_label(key: str, values: tuple[str, ...]) -> None:
    """And slices, which are cut, whose labels name them as such, are not sorted out by them."""
    for value in values or ("anything",):
        marked = {**LABELS["l4"], **LABELS["mig"], key: value}
        assert not has_accelerator(NodeView("a", {**marked, **LABELS["l4"]}, {}), ACCELERATORS["l4"])
        assert has_accelerator(NodeView("a", marked, {}), ACCELERATORS["mig"])
    if values:
        assert has_accelerator(NodeView("a", {**LABELS["l4"], key: "none"}, {}), ACCELERATORS["l4"])


GROUPS = (PAIR, choice("h100", 8))


@pytest.mark.parametrize(
    ("case", "nodes", "kinds", "chosen"),
    [
        ("a group where its kind is", [node("a"), node("b"), node("c", "h100")], {LEADER_WORKER_SET}, 0),
        ("another where it is not", [node("a"), node("b"), node("c", "h100")], set(), 1),
        ("another though no node holds it", [node("a"), node("b")], set(), 1),
        ("another where a node is missing", [node("a"), node("c", "h100")], {LEADER_WORKER_SET}, 1),
        ("the first where none could be held", [], {LEADER_WORKER_SET}, 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_group_is_chosen_where_it_can_be_made(case: str, nodes: list[NodeView], kinds: set[str], chosen: int) -> None:
    of = service(*(one.dump() for one in GROUPS))
    world = seen(of, nodes=nodes, kinds=frozenset(kinds))
    assert chosen_of(world, None) == GROUPS[chosen]
    running = revision(revision_of(of.spec, GROUPS[0]), loading=1)
    assert chosen_of(seen(of, running, nodes=nodes, kinds=frozenset(kinds)), running) == GROUPS[0], "while it runs"


def test_zones_count_only_where_all_nodes_tell_theirs() -> None:
    told = replace(node("a"), labels={**node("a").labels, ZONE: "one"})
    assert zoned(ACCELERATORS["l4"], [told, node("b", "h100")]) and zoned(ACCELERATORS["l4"], [])
    assert not zoned(ACCELERATORS["l4"], [told, node("b")])


@pytest.mark.parametrize(("key", "value"), SPOT_LABELS)
def test_spot_nodes_are_known_by_every_clouds_label(key: str, value: str) -> None:
    assert is_spot(NodeView("a", {key: value}, {}))
    assert not is_spot(NodeView("a", {key: "on-demand"}, {}))


BOTH = ("h100", "l4")


@pytest.mark.parametrize(
    ("case", "nodes", "chosen"),
    [
        ("the first in the user's order", [node("a", "l4"), node("b", "h100")], "h100"),
        ("the first that some node could hold", [node("a", "l4")], "l4"),
        ("a cordoned node holds nothing", [node("a", "l4"), node("b", "h100", cordoned=True)], "l4"),
        ("the first where none could", [node("a", "l4", ready=False)], "h100"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_choice_of_an_accelerator(case: str, nodes: list[NodeView], chosen: str) -> None:
    assert chosen_of(seen(service(*BOTH), nodes=nodes), None).type == chosen


@pytest.mark.parametrize(
    ("case", "placed", "nodes", "chosen"),
    [
        ("kept though a better one came", False, [node("a", "l4"), node("b", "h100")], "l4"),
        ("kept while a pod of it runs", True, [node("b", "h100")], "l4"),
        ("left when it is hopeless", False, [node("b", "h100"), node("a", "l4", cordoned=True)], "h100"),
        ("kept when all is hopeless", False, [], "l4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_choice_once_made_is_kept(case: str, placed: bool, nodes: list[NodeView], chosen: str) -> None:
    of = service(*BOTH)
    current = revision(revision_of(of.spec, of.spec.accelerators[1]), loading=int(placed))
    assert chosen_of(seen(of, current, nodes=nodes), current).type == chosen


def test_a_choice_that_the_spec_no_longer_names_is_not_kept() -> None:
    was = service("l4")
    current = revision(was, ready=1)
    assert chosen_of(seen(service("h100"), current, nodes=[node("a", "l4"), node("b", "h100")]), current).type == "h100"


def test_a_lost_record_says_nothing_about_the_choice() -> None:
    of = service(*BOTH)
    current = revision(revision_of(of.spec, of.spec.accelerators[1]), ready=1, record=False)
    assert chosen_of(seen(of, current, nodes=[node("b", "h100")]), current).type == "h100"


nodes_drawn = st.lists(
    st.builds(
        node,
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from([*LABELS, "cpu"]),
        st.integers(0, 8),
        spot=st.booleans(),
        ready=st.booleans(),
        cordoned=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda node: node.name,
)
choices_drawn = st.lists(
    st.builds(choice, st.sampled_from(sorted(LABELS)), st.integers(1, 8), st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda choice: (choice.type, choice.count, choice.spot),
)


@settings(max_examples=30)
@given(choices_drawn, nodes_drawn)
def test_a_choice_is_stable_on_an_unchanged_cluster(choices: list[AcceleratorChoice], nodes: list[NodeView]) -> None:
    of = service(*(one.dump() for one in choices))
    chosen = chosen_of(seen(of, nodes=nodes), None)
    pending = revision(revision_of(of.spec, chosen), homeless=1)
    running = replace(pending, pods=(PodView("p", pending.hash, node="a"),))
    assert chosen in choices
    assert chosen_of(seen(of, pending, nodes=nodes), pending) == chosen
    assert chosen_of(seen(of, running, nodes=[]), running) == chosen


@settings(max_examples=30)
@given(choices_drawn, nodes_drawn, st.text(max_size=20))
def test_every_pending_replica_gets_a_reason_with_a_number(
    choices: list[AcceleratorChoice], nodes: list[NodeView], says: str
) -> None:
    for wanted in choices:
        accelerator = ACCELERATORS[wanted.type]
        found = missing(wanted, accelerator, nodes, says)
        sorted_ = match(wanted, accelerator, nodes)
        named = [{node.name for node in part} for part in (sorted_.usable, sorted_.large, sorted_.matching, nodes)]
        assert named[0] <= named[1] <= named[2] <= named[3]
        assert f"{wanted.count}x {accelerator.resource_name}" in found.message
        assert (found.reason in ("Unschedulable", "InsufficientCapacity")) == bool(sorted_.usable)


def test_what_is_found_out_about_nodes_is_kept_with_them_and_with_no_others() -> None:
    some, more = Nodes([node("a")]), Nodes([node("a"), node("b")])
    first = match(L4, ACCELERATORS["l4"], some)
    assert match(L4, ACCELERATORS["l4"], some) is first == match(L4, ACCELERATORS["l4"], list(some))
    assert match(L4, ACCELERATORS["l4"], more).total == 2
    other = ACCELERATORS["l4"].model_copy(update={"resource_name": "example.com/gpu"})
    assert match(L4, other, some).most == 0
    assert (
        match(choice("l4", 1), ACCELERATORS["l4"], some).usable
        != match(choice("l4", 9), ACCELERATORS["l4"], some).usable
    )
