"""A request as the batching sees it, and what one step of the batching did."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class TooLarge(ValueError):
    """A request that the KV cache could never hold. The message names both sizes."""


class State(Enum):
    """Where a request is."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    FINISHED = "finished"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class Sequence:
    """One request and what became of it. Times are seconds of the caller's clock, None until they come."""

    prompt: int  # tokens
    output: int  # tokens it will produce
    arrived: float
    prefix: tuple[int, ...] = ()  # a key for each full block of the prompt, the same key for the same beginning
    state: State = State.WAITING
    scheduled: float | None = None  # began to run for the first time
    first_token: float | None = None
    finished: float | None = None
    cached: int = 0  # prompt tokens found in the prefix cache when it began to run
    preemptions: int = 0
    order: int = 0  # of admission to the running set
    _produced: int = 0  # tokens produced until `_since`
    _since: int = 0  # iteration at which it joined the decodes
    _computed: int = 0  # tokens in the KV cache, while in prefill
    _shared: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did. Tokens appear at `end`; `iterations` > 1 only when the batch did not change."""

    start: float
    end: float
    iterations: int
    prefilled: int  # prompt tokens computed
    decoded: int  # tokens produced by decodes
    produced: int  # tokens produced, those at the end of a prefill included
    running: int  # requests in the batch
    kv_blocks: int  # blocks held during the last iteration
    admitted: tuple[Sequence, ...]  # began to run for the first time
    preempted: tuple[Sequence, ...]
    first_tokens: tuple[Sequence, ...]
    finished: tuple[Sequence, ...]
