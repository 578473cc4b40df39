"""What a cluster tells of its capacity as one value: nothing is lost on the way, and nonsense reads as nothing."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core.offers import Free
from inferops.core.quotas import Quota
from inferops.core.summary import LIMIT, Summary, Unreadable, read, summarize

NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=30)
NUMBER = st.integers(0, 1000)
SERVICE = st.tuples(NAME, NAME)


@st.composite
def frees(draw: st.DrawFn) -> Free:
    free = tuple(sorted(draw(st.lists(st.integers(0, 16), max_size=40)), reverse=True))
    return Free(draw(NAME), draw(st.booleans()), len(free), sum(free) + draw(NUMBER), free, 16, len(free), draw(NAME))


SUMMARIES = st.builds(
    Summary,
    st.lists(frees(), max_size=5).map(tuple),
    st.tuples(NUMBER, NUMBER),
    st.dictionaries(SERVICE, st.integers(1, 1000), max_size=5).map(Counter),
    st.dictionaries(SERVICE, st.lists(NUMBER.map(float), min_size=1, max_size=5).map(tuple), max_size=3),
    st.dictionaries(
        NAME, st.lists(st.builds(Quota, NAME, NAME, NUMBER, NUMBER), min_size=1, max_size=3).map(tuple), max_size=3
    ),
)


@given(SUMMARIES)
def test_what_is_told_is_what_was_counted(counted: Summary) -> None:
    assert read(summarize(counted)) == counted


@given(st.integers(0, 400), st.integers(0, 128), st.integers(1, 16), st.integers(1, 16))
def test_what_does_not_fit_is_left_out_and_never_more_room_told(
    services: int, accelerators: int, size: int, kinds: int
) -> None:
    free = tuple(
        Free(f"{number:040}", False, 100, 1600, tuple(sorted((each % kinds for each in range(100)), reverse=True)), 16)
        for number in range(accelerators)
    )
    running = Counter({(f"{number:063}", "x" * 63): 1 for number in range(services)})
    text = summarize(Summary(free, (100, 100), running))
    assert len(text) <= LIMIT
    back = read(text)
    there = {each.accelerator: each for each in free}
    assert all(each.room(size) <= there[each.accelerator].room(size) for each in back.free)
    assert back.scheduled <= running
    assert len(back.free) == accelerators or not back.scheduled


GOOD = json.loads(summarize(Summary((Free("nvidia-l4", False, 1, 8, (8,), 8, 1, "requests.nvidia.com/gpu"),), (1, 1))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("nodes", [1]),
        ("nodes", [1, -1]),
        ("nodes", None),
        ("offers", [["nvidia-l4"]]),
        ("offers", [["nvidia-l4", 0, 1, 8, 8, 1, "", [[8, 1]]]]),
        ("offers", [["nvidia-l4", False, 1, 8, 8, 1, "", [[8, 10**9]]]]),
        ("offers", [["nvidia-l4", False, 1, 8, 8, 1, "", [[10**9, 1]]]]),
        ("offers", [["nvidia-l4", False, 1, 8, 8, 1, "", [[True, 1]]]]),
        ("offers", {"nvidia-l4": 8}),
        ("services", [["chat", 3, 1, []]]),
        ("services", [["chat", "llama", 1.5, []]]),
        ("quotas", [["chat", "gpus", "requests.nvidia.com/gpu", 8]]),
    ],
)
def test_nonsense_reads_as_nothing(field: str, value: object) -> None:
    assert read(json.dumps(GOOD)).free
    with pytest.raises(Unreadable):
        read(json.dumps({**GOOD, field: value}))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 10_000, '{"v":1}', "NaN"])
def test_what_is_no_summary_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        read(text)
