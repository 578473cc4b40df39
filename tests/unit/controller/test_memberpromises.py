"""What is left of a cluster besides what was promised: kept between questions, and never out of date."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.controller.memberpromises import Promise, Promises
from inferops.controller.store import Key
from inferops.core.offers import Free
from inferops.core.quotas import Quota

KEYS = [Key("InferenceService", "chat", name) for name in ("a", "b", "c")]
EIGHT = (Free("nvidia-l4", False, 2, 16, (8, 8), 8), Free("nvidia-l4", True, 1, 8, (8,), 8))
STEPS = st.one_of(
    st.tuples(st.just("promise"), st.sampled_from(KEYS), st.none() | st.builds(
        Promise, st.just("nvidia-l4"), st.booleans(), st.sampled_from((1, 2)), st.integers(0, 4))),
    st.tuples(st.just("count"), st.sampled_from(KEYS), st.integers(0, 4)),
)  # fmt: skip


@settings(max_examples=100)
@given(st.lists(STEPS, max_size=12))
def test_it_is_as_if_counted_anew_at_each_question(steps: list[tuple[str, Key, Promise | int | None]]) -> None:
    kept, given_, scheduled = Promises(), dict[Key, Promise](), Counter[tuple[str, str]]()
    for what, key, value in steps:
        if isinstance(value, int):
            scheduled = Counter({**scheduled, (key.namespace, key.name): value})
        elif what == "promise":
            kept.put(key, value)
            given_ = {each: one for each, one in given_.items() if each != key} | ({key: value} if value else {})
        for each in KEYS:
            anew = Promises()
            for other, promise in given_.items():
                if other != each:
                    anew.put(other, promise)
            assert kept.left(each, EIGHT, scheduled) == anew.left(each, EIGHT, scheduled)


def test_what_has_a_node_is_not_taken_off_twice() -> None:
    promises = Promises()
    promises.put(KEYS[0], Promise("nvidia-l4", False, 2, 3))
    assert promises.left(KEYS[1], EIGHT, Counter())[0].free == (8, 2)
    assert promises.left(KEYS[1], EIGHT, Counter({("chat", "a"): 2}))[0].free == (8, 6)
    assert promises.left(KEYS[0], EIGHT, Counter())[0].free == (8, 8)
    promises.put(KEYS[0], None)
    assert promises.left(KEYS[1], EIGHT, Counter()) == EIGHT


def test_a_replica_over_two_nodes_is_taken_off_both() -> None:
    promises = Promises()
    promises.put(KEYS[0], Promise("nvidia-l4", False, 8, 1, nodes=2))
    assert promises.left(KEYS[1], EIGHT, Counter())[0].free == (4, 4)


GPUS = "requests.nvidia.com/gpu"
NAMED = (Free("nvidia-l4", False, 2, 16, (8, 8), 8, 2, GPUS),)
QUOTAS = (Quota("gpus", GPUS, 8, 2), Quota("others", "requests.amd.com/gpu", 4, 0))


def test_what_others_of_the_namespace_were_promised_counts_as_used_until_its_pods_are_there() -> None:
    promises = Promises()
    promises.put(KEYS[0], Promise("nvidia-l4", False, 2, 2))
    promises.put(Key("InferenceService", "elsewhere", "a"), Promise("nvidia-l4", False, 8, 2))
    [gpus, others] = promises.quotas(KEYS[1], QUOTAS, NAMED, {})
    assert (gpus.used, gpus.left, others.left) == (6, 2, 4)
    assert promises.quotas(KEYS[1], QUOTAS, NAMED, {("chat", "a"): 1})[0].left == 4
    assert promises.quotas(KEYS[0], QUOTAS, NAMED, {})[0].left == 6, "its own are not taken off"


def test_since_when_replicas_of_each_accelerator_wait() -> None:
    promises = Promises()
    promises.put(KEYS[0], Promise("nvidia-l4", False, 1, 2))
    promises.put(KEYS[1], Promise("nvidia-l4", False, 1, 1))
    promises.put(KEYS[2], Promise("nvidia-l4", True, 1, 1))
    waiting = {("chat", "a"): (50.0, 60.0), ("chat", "b"): (40.0,), ("chat", "z"): (1.0,)}
    assert promises.oldest(waiting) == {("nvidia-l4", False): 40.0}
