"""Which accelerator, how many, split how: every option for a model, ranked by cost, and every rejection with its why.

An option is one replica that holds the asked context and keeps the asked latencies; it costs as many replicas as
carry the asked concurrency. The cheapest an hour comes first, of equals the one with the fewest accelerators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf

from inferops.api.accelerator import AcceleratorSpec
from inferops.core import latency, memory
from inferops.core.facts import UNQUANTIZED, ModelFacts, Precision
from inferops.core.parallel import illegal, splits
from inferops.core.replica import Replica

GIB = memory.GIB
Accelerators = Mapping[str, AcceleratorSpec]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a service wants of its replicas. Lengths are in tokens, times in seconds."""

    context: int | None = None  # longest prompt and answer together; None: the model's own limit
    concurrency: int = 16  # requests at once, over all replicas
    prompt: int = 1024
    output: int = 256
    ttft: float | None = None
    tpot: float | None = None
    precisions: tuple[Precision | None, ...] = (None,)  # to choose among; None: the checkpoint's own
    utilization: float = 0.92


@dataclass(frozen=True, slots=True)
class Shape:
    """A way to run one replica."""

    accelerator: str
    tensor_parallel: int
    pipeline_parallel: int  # over as many nodes
    precision: Precision

    @property
    def accelerators(self) -> int:
        """Accelerators of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    def __str__(self) -> str:
        nodes = f" on {self.pipeline_parallel} nodes" if self.pipeline_parallel > 1 else ""
        return f"{self.accelerators}x {self.accelerator}{nodes} at {self.precision}"


@dataclass(frozen=True, slots=True)
class Option:
    """A shape that fits and keeps the objectives. Memory is a GPU's, times are at `load` requests a replica."""

    shape: Shape
    limits: memory.Limits | None  # what the engine must be told of its batches; None: nothing
    usable_gib: float
    weights_gib: float
    kv_tokens: int  # of a replica, at the asked context
    longest_context: int
    concurrency: int  # requests that one replica carries within the objectives
    replicas: int
    load: int
    ttft: float
    tpot: float  # 0 for an encoder
    tokens_per_second: float  # answered, over all replicas; read, by an encoder
    usd_per_hour: float | None  # of all replicas; None: no price is known
    usd_per_million_tokens: float | None  # likewise


@dataclass(frozen=True, slots=True)
class Rejection:
    """A shape that will not do, and why, in one sentence with the numbers."""

    shape: Shape
    reason: str


@dataclass(frozen=True, slots=True)
class Sizing:
    """The answer."""

    facts: ModelFacts
    ask: Ask
    options: tuple[Option, ...] = ()  # cheapest first
    rejected: tuple[Rejection, ...] = field(default=())
    # What was reckoned from it, kept for all services that share it: they ask at each look at their load.
    found: dict[tuple[Shape, int], tuple[float, float, int]] = field(default_factory=dict, compare=False, repr=False)
    within: dict[tuple[Shape, float], int] = field(default_factory=dict, compare=False, repr=False)


def size(facts: ModelFacts, ask: Ask, accelerators: Accelerators) -> Sizing:
    """Judge every shape of `facts` on `accelerators`, by name. The same input gives the same answer."""
    ask = suited(facts, ask)
    return _sizing(
        facts, ask, (one for name in sorted(accelerators) for one in _judged(facts, ask, name, accelerators[name]))
    )


def size_listed(
    facts: ModelFacts, ask: Ask, listed: Sequence[tuple[str, int, int]], accelerators: Accelerators
) -> Sizing:
    """Judge only the shapes that are listed as accelerator, tensor and pipeline size; unknown ones are left out."""
    ask = suited(facts, ask)
    return _sizing(
        facts,
        ask,
        (
            judge(facts, ask, Shape(name, tensor, pipeline, _stored(facts, precision)), accelerators[name], precision)
            for name, tensor, pipeline in listed
            if name in accelerators
            for precision in ask.precisions
        ),
    )


