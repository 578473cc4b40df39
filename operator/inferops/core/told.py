"""What the status tells of sizing: the options with their figures, what will not do, and why a choice was made."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ValidationError

from inferops.api.accelerator import Price
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.inferenceservicestatus import SizedOption, SizingStatus
from inferops.core import choices, devices, scheduling
from inferops.core.observation import Observation
from inferops.core.revision import RevisionSpec
from inferops.core.sizing import Option, Rejection

MOST = 8  # options, and rejections
SENTENCE = 512
DESCRIBED = re.compile(
    r"(?P<count>\d{1,4})x (?P<type>[a-z0-9.-]+)(?: on (?P<nodes>\d{1,4}) nodes)?(?P<spot> \(spot\))?"
)


def describe(choice: AcceleratorChoice) -> str:
    """A choice of accelerator for people, for example `4x nvidia-l4 (spot)`."""
    nodes = f" on {choice.nodes} nodes" if choice.nodes > 1 else ""
    return f"{choice.count}x {choice.type}{nodes}{' (spot)' if choice.spot else ''}"


def chosen(described: str) -> AcceleratorChoice | None:
    """The choice that `describe` told of; None: it is no such text."""
    found = DESCRIBED.fullmatch(described)
    if found is None:
        return None
    try:
        return AcceleratorChoice(
            type=found["type"], count=int(found["count"]), nodes=int(found["nodes"] or 1), spot=bool(found["spot"])
        )
    except ValidationError:
        return None


def cost(choice: AcceleratorChoice, price: Price | None) -> str:
    """US dollars an hour of one replica on `choice`; empty where the price is not known."""
    if price is None:
        return ""
    spot = price.spot_usd_per_hour if choice.spot else None
    return str(round((price.usd_per_hour if spot is None else spot) * choice.count, 4))


def milliseconds(seconds: float) -> str:
    """A short time for people, for example `24ms`."""
    return f"{seconds * 1000:.0f}ms" if seconds >= 0.01 else f"{seconds * 1000:.1f}ms"


def sizing(seen: Observation, target: RevisionSpec | None) -> SizingStatus:
    """Sizing's answer, shortened: the cheapest options with the chosen one among them, and what would be cheaper."""
    before = seen.service.status.sizing
    if seen.looking:
        return before
    asked = before.asked if target is None else choices.wishes(seen.service.spec) if target.sized_for else ""
    if seen.sizing is None:
        return SizingStatus(asked=asked, model=seen.unsized[:SENTENCE])
    chosen = choices.estimate(seen, target.accelerator) if target is not None else None
    shown = list(seen.sizing.options[:MOST])
    if isinstance(chosen, Option) and chosen not in shown:
        shown[-1] = chosen
    facts = seen.sizing.facts
    active = f", {facts.active_params / 1e9:.3g} of them active" if facts.experts else ""
    return SizingStatus(
        asked=asked,
        model=f"{facts.name}: {facts.params / 1e9:.3g} billion parameters{active}, {facts.precision}, "
        f"{facts.depth} layers, context {facts.context:,}"[:SENTENCE],
        options=[_option(option) for option in shown],
        rejected=[f"{rejection.shape} {rejection.reason}"[:SENTENCE] for rejection in _cheaper(seen, chosen)],
    )


