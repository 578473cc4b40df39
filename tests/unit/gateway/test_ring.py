"""The ring: each key has its owner everywhere, and a replica that comes or goes moves its own share alone."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.balance.ring import POINTS, Ring

KEYS = [f"prefix-{number}".encode() for number in range(3000)]
NAMES = [f"llama-7f9c-{letter}" for letter in "abcdefgh"]
names = st.lists(st.text("abcdef0123456789-", min_size=1), min_size=1, max_size=6, unique=True)


def owners(ring: Ring) -> dict[bytes, str]:
    return {key: next(ring.walk(key)) for key in KEYS}


def test_each_has_about_its_share() -> None:
    counts = Counter(owners(Ring(NAMES)).values())
    assert all(0.6 <= counts[name] * len(NAMES) / len(KEYS) <= 1.4 for name in NAMES)


def test_one_that_comes_takes_its_share_from_all_and_moves_nothing_else() -> None:
    before, after = owners(Ring(NAMES[:-1])), owners(Ring(NAMES))
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {NAMES[-1]}
    assert 0.6 <= len(moved) * len(NAMES) / len(KEYS) <= 1.4
    assert {before[key] for key in moved} == set(NAMES[:-1])


def test_what_goes_leaves_its_keys_to_those_that_come_next_on_their_way() -> None:
    ring = Ring(NAMES)
    left = Ring(NAMES[1:])
    for key in KEYS[:300]:
        assert next(left.walk(key)) == next(name for name in ring.walk(key) if name != NAMES[0])


@given(names, st.binary())
def test_the_order_in_which_names_were_learned_does_not_matter(named: list[str], key: bytes) -> None:
    assert list(Ring(named).walk(key)) == list(Ring(reversed(named)).walk(key))


@given(names, st.binary())
def test_a_walk_goes_round_once(named: list[str], key: bytes) -> None:
    assert Counter(Ring(named).walk(key)) == Counter(dict.fromkeys(named, POINTS))


def test_an_owner_does_not_hang_on_the_python_process() -> None:
    ring = Ring(["a", "b", "c"])
    assert "".join(next(ring.walk(key)) for key in KEYS[:12]) == "acbaacbcacaa"


def test_nobody_owns_a_key_of_an_empty_ring() -> None:
    assert list(Ring([]).walk(b"key")) == []
