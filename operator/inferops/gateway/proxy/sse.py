"""Server-sent events as they pass: whole events go on at once, and what they tell of tokens and errors is kept.

Bytes come in pieces of any size. An event that is not whole yet waits for its end; everything else passes unchanged,
but for the event with the token counts that the gateway asked for and the client did not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 1 << 20  # bytes of an event that is looked into; a longer one passes as it comes
END = re.compile(rb"\n\r?\n|\r\r")  # an empty line
DONE = b"[DONE]"
TELLING = (b'"usage"', b'"error"', DONE)  # without one of these an event has nothing to tell


class Events:
    """One stream of events."""

    __slots__ = ("_held", "_long", "_strip", "done", "error", "events", "tokens_in", "tokens_out")

    def __init__(self, strip: bool = False) -> None:
        """`strip`: leave out the event that holds nothing but token counts."""
        self.events = 0
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self.error = ""  # type of the error that the engine ended the stream with
        self.done = False  # whether `[DONE]` came, with which streams of OpenAI's API end
        self._strip = strip
        self._held = b""  # the beginning of an event
        self._long = False  # whether that beginning went on, being too long

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what came before, is to be sent on now."""
        if not self._held and not self._long and data.endswith(b"}\n\n") and not _telling(data) and b"\r" not in data:
            self.events += data.count(b"\n\n")
            return data
        seen = max(0, len(self._held) - 2)  # an end may have begun in what is held
        data = self._held + data
        passed, start = [], 0
        for end in END.finditer(data, seen):
            event = data[start : end.end()]
            start = end.end()
            self.events += 1
            if self._long or len(event) > LONGEST or self._passes(event):
                passed.append(event)
            self._long = False
        self._held = data[start:]
        if self._long or len(self._held) > LONGEST:
            self._loosen(passed)
        return b"".join(passed)

    @property
    def open(self) -> bool:
        """Whether the beginning of an event was sent, and its end was not."""
        return self._long

    def rest(self) -> bytes:
        """What is held at the end of the stream."""
        held, self._held = self._held, b""
        return held

    def _loosen(self, passed: list[bytes]) -> None:
        """Pass on the beginning of a long event. Its last bytes stay: the end of the event may begin in them."""
        self._long = True
        passed.append(self._held[:-2])
        self._held = self._held[-2:]

    def _passes(self, event: bytes) -> bool:
        """Look into a whole event. False: it is not for the client."""
        if not _telling(event):
            return True
        data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
        if data == DONE:
            self.done = True
            return True
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            return True
        if not isinstance(told, dict):
            return True
        if isinstance(error := told.get("error"), dict) and "choices" not in told:
            self.error = str(error.get("type") or "error")
        usage = _usage_in(told)
        if usage is None:
            return True
        self.tokens_in, self.tokens_out = _later(usage, self.tokens_in, self.tokens_out)
        return not (self._strip and told.get("choices") == [])


def tokens_of(answer: bytes) -> tuple[int | None, int | None]:
    """Tokens of prompt and answer by the last `usage` of a whole JSON answer, which is not parsed beyond that."""
    at = len(answer)
    while (at := answer.rfind(b'"usage"', 0, at)) >= 0:
        after = answer[at + 7 : at + 4096].decode("utf-8", "replace").lstrip()
        if not after.startswith(":"):
            continue  # a word of the answer
        try:
            usage, _ = _DECODER.raw_decode(after[1:].lstrip())
        except (ValueError, RecursionError):
            return None, None
        return _later(usage, None, None) if isinstance(usage, dict) else (None, None)
    return None, None


_DECODER = json.JSONDecoder()


def _telling(data: bytes) -> bool:
    return any(word in data for word in TELLING)


def _usage_in(told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The counts of a chat or completion, or of a `response` or `message` that an event is about."""
    for place in (told, told.get("response"), told.get("message")):
        if isinstance(place, dict) and isinstance(usage := place.get("usage"), dict):
            return usage
    return None


def _later(usage: Mapping[str, Any], before_in: int | None, before_out: int | None) -> tuple[int | None, int | None]:
    """The counts as `usage` has them; those that it leaves out stay."""
    tokens_in = _count(usage, "prompt_tokens", "input_tokens")
    tokens_out = _count(usage, "completion_tokens", "output_tokens")
    return before_in if tokens_in is None else tokens_in, before_out if tokens_out is None else tokens_out


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if type(count := usage.get(name)) is int and count >= 0:
            return count
    return None
