"""Mooncake's traces: a JSON object a line with timestamp (ms), input_length, output_length and hash_ids.

Each hash stands for 512 tokens of the prompt and all that come before them, so requests whose hashes begin alike share
the beginning of their prompts. A simulated request names one session and how much it shares with it. Two readings of
the file tell: the first counts who else has a block, the second follows conversations.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferops.simulate.scaling.scenario import Request
from inferops.simulate.traces.cells import SECONDS, TOKENS, number, tokens
from inferops.simulate.traces.lines import Lines

BLOCK = 512  # tokens of a hash


@dataclass(slots=True)
class Sessions:
    """Which conversation each shared block belongs to."""

    counts: Counter[int]  # requests that have a block
    _owner: dict[int, int] = field(default_factory=dict)
    _length: dict[int, int] = field(default_factory=dict)  # shared blocks of a session's longest request

    def place(self, blocks: Sequence[int]) -> tuple[int, int]:
        """The session of a request, and how many of its blocks it shares with others of the trace."""
        shared = next((at for at, block in enumerate(blocks) if self.counts[block] < 2), len(blocks))
        if not shared:
            return 0, 0
        known = next((at for at, block in enumerate(blocks[:shared]) if block not in self._owner), shared)
        session = self._session(blocks, known, shared)
        for block in blocks[known:shared]:
            self._owner[block] = session
        self._length[session] = max(shared, self._length.get(session, 0))
        return session, shared

    def _session(self, blocks: Sequence[int], known: int, shared: int) -> int:
        """That of the blocks, where it goes on with most of it; a prompt that many begin with does not join them."""
        if known:
            before = self._owner[blocks[known - 1]]
            if known == shared or 2 * known >= self._length[before]:
                return before
        return len(self._length) + 1


def read(path: Path) -> Iterator[Request]:
    """The requests of the file; times are seconds since the recording began. Raises BadTrace."""
    sessions = Sessions(counted(path))
    with Lines(path) as lines:
        for line in lines:
            found = parsed(lines, line)
            prompt = max(1, value(lines, found, "input_length"))
            session, shared = sessions.place(blocks(lines, found))
            output = max(1, value(lines, found, "output_length"))
            yield Request(milliseconds(lines, found) / 1000, prompt, output, session, min(prompt, shared * BLOCK))


def counted(path: Path) -> Counter[int]:
    """How many requests have each block."""
    with Lines(path) as lines:
        return Counter(block for line in lines for block in blocks(lines, parsed(lines, line)))


def parsed(lines: Lines, line: str) -> dict[str, Any]:
    """One line. Raises BadTrace."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise lines.bad(f"is no JSON: {error}; mend the line or take it out") from None
    if not isinstance(found, dict):
        raise lines.bad("is no JSON object; give timestamp, input_length and output_length in one a line")
    return found


def value(lines: Lines, found: dict[str, Any], column: str) -> int:
    """A number of tokens. Raises BadTrace."""
    try:
        return tokens(found[column])
    except (KeyError, TypeError, ValueError):
        raise lines.bad(f"{found.get(column)!r} is not {TOKENS}; mend the line or take it out", column) from None


def milliseconds(lines: Lines, found: dict[str, Any]) -> float:
    try:
        return number(found["timestamp"])
    except (KeyError, TypeError, ValueError):
        wrong = f"{found.get('timestamp')!r} is not {SECONDS.replace('seconds', 'milliseconds')}"
        raise lines.bad(f"{wrong}; mend the line or take it out", "timestamp") from None


def blocks(lines: Lines, found: dict[str, Any]) -> list[int]:
    """The hashes; none where it has none. Raises BadTrace."""
    hashes = found.get("hash_ids") or []
    if not isinstance(hashes, list) or not all(isinstance(each, int) for each in hashes):
        raise lines.bad("is not a list of whole numbers; mend the line or take it out", "hash_ids")
    return hashes
