"""Answers of the OpenAI API as vLLM shapes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from inferops.simulate.server.openai_requests import Ask

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything that the parts of one answer have in common."""

    ask: Ask
    identity: str  # of the request
    model: str
    created: int  # seconds since 1970

    def whole(self, tokens: int, reason: str) -> dict[str, Any]:
        """The answer in one piece."""
        text = self.ask.answer.text(0, tokens)
        said = {"message": {"role": "assistant", "content": text}} if self.ask.chat else {"text": text}
        kind = "chat.completion" if self.ask.chat else "text_completion"
        return self._body(kind, [self._choice(said, reason)]) | {"usage": self._usage(tokens)}

    def opening(self) -> bytes | None:
        """What a stream begins with, when the first token is there; completions begin with text."""
        return self._chunk({"delta": {"role": "assistant", "content": ""}}, None) if self.ask.chat else None

    def piece(self, start: int, end: int, reason: str | None) -> bytes:
        """Tokens `start` up to `end` in a stream; `reason` with the last of them."""
        text = self.ask.answer.text(start, end)
        return self._chunk({"delta": {"content": text}} if self.ask.chat else {"text": text}, reason)

    def usage(self, tokens: int) -> bytes:
        """The last chunk of a stream that shows its usage."""
        return sse(self._body(self._stream_kind(), []) | {"usage": self._usage(tokens)})

    def _chunk(self, said: dict[str, Any], reason: str | None) -> bytes:
        return sse(self._body(self._stream_kind(), [self._choice(said, reason)]))

    def _stream_kind(self) -> str:
        return "chat.completion.chunk" if self.ask.chat else "text_completion"

    def _choice(self, said: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": 0, **said, "logprobs": None, "finish_reason": reason, "stop_reason": None}

    def _body(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        identity = f"{'chatcmpl' if self.ask.chat else 'cmpl'}-{self.identity}"
        return {"id": identity, "object": kind, "created": self.created, "model": self.model, "choices": choices}

    def _usage(self, tokens: int) -> dict[str, int]:
        prompt = len(self.ask.tokens)
        return {"prompt_tokens": prompt, "total_tokens": prompt + tokens, "completion_tokens": tokens}


def sse(body: dict[str, Any]) -> bytes:
    """One event of a stream."""
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()
