"""The service of `inferops simulate`: which replicas the operator would run for it, and what is promised of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.formats import seconds
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.resources import InferenceService
from inferops.cli.render import BadInput, Given, observed, read
from inferops.core import choices, validity
from inferops.core.autoscale.terms import Seed
from inferops.core.fleet import seed
from inferops.core.observation import Observation
from inferops.core.replica import Replica
from inferops.core.sizing import Option, Sizing
from inferops.core.told import describe
from inferops.render.record import Record
from inferops.render.revision import render_revision
from inferops.runtimes import ENGINES
from inferops.simulate.model import Accelerator, Deployment, DoesNotFit
from inferops.simulate.scaling.scenario import EngineFigures
from inferops.simulate.server.failures import StartFailure
from inferops.simulate.server.options import LlmOptions, limits_of
from inferops.simulate.server.runtimes import RUNTIMES, LanguageModelRuntime

ASSUMED = {"ttft": "1s", "tpot": "50ms"}  # where nothing is promised
MOST = 8  # ways to run replicas that are looked at
NODES = {"deployment": ("template",), "lws": ("leaderWorkerTemplate", "leaderTemplate")}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run replicas."""

    choice: AcceleratorChoice
    deployment: Deployment
    engine: EngineFigures
    startup: float  # seconds from the end of loading until it answers
    price: float | None  # US dollars an hour of a replica; None: not known
    seed: Seed | None  # what the operator reckons that one carries, before anything was measured
    option: Option | None  # as sizing judges it; None: it has something against it, which `doubt` says
    doubt: str = ""

    @property
    def name(self) -> str:
        return describe(self.choice)


@dataclass(frozen=True, slots=True)
class Subject:
    """A service to simulate. The first of `variants` is what the operator would choose."""

    service: InferenceService
    variants: tuple[Variant, ...]
    ttft: float  # seconds; inf: not promised
    tpot: float
    assumed: bool  # that nothing was promised, so that usual values stand here
    attainment: float
    context: int  # tokens of the longest prompt and answer together
    decoder: bool  # whether the model writes answers


def subject_in(text: str, name: str | None = None) -> Subject:
    """The service of a YAML text, by name where there are several. Raises BadInput, naming the field."""
    services, given = read(text)
    service, assumed = _promised(_chosen(services, name))
    seen = observed(service, given)
    if obstacle := validity.obstacle(seen):
        raise BadInput(f"{service.metadata.name}: {obstacle.message}")
    if seen.sizing is None:
        raise BadInput(f"{service.metadata.name}: cannot be simulated: {seen.unsized}")
    variants = _variants(seen, seen.sizing, given)
    context = min(service.spec.model.max_model_len or seen.sizing.facts.context, seen.sizing.facts.context)
    slo = service.spec.slo
    ttft, tpot, decoder = _seconds(slo.ttft), _seconds(slo.tpot), seen.sizing.facts.decoder
    return Subject(service, variants, ttft, tpot, assumed, slo.attainment, context, decoder)


def _chosen(services: list[InferenceService], name: str | None) -> InferenceService:
    names = [each.metadata.name for each in services]
    if name is None and len(services) == 1:
        return services[0]
    if name is None:
        raise BadInput(f"there are several InferenceServices in it; choose one by --service: {', '.join(names)}")
    if name not in names:
        raise BadInput(f"--service {name!r}: there is no such InferenceService in it, but {', '.join(names)}")
    return services[names.index(name)]


def _promised(service: InferenceService) -> tuple[InferenceService, bool]:
    """The service with usual limits where it promises none, and whether that was so."""
    slo = service.spec.slo
    if slo.ttft is not None or slo.tpot is not None:
        return service, False
    spec = service.spec.model_copy(update={"slo": slo.model_copy(update=ASSUMED)})
    return service.model_copy(update={"spec": spec}), True


def _seconds(limit: str | None) -> float:
    return inf if limit is None else seconds(limit)