def why(seen: Observation, target: RevisionSpec) -> list[str]:
    """Why replicas run on the accelerator that they run on."""
    first = next(choices.each_choice(seen), target.accelerator)
    found = choices.estimate(seen, target.accelerator)
    told = []
    if isinstance(found, Rejection):
        told.append(f"{describe(target.accelerator)} may not do, by sizing's estimate: it {found.reason}")
    elif isinstance(found, Option) and not seen.service.spec.accelerators:
        told.append(_chosen(seen, found))
    elif isinstance(found, Option) and found.limits is not None:
        told.append(
            f"{describe(target.accelerator)} holds the context, by sizing's estimate, only with batches of at most "
            f"{found.limits.tokens} tokens and {found.limits.sequences} sequences; tell the engine in spec.runtime.args"
        )
    device = seen.accelerators[target.accelerator.type].device
    if device is not None and devices.claimed(seen.accelerators[target.accelerator.type], seen.nodes):
        there = sum(devices.count(node, device) for node in seen.nodes)
        told.append(
            f"a new revision claims its accelerators from the DeviceClass {device.class_name}: no node offers "
            f"{seen.accelerators[target.accelerator.type].resource_name}, and the driver {device.driver} lists {there}"
        )
    if target.accelerator != first:
        told.append(f"runs on {describe(target.accelerator)}, not on {describe(first)}: {_why_not(seen, first)}")
    return told


def _why_not(seen: Observation, first: AcceleratorChoice) -> str:
    accelerator = seen.accelerators[first.type]
    if missing_kind := scheduling.unoffered(first, seen):
        return missing_kind.message
    if scheduling.match(first, accelerator, seen.nodes).fits:
        return "it runs there, and moving it would make a new revision"
    return scheduling.missing(first, accelerator, seen.nodes, "").message


def _chosen(seen: Observation, option: Option) -> str:
    ask, count = seen.sizing.ask if seen.sizing else None, len(seen.sizing.options) if seen.sizing else 0
    cost = "" if option.usd_per_hour is None else f", {option.usd_per_hour:.2f} USD an hour"
    load = "" if ask is None else f" for {ask.concurrency} requests of {ask.prompt} + {ask.output} tokens at once"
    tpot = f", TPOT {milliseconds(option.tpot)}" if option.tpot else ""
    replicas = f" in {option.replicas} replicas" if option.replicas > 1 else ""
    return (
        f"sizing chose {option.shape} out of {count} that would do{load}: {option.weights_gib:.1f} GiB of weights in "
        f"{option.usable_gib:.1f} GiB a GPU leave {option.kv_tokens:,} tokens of KV cache; TTFT "
        f"{milliseconds(option.ttft)}{tpot}{replicas}{cost}"
    )


def _cheaper(seen: Observation, chosen: Option | Rejection | None) -> Sequence[Rejection]:
    """What was asked for or would cost less than `chosen` and will not do, the nearest in price first."""
    if seen.sizing is None:
        return ()
    rejected = seen.sizing.rejected
    if not seen.service.spec.accelerators:
        cost = {rejection: _hourly(seen, rejection) for rejection in rejected}
        limit = _limit(seen, chosen)
        cheaper = [rejection for rejection in rejected if 0 < cost[rejection] < limit]
        rejected = tuple(sorted(cheaper, key=lambda rejection: (-cost[rejection], rejection.shape.accelerator)))
    return rejected[:MOST]


def _limit(seen: Observation, chosen: Option | Rejection | None) -> float:
    if isinstance(chosen, Option) and chosen.usd_per_hour is not None:
        return chosen.usd_per_hour / chosen.replicas
    return float("inf")


def _hourly(seen: Observation, rejection: Rejection) -> float:
    price = seen.accelerators[rejection.shape.accelerator].price
    return 0.0 if price is None else price.usd_per_hour * rejection.shape.accelerators


def _option(option: Option) -> SizedOption:
    cost, million = option.usd_per_hour, option.usd_per_million_tokens
    return SizedOption(
        accelerator=describe(choices.choice_of(option.shape)),
        precision=option.shape.precision,
        replicas=option.replicas,
        concurrency=option.concurrency,
        kv_tokens=option.kv_tokens,
        longest_context=option.longest_context,
        ttft=milliseconds(option.ttft),
        tpot=milliseconds(option.tpot) if option.tpot else "",
        tokens_per_second=round(option.tokens_per_second),
        usd_per_hour="" if cost is None else f"{cost:.2f}",
        usd_per_million_tokens="" if million is None else f"{million:.2f}",
    )