def suited(facts: ModelFacts, ask: Ask) -> Ask:
    """What can be asked of the model: what is quantized is not quantized again, an encoder reads and does not write."""
    if facts.precision not in UNQUANTIZED and None in ask.precisions:
        ask = replace(ask, precisions=(None,))
    return ask if facts.decoder else replace(ask, output=1, tpot=None)


def _sizing(facts: ModelFacts, ask: Ask, judged: Iterable[Option | Rejection]) -> Sizing:
    found = tuple(judged)
    options = sorted((one for one in found if isinstance(one, Option)), key=_rank)
    return Sizing(facts, ask, tuple(options), tuple(one for one in found if isinstance(one, Rejection)))


def judge(
    facts: ModelFacts, ask: Ask, shape: Shape, accelerator: AcceleratorSpec, precision: Precision | None
) -> Option | Rejection:
    """One shape: an option, or why not."""
    if why := illegal(facts, shape.tensor_parallel, shape.pipeline_parallel):
        return Rejection(shape, f"cannot be split so: {why}")
    if precision is Precision.FP8 and facts.precision in UNQUANTIZED and accelerator.tflops.fp8 is None:
        return Rejection(shape, "cannot quantize to fp8: this accelerator does not compute in it")
    if precision is Precision.FP8 and facts.precision not in (*UNQUANTIZED, Precision.FP8):
        return Rejection(shape, f"cannot quantize to fp8: the checkpoint is in {facts.precision} already")
    replica = _replica(facts, ask, shape, accelerator)
    context = min(ask.context or facts.context, facts.context)
    budget = memory.budget(replica, context)
    if why := _too_small(replica, budget, context):
        return Rejection(shape, why)
    length = min(context, ask.prompt + ask.output)
    most = memory.most_sequences(replica, length, context)
    prompt, output = _lengths(ask, length)
    within = latency.concurrency_within(replica, prompt, output, tpot=ask.tpot, ttft=ask.ttft, most=most)
    if within < 1:
        return Rejection(shape, _too_slow(replica, ask, prompt, output))
    return _option(replica, shape, ask, budget, context, within)


def times(sizing: Sizing, option: Option, accelerator: AcceleratorSpec, concurrency: int) -> tuple[float, float, int]:
    """What one replica of an option gives each of `concurrency` requests: TTFT, TPOT (0 for an encoder) in seconds, and
    tokens. `accelerator` is the option's, as it was when it was found."""
    facts, ask, asked = sizing.facts, sizing.ask, (option.shape, concurrency)
    if asked not in sizing.found:
        replica = _replica(facts, ask, option.shape, accelerator)
        prompt, output = _lengths(ask, min(ask.context or facts.context, facts.context, ask.prompt + ask.output))
        tpot = latency.tpot(replica, prompt, output, concurrency) if facts.decoder else 0.0
        sizing.found[asked] = latency.ttft(replica, prompt, output, concurrency), tpot, output
    return sizing.found[asked]


def concurrency(sizing: Sizing, option: Option, accelerator: AcceleratorSpec, away: float) -> int:
    """How many requests one replica of an option carries within the objectives where `away` seconds of the TTFT pass
    on the way to it and back; 0: not even one."""
    facts, ask, asked = sizing.facts, sizing.ask, (option.shape, away)
    if ask.ttft is None or away <= 0:
        return option.concurrency
    if asked not in sizing.within:
        replica = _replica(facts, ask, option.shape, accelerator)
        prompt, output = _lengths(ask, min(ask.context or facts.context, facts.context, ask.prompt + ask.output))
        sizing.within[asked] = latency.concurrency_within(
            replica, prompt, output, tpot=ask.tpot, ttft=ask.ttft - away, most=option.concurrency
        )
    return sizing.within[asked]


def _replica(facts: ModelFacts, ask: Ask, shape: Shape, accelerator: AcceleratorSpec) -> Replica:
    held = shape.precision if shape.precision is not facts.precision else None
    return Replica(
        facts, accelerator, shape.tensor_parallel, shape.pipeline_parallel, held, utilization=ask.utilization
    )


