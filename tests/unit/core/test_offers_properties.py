"""What holds of offers on any cluster: no more than is free, nothing twice, and never more by using more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.catalogue import accelerators
from inferops.core.observation import DeviceView, NodeView, Taint
from inferops.core.offers import Free, offers
from inferops.core.scheduling import NOT_WHOLE, SPOT_LABELS

CATALOGUE = accelerators()
# And what admins may add: another name for the same GPUs, and slices that are claimed, told too loosely.
KNOWN = {
    **CATALOGUE,
    "h100-again": CATALOGUE["nvidia-h100-80gb"],
    "part": CATALOGUE["nvidia-h100-80gb-mig-3g.40gb"].model_copy(
        update={"device": CATALOGUE["nvidia-h100-80gb"].device}
    ),
}
SEEN = ("nvidia-h100-80gb", "nvidia-h200", "nvidia-a100-40gb", "nvidia-h100-80gb-mig-1g.10gb",
        "nvidia-a100-40gb-mig-1g.10gb", "amd-mi300x")  # fmt: skip
LABELS = [(label.key, label.values[0]) for name in SEEN for label in CATALOGUE[name].node_labels]
MARKS = [*((key, (values or ("1",))[0]) for key, values in NOT_WHOLE), *SPOT_LABELS[:2]]
RESOURCES = sorted({CATALOGUE[name].resource_name for name in SEEN})
TAINTS = [Taint("nvidia.com/gpu", "present", "NoSchedule"), Taint("amd.com/gpu", "", "NoExecute"),
          Taint("other", "", "NoSchedule"), Taint(*SPOT_LABELS[0], "NoSchedule")]  # fmt: skip
COUNTS = range(1, 9)
small = st.integers(0, 9)

nodes = st.lists(
    st.builds(
        NodeView,
        name=st.just(""),
        labels=st.lists(st.sampled_from(LABELS), max_size=3).flatmap(
            lambda found: st.lists(st.sampled_from(MARKS), max_size=1).map(lambda more: dict([*found, *more]))
        ),
        allocatable=st.dictionaries(st.sampled_from(RESOURCES), small),
        ready=st.sampled_from([True, True, True, False]),
        cordoned=st.sampled_from([False, False, False, True]),
        taints=st.lists(st.sampled_from(TAINTS), max_size=1).map(tuple),
    ),
    max_size=5,
).map(lambda found: [replace(node, name=f"n{number}") for number, node in enumerate(found)])
uses = st.dictionaries(st.sampled_from(["n0", "n1", "n2"]), st.dictionaries(st.sampled_from(RESOURCES), small))

PRODUCTS = ["NVIDIA H100 80GB HBM3", "NVIDIA H200", "Other"]


def device(number: int, product: str, form: str, parts: int) -> list[DeviceView]:
    """A GPU as a driver lists it: whole, cut, to be cut, or whole and cut at once as older drivers said."""
    uuid = f"GPU-{number}"
    whole = DeviceView("gpu.nvidia.com", {"type": "gpu", "uuid": uuid, "productName": product}, f"p/gpu-{number}")
    pieces = [
        DeviceView("gpu.nvidia.com", {"type": "mig", "parentUUID": uuid, "productName": product,
                                      **({} if form == "could be" else {"uuid": f"MIG-{number}-{part}"})},
                   f"p/gpu-{number}-{part}")
        for part in range(parts)
    ]  # fmt: skip
    return {"whole": [whole], "cut": pieces, "could be": [whole, *pieces], "both": [whole, *pieces]}[form]


FORMS = ["whole", "cut", "could be", "both"]
gpus = st.lists(st.tuples(st.sampled_from(PRODUCTS), st.sampled_from(FORMS), st.integers(1, 3)), max_size=6)


def by_name(found: tuple[Free, ...]) -> dict[tuple[str, bool], Free]:
    return {(free.accelerator, free.spot): free for free in found}


def none_grew(before: tuple[Free, ...], after: tuple[Free, ...]) -> bool:
    was = by_name(before)
    return all(free.room(count) <= was[key].room(count) for key, free in by_name(after).items() for count in COUNTS)


@given(st.lists(small, max_size=8), st.integers(0, 7), st.integers(1, 16))
def test_room_is_no_more_than_is_free_and_grows_with_it(free: list[int], at: int, count: int) -> None:
    def having(amounts: list[int]) -> Free:
        return Free("a", False, len(amounts), sum(amounts), tuple(sorted(amounts, reverse=True)))

    room = having(free).room(count)
    assert 0 <= room * count <= sum(free)
    if free:
        more = [*free]
        more[at % len(free)] += 1
        assert room <= having(more).room(count) <= room + 1
    assert room <= having([*free, count]).room(count) == room + 1
    assert having(free).room(count + 1) <= room


@settings(max_examples=100, deadline=None)
@given(nodes, uses, st.integers(0, 4), st.sampled_from(RESOURCES))
def test_offers_of_device_plugins(
    cluster: list[NodeView], used: dict[str, dict[str, int]], at: int, resource: str
) -> None:
    found = offers(cluster, used, (), KNOWN, ())
    can = [node for node in cluster if node.ready and not node.cordoned]
    there: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for node in can:
        there += Counter(node.allocatable)
        in_use = used.get(node.name, {})
        left += Counter({name: max(0, number - in_use.get(name, 0)) for name, number in node.allocatable.items()})
    total: Counter[str] = Counter()
    free: Counter[str] = Counter()
    for one in found:
        assert one.nodes == len(one.free) <= len(can) and sum(one.free) <= one.total and min(one.free, default=0) >= 0
        assert list(one.free) == sorted(one.free, reverse=True) and max(one.free, default=0) <= one.largest
        total[KNOWN[one.accelerator].resource_name] += one.total
        free[KNOWN[one.accelerator].resource_name] += sum(one.free)
    assert total <= there and free <= left, "nothing is offered twice"
    if cluster:
        name = cluster[at % len(cluster)].name
        one_more = {**used, name: {**used.get(name, {}), resource: used.get(name, {}).get(resource, 0) + 1}}
        assert none_grew(found, offers(cluster, one_more, (), KNOWN, ())), "one more in use"
        cordoned = [replace(node, cordoned=True) if node.name == name else node for node in cluster]
        assert none_grew(found, offers(cordoned, used, (), KNOWN, ())), "one cordoned"
    assert found == offers(cluster[::-1], used, (), dict(reversed(KNOWN.items())), ())


@settings(max_examples=100, deadline=None)
@given(gpus, st.sets(st.integers(0, 23), max_size=6), st.integers(0, 23))
def test_offers_of_drivers(listed: list[tuple[str, str, int]], held: set[int], another: int) -> None:
    made = [device(number, *facts) for number, facts in enumerate(listed)]
    devices = [each for of_gpu in made for each in of_gpu]
    node = NodeView("a", {}, {}, devices=tuple(devices))
    taken = {(each.driver, each.name) for number, each in enumerate(devices) if number in held}
    found = offers([node], {}, taken, KNOWN, ())
    most = sum(parts if form in ("cut", "both") else 1 for _, form, parts in listed)
    assert sum(one.total for one in found) <= most, "nothing is offered twice"
    whole = [number for number, (product, form, _) in enumerate(listed)
             if product == PRODUCTS[1] and form in ("whole", "could be")]  # fmt: skip
    free = [number for number in whole if not {(each.driver, each.name) for each in made[number]} & taken]
    h200 = by_name(found).get(("nvidia-h200", False), Free("", False, 0, 0, ()))
    assert (h200.total, sum(h200.free)) == (len(whole), len(free))
    if devices:
        more = devices[another % len(devices)]
        assert none_grew(found, offers([node], {}, {*taken, (more.driver, more.name)}, KNOWN, ())), "one more is held"
