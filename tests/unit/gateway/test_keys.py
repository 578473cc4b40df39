"""API keys: whose is whose, what is no key, and that none is ever kept or shown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.access.keys import SHORTEST, Keys

KEY = "sk-0123456789abcdef"
OTHER = "sk-fedcba9876543210"
HASH = hashlib.sha256(KEY.encode()).hexdigest()
sendable = st.text(st.characters(min_codepoint=ord("!"), max_codepoint=ord("~")), min_size=SHORTEST, max_size=64)


@pytest.mark.parametrize(
    ("case", "value"),
    [
        ("the key", KEY),
        ("the key, from a file", f"{KEY}\n".encode()),
        ("its hash", f"sha256:{HASH}"),
        ("its hash, written otherwise", f" SHA256: {HASH.upper()}\n"),
    ],
)
def test_a_client_is_known_by(case: str, value: bytes | str) -> None:
    keys = Keys.of({"team-a": value, "team-b": OTHER})
    assert not keys.problems, case
    assert (keys.client(KEY), keys.client(OTHER)) == ("team-a", "team-b")


@pytest.mark.parametrize(
    "presented", ["", KEY[:-1], KEY + " ", KEY.upper(), HASH, f"sha256:{HASH}", "\udcff" * 20, "é"]
)
def test_nobody_is_known_by(presented: str) -> None:
    for value in (KEY, f"sha256:{HASH}"):
        assert Keys.of({"team-a": value}).client(presented) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("tiny-key", "is shorter than 16 characters"),
        (b"\xff\xfe" * 16, "is not text"),
        ("with a blank in its middle", "characters that a header cannot carry"),
        ("schlüssel-schlüssel", "characters that a header cannot carry"),
        ("sha256:abc", "64 hexadecimal digits"),
        (f"sha256:{HASH}0", "64 hexadecimal digits"),
        (f"sha256:{hashlib.sha256(b'').hexdigest()}", "SHA-256 of nothing"),
    ],
)
def test_what_is_no_key_is_told_and_takes_nothing_from_the_others(value: bytes | str, says: str) -> None:
    keys = Keys.of({"bad": value, "good": KEY})
    (problem,) = keys.problems
    assert problem.startswith("bad: ") and says in problem
    assert keys.client(KEY) == "good" and len(keys) == 1
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    assert keys.client(text) is None
    assert not text.strip() or text not in problem, "problems are shown to many"


def test_one_key_of_two_clients_is_the_first_ones() -> None:
    keys = Keys.of({"b": KEY, "a": f"sha256:{HASH}"})
    assert keys.client(KEY) == "a"
    assert keys.problems == ("b: has the API key of a; give each client a key of its own",)


@given(st.dictionaries(st.text(min_size=1, max_size=8), sendable, max_size=8), sendable)
def test_each_has_its_own(data: Mapping[str, str], stranger: str) -> None:
    keys = Keys.of(data)
    plain = {name: key for name, key in data.items() if not key.lower().startswith("sha256:")}
    for key in plain.values():
        assert keys.client(key) == min(name for name, value in plain.items() if value == key)
    assert stranger in plain.values() or keys.client(stranger) is None


@given(sendable)
def test_the_key_itself_is_kept_nowhere(key: str) -> None:
    keys = Keys.of({"team-a": key})
    held = [repr(getattr(keys, name)) for name in Keys.__slots__]
    assert not any(key in text for text in [repr(keys), *held])
    assert hashlib.sha256(key.encode()).hexdigest() not in repr(keys)


def test_the_comparison_takes_as_long_for_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr("hmac.compare_digest", compare)
    keys = Keys.of({"team-a": KEY})
    assert keys.client(KEY) == "team-a" and keys.client(OTHER) is None
    assert compared == [(32, 32), (32, 32)]