def _judged(facts: ModelFacts, ask: Ask, name: str, accelerator: AcceleratorSpec) -> Iterator[Option | Rejection]:
    for precision in ask.precisions:
        for tensor, pipeline in splits(facts, accelerator) if facts.decoder else ((1, 1),):
            shape = Shape(name, tensor, pipeline, _stored(facts, precision))
            yield judge(facts, ask, shape, accelerator, precision)


def _stored(facts: ModelFacts, precision: Precision | None) -> Precision:
    """How an engine holds the weights: as they are, but for 32 bits, which it loads into 16."""
    stored = facts.precision if precision is None else precision
    return Precision.BF16 if stored is Precision.FP32 else stored


def _lengths(ask: Ask, length: int) -> tuple[int, int]:
    """Prompt and answer within `length` tokens, in the proportion that was asked for."""
    output = max(1, round(length * ask.output / (ask.prompt + ask.output)))
    return max(1, length - output), output


def _too_small(replica: Replica, budget: memory.Budget, context: int) -> str:
    if budget.fits:
        return ""
    usable, weights = budget.usable / GIB, budget.weights / GIB
    rest = (budget.activations + budget.overhead) / GIB
    each = " a GPU" if replica.accelerators > 1 else ""
    holds = f"{weights:.1f} GiB of weights and {rest:.1f} GiB of activations and buffers{each}"
    longest = memory.longest_context(replica)
    if budget.free <= 0 or longest < 1:
        return f"does not fit: {holds} exceed the {usable:.1f} GiB that the engine may use"
    return (
        f"holds {longest:,} tokens of context beside {holds} in {usable:.1f} GiB, not the {context:,} asked for; "
        f"set maxModelLen to at most {longest}"
    )


def _too_slow(replica: Replica, ask: Ask, prompt: int, output: int) -> str:
    missed = []
    tpot, ttft = latency.tpot(replica, prompt, output, 1), latency.ttft(replica, prompt, output, 1)
    if ask.tpot is not None and tpot > ask.tpot:
        missed.append(f"{tpot * 1000:.0f} ms a token, above the TPOT of {ask.tpot * 1000:.0f} ms")
    if ask.ttft is not None and ttft > ask.ttft:
        missed.append(f"{ttft * 1000:.0f} ms to the first token, above the TTFT of {ask.ttft * 1000:.0f} ms")
    return f"is too slow for even one request: {' and '.join(missed)}"


def _option(replica: Replica, shape: Shape, ask: Ask, budget: memory.Budget, context: int, within: int) -> Option:
    prompt, output = _lengths(ask, min(context, ask.prompt + ask.output))
    replicas = ceil(ask.concurrency / within)
    load = ceil(ask.concurrency / replicas)
    rate = replicas * latency.tokens_per_second(replica, prompt, output, load)
    rate *= 1 if replica.facts.decoder else prompt
    price = replica.accelerator.price
    hourly = None if price is None else replicas * shape.accelerators * price.usd_per_hour
    return Option(
        shape=shape,
        limits=None if budget.limits == memory.usual_limits(replica.accelerator) else budget.limits,
        usable_gib=budget.usable / GIB,
        weights_gib=budget.weights / GIB,
        kv_tokens=memory.kv_tokens(replica, context),
        longest_context=memory.longest_context(replica),
        concurrency=within,
        replicas=replicas,
        load=load,
        ttft=latency.ttft(replica, prompt, output, load),
        tpot=latency.tpot(replica, prompt, output, load) if replica.facts.decoder else 0.0,
        tokens_per_second=rate,
        usd_per_hour=hourly,
        usd_per_million_tokens=None if hourly is None else hourly / (rate * 3600) * 1e6,
    )


def _rank(option: Option) -> tuple[float, int, int, str, str]:
    cost = inf if option.usd_per_hour is None else round(option.usd_per_hour, 6)
    shape = option.shape
    return cost, option.replicas * shape.accelerators, -option.kv_tokens, shape.accelerator, shape.precision
