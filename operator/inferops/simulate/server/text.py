"""Tokens, estimated; and the answers of a simulated model: plainly simulated, and always the same for a prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

PIECE = 4  # characters of a token
OPENING = ("This", "is", "a", "simulated", "answer,", "words", "without", "meaning:")
_WORDS = """
amber birch cedar delta ember fjord grove harbor island juniper kelp lagoon meadow north ocean pebble quartz river
summit tundra upland valley willow xenon yarrow zenith
"""
WORDS = tuple(_WORDS.split())
LONGEST_OWN_ANSWER = 400  # tokens after which a simulated model has always said what it had to say


def pieces(text: str) -> list[str]:
    """Estimated tokens of `text`: its words, cut every four characters."""
    return [word[start : start + PIECE] for word in text.split() for start in range(0, len(word), PIECE)]


def prefix_keys(tokens: Sequence[str | int], block_size: int) -> tuple[int, ...]:
    """One key for each full block of `tokens`; two prompts have the same keys as far as they begin alike."""
    keys: list[int] = []
    key = 0
    for start in range(0, len(tokens) - block_size + 1, block_size):
        key = hash((key, *tokens[start : start + block_size]))
        keys.append(key)
    return tuple(keys)


class Answer:
    """What a simulated model says to a prompt."""

    def __init__(self, tokens: Sequence[str | int]) -> None:
        digest = hashlib.sha256("\0".join(map(str, tokens)).encode()).digest()
        self._seed = int.from_bytes(digest[:8])

    @property
    def own_length(self) -> int:
        """Tokens after which it stops by itself: 16 to 400, evenly; 208 in the mean, as in chat services."""
        return 16 + self._seed % (LONGEST_OWN_ANSWER - 15)

    def text(self, start: int, end: int) -> str:
        """Tokens `start` up to `end` of the answer: one word each, separated by blanks."""
        return "".join(f"{' ' if place else ''}{self._word(place)}" for place in range(start, end))

    def _word(self, place: int) -> str:
        if place < len(OPENING):
            return OPENING[place]
        return WORDS[(self._seed >> (place % 57)) % 9973 * (place + 1) % len(WORDS)]
