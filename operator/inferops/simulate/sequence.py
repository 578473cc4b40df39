"""A request as the batching sees it, and what one step of the batching did."""

from __future__ import annotations

from collections.abc import Sequence as Keys
from dataclasses import dataclass
from enum import Enum
from typing import Any


class TooLarge(ValueError):
    """A request that the KV cache could never hold. The message names both sizes."""


class State(Enum):
    """Where a request is."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    FINISHED = "finished"
    ABORTED = "aborted"


WAITING = State.WAITING


class Sequence:
    """One request and what became of it. Times are seconds of the caller's clock, None until they come."""

    __slots__ = (
        "_computed", "_held", "_produced", "_shared", "_since", "arrived", "cached", "finished", "first_token", "order",
        "output", "preemptions", "prefix", "prompt", "scheduled", "state",
    )  # fmt: skip

    def __init__(self, prompt: int, output: int, arrived: float, prefix: Keys[int] = ()) -> None:
        """`prefix`: a key for each full block of the prompt, the same key for the same beginning."""
        self.prompt = prompt  # tokens
        self.output = output  # tokens it will produce
        self.arrived = arrived
        self.prefix = prefix
        self.state = WAITING
        self.scheduled: float | None = None  # began to run for the first time
        self.first_token: float | None = None
        self.finished: float | None = None
        self.cached = 0  # prompt tokens found in the prefix cache when it began to run
        self.preemptions = 0
        self.order = 0  # of admission to the running set
        self._produced = 0  # tokens produced until `_since`
        self._since = 0  # iteration at which it joined the decodes
        self._computed = 0  # tokens in the KV cache when it joined them, or so far in prefill
        self._shared = 0  # shared blocks that it holds
        self._held: list[Any] = NONE  # which those are, as the cache tells it


NONE: list[Any] = []  # never changed: most requests share nothing


@dataclass(frozen=True, slots=True)
class Step:
    """What one step, an iteration, did. Tokens appear at `end`."""

    start: float
    end: float
    prefilled: int  # prompt tokens computed
    decoded: int  # tokens produced by decodes
    produced: int  # tokens produced, those at the end of a prefill included
    running: int  # requests in the batch
    kv_blocks: int  # blocks held during it
    admitted: tuple[Sequence, ...]  # began to run for the first time
    preempted: tuple[Sequence, ...]
    first_tokens: tuple[Sequence, ...]
    finished: tuple[Sequence, ...]
