"""Which ways to run replicas a spec allows: those that it lists, else those that sizing found, cheapest first.

What sizing chose stays as it is until somebody asks for something else: the revision remembers what was asked, so
neither a new catalogue nor a restart, nor a hub that does not answer, makes a new revision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.formats import seconds
from inferops.api.inferenceservice import AcceleratorChoice, InferenceServiceSpec, ModelSpec
from inferops.core.facts import UNQUANTIZED, ModelFacts, Precision
from inferops.core.observation import Observation, RevisionView
from inferops.core.revision import BatchLimits, RevisionSpec, revision_of
from inferops.core.sizing import Ask, Option, Rejection, Shape, Sizing, size, size_listed

STORED: dict[str, Precision] = {
    "fp8": Precision.FP8,
    "int8": Precision.INT8,
    "awq": Precision.INT4,
    "gptq": Precision.INT4,
    "nvfp4": Precision.NVFP4,
}

NOT_SIZED = "sizing knows no more than language models, and this runtime serves others"


def ask_of(spec: InferenceServiceSpec, memory_share: float) -> Ask:
    """What `spec` asks of sizing; `memory_share` is the engine's share of the accelerators' memory."""
    quantization = spec.model.quantization
    precisions: tuple[Precision | None, ...] = (None,)
    if quantization is not None:
        precisions = (None, Precision.FP8) if quantization == "auto" else (STORED[quantization],)
    return Ask(
        context=spec.model.max_model_len,
        concurrency=spec.load.concurrency,
        prompt=spec.load.prompt_tokens,
        output=spec.load.output_tokens,
        ttft=None if spec.slo.ttft is None else seconds(spec.slo.ttft),
        tpot=None if spec.slo.tpot is None else seconds(spec.slo.tpot),
        precisions=precisions,
        utilization=memory_share,
    )


def size_for(
    spec: InferenceServiceSpec, facts: ModelFacts, accelerators: Mapping[str, AcceleratorSpec], memory_share: float
) -> Sizing:
    """Sizing's answer for `spec`: on the accelerators that it lists, else on all."""
    ask = ask_of(spec, memory_share)
    if not spec.accelerators:
        return size(facts, ask, accelerators)
    listed = [(choice.type, choice.count // choice.nodes, choice.nodes) for choice in spec.accelerators]
    return size_listed(facts, ask, listed, accelerators)


def shape_of(choice: AcceleratorChoice, precision: Precision) -> Shape:
    """How replicas on `choice` are split: tensor parallelism within a node, a pipeline stage a node."""
    return Shape(choice.type, choice.count // choice.nodes, choice.nodes, precision)


def choice_of(shape: Shape) -> AcceleratorChoice:
    """The choice of accelerators that a shape needs."""
    return AcceleratorChoice(type=shape.accelerator, count=shape.accelerators, nodes=shape.pipeline_parallel)


def current(seen: Observation) -> RevisionView | None:
    """The revision that the spec asked for last. The status may be lost; the Service tells then what serves."""
    latest = seen.service.status.latest_revision or seen.routed_to
    return next((revision for revision in seen.revisions if revision.hash == latest), None)


def remembered(seen: Observation) -> RevisionSpec | None:
    """What sizing decided before, if that was for the same wishes, or nothing is known of the model now."""
    last = current(seen)
    if last is None or last.spec is None or not last.spec.sized_for:
        return None
    spec, status = seen.service.spec, seen.service.status
    # A record cannot be written anew when other wishes lead to the same revision; the status tells then.
    told = status.sizing.asked if status.latest_revision == last.hash else ""
    same = wishes(spec) in (last.spec.sized_for, told)
    return last.spec if same or (seen.sizing is None and last.spec.model.uri == spec.model.uri) else None


def waits_for_sizing(seen: Observation) -> bool:
    """Whether nothing can be decided before it is known what the model is."""
    spec = seen.service.spec
    left = not spec.accelerators or spec.model.quantization == "auto"
    return left and seen.sizing is None and remembered(seen) is None


def choices(seen: Observation) -> tuple[AcceleratorChoice, ...]:
    """The ways to run replicas, in order of preference. Empty: the spec lists none, and sizing found none."""
    return tuple(each_choice(seen))


def each_choice(seen: Observation) -> Iterator[AcceleratorChoice]:
    """The same one by one, since to judge all is much work where only the first matters."""
    spec = seen.service.spec
    if spec.accelerators:
        yield from spec.accelerators
        return
    before, wish = remembered(seen), wishes(spec)
    found = [before.accelerator] if before is not None else []
    found += [choice_of(option.shape) for option in (seen.sizing.options if seen.sizing is not None else ())]
    known = set()
    for choice in found:
        what = (choice.type, choice.count, choice.nodes)
        if what in known:
            continue
        known.add(what)
        if _is_taken(seen, choice, _sized(seen, choice, before, wish)):
            yield choice


def estimate(seen: Observation, choice: AcceleratorChoice) -> Option | Rejection | None:
    """What sizing says of `choice`: the cheapest option, else why there is none; None where nothing is known."""
    if seen.sizing is None:
        return None
    shape = shape_of(choice, Precision.BF16)
    same = (shape.accelerator, shape.tensor_parallel, shape.pipeline_parallel)
    everything: tuple[Option | Rejection, ...] = (*seen.sizing.options, *seen.sizing.rejected)
    for judged in everything:
        if (judged.shape.accelerator, judged.shape.tensor_parallel, judged.shape.pipeline_parallel) == same:
            return judged
    return None


def revision(seen: Observation, choice: AcceleratorChoice) -> RevisionSpec:
    """The revision that the spec asks for on `choice`, with what sizing decides of it."""
    spec = seen.service.spec
    if spec.accelerators and spec.model.quantization != "auto":
        return revision_of(spec, choice)
    return _sized(seen, choice, remembered(seen), wishes(spec))


def _sized(seen: Observation, choice: AcceleratorChoice, before: RevisionSpec | None, wish: str) -> RevisionSpec:
    """The revision on `choice` as sizing decided it `before`, else as it decides now for `wish`."""
    spec = seen.service.spec
    asked = revision_of(spec, choice)
    if before is not None and before.accelerator == choice:
        model = spec.model.model_copy(update={"quantization": before.model.quantization})
        return asked.model_copy(update={"model": model, "batch": before.batch, "sized_for": before.sized_for})
    found = estimate(seen, choice)
    limits = found.limits if isinstance(found, Option) and not spec.accelerators else None
    batch = None if limits is None else BatchLimits(tokens=limits.tokens, sequences=limits.sequences)
    return asked.model_copy(update={"model": _resolved(seen, spec.model, found), "batch": batch, "sized_for": wish})


def wishes(spec: InferenceServiceSpec) -> str:
    """A digest of all that sizing goes by, but for what it knows of models and accelerators."""
    content = spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include={"model", "accelerators", "slo", "load"}
    )
    content["runtime"] = spec.runtime.name
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _resolved(seen: Observation, model: ModelSpec, found: Option | Rejection | None) -> ModelSpec:
    """`model` with its quantization decided, where that was left to sizing."""
    if model.quantization != "auto":
        return model
    wide = seen.sizing is not None and seen.sizing.facts.precision in UNQUANTIZED
    quantized = isinstance(found, Option) and wide and found.shape.precision is Precision.FP8
    return model.model_copy(update={"quantization": "fp8" if quantized else None})


def _is_taken(seen: Observation, choice: AcceleratorChoice, asked: RevisionSpec) -> bool:
    """Whether the engine can serve `asked` on `choice`."""
    accelerator = seen.accelerators.get(choice.type)
    if accelerator is None or seen.engine is None or seen.runtime is None:
        return False
    return seen.engine.obstacle(asked, seen.runtime, accelerator) is None