def _variants(seen: Observation, sizing: Sizing, given: Given) -> tuple[Variant, ...]:
    """The first ways to run replicas, in order of preference. Raises BadInput where there is none."""
    found: list[Variant] = []
    why = ""
    for choice in choices.each_choice(seen):
        variant = _variant(seen, sizing, choice, given)
        if isinstance(variant, str):
            why = why or variant
        elif len(found) < MOST:
            found.append(variant)
        else:
            break
    if not found:
        told = why or "no accelerator that is known holds the model and keeps spec.slo"
        raise BadInput(f"{seen.service.metadata.name}: spec.accelerators: {told}")
    return tuple(found)


def _variant(seen: Observation, sizing: Sizing, choice: AcceleratorChoice, given: Given) -> Variant | str:
    """Replicas on `choice`, or why there are none."""
    judged = choices.estimate(seen, choice)
    accelerator = given.accelerators.get(choice.type)
    if accelerator is None or judged is None:
        return f"{choice.type} is no Accelerator that is known; put it into the file"
    options, startup = _told(seen, choice, given)
    facts, shape, share = sizing.facts, judged.shape, sizing.ask.utilization
    replica = Replica(
        facts,
        accelerator,
        shape.tensor_parallel,
        shape.pipeline_parallel,
        None if shape.precision is facts.precision else shape.precision,
        utilization=options.utilization if options is not None else share,
    )
    context = min(sizing.ask.context or facts.context, facts.context)
    limits = limits_of(options, Accelerator(choice.type, accelerator)) if options is not None else None
    deployment = Deployment(replica, choice.type, context, limits)
    doubt = "" if isinstance(judged, Option) else judged.reason
    try:
        tokens = deployment.kv_tokens()
    except DoesNotFit as error:
        return str(error)
    if tokens < context:
        return f"{describe(choice)} {doubt or f'holds {tokens:,} tokens of KV cache'}"
    batch = deployment.batch
    block = options.block_size if options is not None else 16
    engine = EngineFigures(deployment.timing(), tokens, batch.sequences, batch.tokens, block)
    option = judged if isinstance(judged, Option) else None
    most = seen.service.spec.traffic.max_concurrency
    reckoned = seed(sizing, option, accelerator, most) if option is not None else None
    return Variant(choice, deployment, engine, startup, _price(accelerator, choice), reckoned, option, doubt)


def _price(accelerator: AcceleratorSpec, choice: AcceleratorChoice) -> float | None:
    if accelerator.price is None:
        return None
    spot = accelerator.price.spot_usd_per_hour
    return choice.count * (spot if choice.spot and spot is not None else accelerator.price.usd_per_hour)


def _told(seen: Observation, choice: AcceleratorChoice, given: Given) -> tuple[LlmOptions | None, float]:
    """What the engine's command line says of its batches, where it is one of language models, and how long it takes to
    start beside loading. Raises BadInput where the engine would refuse its command line."""
    service = seen.service
    runtime = given.runtimes[service.spec.runtime.name]
    simulated: Any = RUNTIMES[runtime.engine]
    startup = float(simulated.startup_seconds)
    if not issubclass(simulated, LanguageModelRuntime):
        return None, startup
    revision = choices.revision(seen, choice)
    record = render_revision(service, revision, runtime, given.accelerators[choice.type], ENGINES[runtime.engine])
    container = _pod(record)["containers"][0]
    words = [*container.get("command", ()), *container.get("args", ())]
    if words and words[0].endswith("entrypoint.sh"):  # of NVIDIA's images: it sets up and runs the rest
        words = words[1:]
    try:
        return simulated.parse(words, {}), startup
    except StartFailure as error:
        raise BadInput(f"{service.metadata.name}: spec.runtime.args: {str(error).splitlines()[-1]}") from error


def _pod(record: Record) -> Mapping[str, Any]:
    """The pod that serves: a Deployment's, or the leader of a group's."""
    found = record.workload["spec"]
    kind = next(key for key in NODES if key in record.objects)
    for part in NODES[kind]:
        found = found[part]
    pod: Mapping[str, Any] = found["spec"]
    return pod
