"""How long one iteration of a simulated engine takes: core's roofline, reduced to a few coefficients of a replica."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor, inf
from typing import NamedTuple

from inferops.core.calibration import CALIBRATED, Calibration
from inferops.core.replica import Replica
from inferops.core.roofline import Step, work_of

MANY = 2**20  # tokens; by then every expert is read
NOISE = 1e-9  # share of a slope that is rounding


class Ramp(NamedTuple):
    """Seconds a token of what attention sees, of layers that see no more than `until` tokens."""

    per_token: float
    until: float = inf


class Linear(NamedTuple):
    """The coefficients where nothing bends: no experts, no windows, one stage. Seconds."""

    fixed: float
    per_decode: float
    kv: float
    prompts: float
    per_token: float  # of prompts
    seen: float


class Chunk(NamedTuple):
    """Tokens of one prompt that an iteration computes, and how many of the prompt are computed already."""

    tokens: int
    before: int


@dataclass(frozen=True, slots=True)
class IterationTime:
    """Seconds of an iteration, by what it does. The terms add up; those of attention are ramps.

    Of pipeline stages it is the time between two tokens of a sequence; prompts pass through them one at a time.
    """

    fixed: float  # launching kernels, reading the weights that every token needs
    per_token: float = 0.0  # of prompts and of decodes: arithmetic, and sums over accelerators
    per_sequence: float = 0.0  # that decodes: sampling, the engine's own work
    prompts: float = 0.0  # once, where there is a prompt: its last token's output head
    experts: float = 0.0  # reading all experts
    share: float = 0.0  # of them that one token needs
    kv: tuple[Ramp, ...] = ()  # a decoding sequence, by the tokens in its KV cache
    seen: tuple[Ramp, ...] = ()  # a token of a prompt, by the tokens before it
    stages: int = 1  # that work at the same time, each on its part of the sequences

    def of(self, decoding: int, kv_tokens: int, chunks: Iterable[Chunk] = ()) -> float:
        """Seconds for one token each of `decoding` sequences with `kv_tokens` together, and for chunks of prompts."""
        prefill, seconds = 0, self.fixed
        part = self._part(decoding)
        for tokens, before in chunks:
            prefill += tokens
            for slope, until in self.seen:
                seconds += slope * tokens * min(before + tokens / 2, until)
        if prefill:
            seconds += self.prompts
        if self.experts:
            seconds += self.experts * (1 - (1 - self.share) ** (part + prefill))
        if decoding:
            seconds += self.per_sequence * part
            mine = kv_tokens * part / decoding
            for slope, until in self.kv:
                seconds += slope * min(mine, until * part)
        return seconds + self.per_token * (part + prefill)

    def growth(self, decoding: int, kv_tokens: int) -> tuple[float, float]:
        """Seconds by which each next iteration of the same sequences is longer, and for how many iterations it is."""
        if not decoding:
            return 0.0, inf
        context = kv_tokens / decoding
        growing = [ramp for ramp in self.kv if context < ramp.until]
        nearest = min((until for _, until in growing), default=inf)
        steady = inf if nearest == inf else floor(nearest - context) + 1
        return self._part(decoding) * sum(slope for slope, _ in growing), steady

    def linear(self) -> Linear | None:
        """The few numbers that suffice for most models; None: for this one they do not."""
        if self.experts or self.stages > 1 or any(until < inf for _, until in (*self.kv, *self.seen)):
            return None
        kv, seen = (sum(slope for slope, _ in ramps) for ramps in (self.kv, self.seen))
        return Linear(self.fixed, self.per_token + self.per_sequence, kv, self.prompts, self.per_token, seen)

    def slowed(self, factor: float) -> IterationTime:
        """Of a replica that takes so many times as long."""

        def ramps(given: tuple[Ramp, ...]) -> tuple[Ramp, ...]:
            return tuple(ramp._replace(per_token=factor * ramp.per_token) for ramp in given)

        return replace(
            self,
            fixed=factor * self.fixed,
            per_token=factor * self.per_token,
            per_sequence=factor * self.per_sequence,
            prompts=factor * self.prompts,
            experts=factor * self.experts,
            kv=ramps(self.kv),
            seen=ramps(self.seen),
        )

    def _part(self, decoding: int) -> float:
        """Sequences that a stage works on at a time."""
        return decoding if self.stages == 1 or not decoding else max(1.0, decoding / self.stages)


def iteration_time(replica: Replica, calibration: Calibration = CALIBRATED) -> IterationTime:
    """The coefficients of `replica`, read off the roofline: `of` gives what `step_seconds` gives for a stage's part.

    Raises ValueError where the accelerator states no arithmetic at all.
    """

    def seconds(step: Step) -> float:
        return calibration.seconds(work_of(replica, step)._replace(weights=0.0))

    def reading(tokens: float) -> float:
        return work_of(replica, Step(0, 0, prefill=tokens)).weights * calibration.costs().weights

    facts = replica.facts
    windows = sorted({float(group.window) for group in facts.layers if group.window is not None})
    idle, one = seconds(Step(0, 0)), seconds(Step(0, 0, prefill=1))
    per_token = (seconds(Step(0, 0, prefill=1 + MANY)) - one) / MANY
    sight = 2.0 if facts.decoder else 1.0  # a decoder's token sees half of its prompt in the mean, an encoder's all
    return IterationTime(
        fixed=idle + reading(0),
        per_token=per_token,
        per_sequence=seconds(Step(1, 0)) - idle - per_token,
        prompts=one - idle - per_token,
        experts=reading(MANY) - reading(0),
        share=facts.experts_per_token / facts.experts if facts.experts else 0.0,
        kv=_ramps(lambda tokens: seconds(Step(1, tokens)), windows),
        seen=_ramps(
            lambda tokens: seconds(Step(0, 0, prefill=MANY, prompt=2 * tokens)) / MANY,
            [window * sight / 2 for window in windows],
        ),
        stages=replica.pipeline_parallel,
    )


def _ramps(seconds: Callable[[float], float], knees: Sequence[float]) -> tuple[Ramp, ...]:
    """`seconds`, whose slope falls at each of the `knees`, as a sum of ramps."""
    points = [0.0, *knees, (knees[-1] if knees else 0.0) + MANY]
    slopes = [(seconds(end) - seconds(begin)) / (end - begin) for begin, end in pairwise(points)]
    drops = [slope - after for slope, after in pairwise([*slopes, 0.0])]
    ramps = (Ramp(drop, until) for drop, until in zip(drops, [*knees, inf], strict=True))
    return tuple(ramp for ramp in ramps if ramp.per_token > NOISE * slopes[0])
