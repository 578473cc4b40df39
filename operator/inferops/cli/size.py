"""`inferops size MODEL`: which accelerators would serve a model, what each costs, and why the others will not do."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.formats import seconds
from inferops.api.resources import Accelerator
from inferops.catalogue import accelerators, built_in, models, runtimes
from inferops.cli.render import BadInput, parse
from inferops.controller.modelhub import Hub, HubError, parsed
from inferops.core import choices
from inferops.core.config_json import BadConfig, facts_of
from inferops.core.facts import ModelFacts, Precision
from inferops.core.sizing import Ask, Option, Rejection, Sizing, size
from inferops.core.told import describe, milliseconds
from inferops.runtimes import ENGINES

WIDE = 2000
REPOSITORY = re.compile(r"(hf://)?[A-Za-z0-9][-\w.]*/[A-Za-z0-9][-\w.]*")
SHOWN, NEAREST = 12, 6  # options and rejections, unless all are asked for
COLUMNS = ("replicas", "requests each", "KV tokens", "context", "TTFT", "TPOT", "tokens/s", "USD/h", "USD/M tokens")


class BadOption(ValueError):
    """A word of the command line that cannot be used: which one, and what would do."""


@dataclass(frozen=True, slots=True)
class Question:
    """The command line, as it was typed."""

    model: str
    config: Path | None = None
    gpus: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    slo: str = ""
    context: int | None = None
    concurrency: int = 16
    prompt: int = 1024
    output: int = 256
    quantization: str = ""
    runtime: str = "vllm"
    hub: str | None = None  # None: none is asked


def answer(question: Question, *, everything: bool, as_json: bool) -> int:
    """Print the answer. Returns 0, 1 where nothing fits, or 2 with the error on stderr."""
    try:
        known = _known(question)
        sizing = size(_facts(question), _ask(question), known)
    except (BadOption, BadConfig, OSError) as error:
        print(f"inferops size: {error}", file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(as_data(sizing), indent=2))
    else:
        console = Console()
        if not console.is_terminal:  # a file or a pipe: whole lines, whatever their length
            console = Console(width=WIDE)
        show(console, sizing, known, everything)
    return 0 if sizing.options else 1


def as_data(sizing: Sizing) -> dict[str, Any]:
    """The whole answer for machines: lengths in tokens, times in seconds, memory in GiB a GPU, money in US dollars."""
    facts = asdict(replace(sizing.facts, layers=()))
    del facts["layers"]
    return {
        "model": {**facts, "depth": sizing.facts.depth, "kv_bytes_per_token": sizing.facts.kv_bytes_per_token()},
        "ask": asdict(sizing.ask),
        "options": [{**asdict(option), "accelerators": _name(option)} for option in sizing.options],
        "rejected": [{**asdict(one), "accelerators": _name(one)} for one in sizing.rejected],
    }


def show(console: Console, sizing: Sizing, known: Mapping[str, AcceleratorSpec], everything: bool) -> None:
    """The answer for people: the options as a table, cheapest first, and what will not do."""
    facts, ask = sizing.facts, sizing.ask
    active = f" ({facts.active_params / 1e9:.3g} active)" if facts.experts else ""
    console.print(
        f"[bold]{escape(facts.name)}[/]  {facts.params / 1e9:.3g} billion parameters{active}, {facts.precision}, "
        f"{facts.weight_bytes() / 1e9:.3g} GB of weights, {facts.kv_bytes_per_token():,.0f} B of KV cache a token"
    )
    limits = [f"TTFT {milliseconds(ask.ttft)}"] if ask.ttft else []
    limits += [f"TPOT {milliseconds(ask.tpot)}"] if ask.tpot else []
    console.print(
        f"for {ask.concurrency} requests at once of {ask.prompt} + {ask.output} tokens, context "
        f"{min(ask.context or facts.context, facts.context):,}, {' and '.join(limits) or 'without limits on latency'}; "
        "estimates, to be measured before they are relied on"
    )
    shown = sizing.options if everything else sizing.options[:SHOWN]
    if shown:
        console.print(_table(shown))
    if len(shown) < len(sizing.options):
        console.print(f"and {len(sizing.options) - len(shown)} more that would do: --all", style="dim")
    _show_rejected(console, sizing, known, everything)


def _show_rejected(console: Console, sizing: Sizing, known: Mapping[str, AcceleratorSpec], everything: bool) -> None:
    rejected = list(sizing.rejected)
    if not everything:  # the largest of each type that will not do says most
        best = {one.shape.accelerator for one in sizing.options}
        largest = {one.shape.accelerator: one for one in rejected}
        rejected = [one for one in largest.values() if one.shape.accelerator not in best]
        rejected.sort(key=lambda one: -known[one.shape.accelerator].memory_gib * one.shape.accelerators)
        rejected = rejected[:NEAREST]
    if rejected:
        console.print("[bold]will not do[/]" + ("" if everything else "  (the nearest of each type; --all for all)"))
    for one in rejected:
        console.print(f"  {one.shape} {escape(one.reason)}", highlight=False)


def _table(options: Iterable[Option]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("accelerators")
    table.add_column("weights")
    for name in (
        "replicas",
        "requests each",
        "KV tokens",
        "context",
        "TTFT",
        "TPOT",
        "tokens/s",
        "USD/h",
        "USD/M tokens",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for option in options:
        table.add_row(
            _name(option),
            option.shape.precision,
            str(option.replicas),
            str(option.concurrency),
            f"{option.kv_tokens:,}",
            f"{option.longest_context:,}",
            milliseconds(option.ttft),
            milliseconds(option.tpot) if option.tpot else "",
            f"{option.tokens_per_second:,.0f}",
            "" if option.usd_per_hour is None else f"{option.usd_per_hour:.2f}",
            "" if option.usd_per_million_tokens is None else f"{option.usd_per_million_tokens:.2f}",
        )
    return table


def _name(judged: Option | Rejection) -> str:
    return describe(choices.choice_of(judged.shape))


def _facts(question: Question) -> ModelFacts:
    """The facts of the model: of the config.json that is given, else of the built-in table."""
    path = question.config or (Path(question.model) if question.model.endswith(".json") else None)
    if path is not None:
        return facts_of(parsed(path.read_text(), str(path)), question.model)
    found = built_in(question.model)
    if found is None and question.hub is not None and REPOSITORY.fullmatch(question.model):
        return asyncio.run(_asked(question.hub, question.model.removeprefix("hf://")))
    if found is None:
        like = get_close_matches(question.model, models(), n=5, cutoff=0.4)
        meant = f"; did you mean {' or '.join(like)}?" if like else ""
        raise BadOption(f"nothing is known of {question.model!r}; give its config.json by --config FILE{meant}")
    return found


async def _asked(endpoint: str, repository: str) -> ModelFacts:
    """The facts of a repository, by the hub."""
    try:
        async with Hub(endpoint) as hub:
            return await hub.facts(repository)
    except (HubError, ValueError) as error:
        raise BadOption(f"{error}; or give it by --config FILE") from None


def _known(question: Question) -> dict[str, AcceleratorSpec]:
    """The accelerators to judge: the built-in ones and those in files, by parts of their names where some are given."""
    known = dict(accelerators())
    for file in question.files:
        known.update(_applied(file))
    if not question.gpus:
        return known
    chosen: dict[str, AcceleratorSpec] = {}
    for gpu in question.gpus:
        found = {gpu: known[gpu]} if gpu in known else {name: one for name, one in known.items() if gpu.lower() in name}
        if not found:
            raise BadOption(f"--gpu {gpu!r}: there are {', '.join(sorted(known))}")
        chosen.update(found)
    return chosen


def _applied(file: Path) -> dict[str, AcceleratorSpec]:
    """The Accelerators of a file of resources."""
    try:
        documents = [one for one in yaml.safe_load_all(file.read_text()) if isinstance(one, dict)]
        found = [parse(Accelerator, one, "") for one in documents if one.get("kind") == "Accelerator"]
    except (yaml.YAMLError, BadInput) as error:
        raise BadOption(f"{file}: {error}") from None
    if not found:
        raise BadOption(f"{file}: there is no Accelerator in it")
    return {one.metadata.name: one.spec for one in found}


def _ask(question: Question) -> Ask:
    engine = ENGINES[runtimes()[question.runtime].engine] if question.runtime in runtimes() else None
    share = engine.takes_memory if engine is not None else None
    if share is None:
        sized = ", ".join(sorted(name for name, one in runtimes().items() if ENGINES[one.engine].takes_memory))
        raise BadOption(f"--runtime {question.runtime!r}: those that can be sized are {sized}")
    limits = _limits(question.slo)
    return Ask(
        context=question.context,
        concurrency=question.concurrency,
        prompt=question.prompt,
        output=question.output,
        ttft=limits.get("ttft"),
        tpot=limits.get("tpot"),
        precisions=_precisions(question.quantization),
        utilization=share,
    )


def _precisions(quantization: str) -> tuple[Precision | None, ...]:
    if quantization in ("", "none"):
        return (None,)
    if quantization == "auto":
        return (None, Precision.FP8)
    if quantization not in choices.STORED:
        raise BadOption(f"--quantization {quantization!r}: there are auto, {', '.join(choices.STORED)}")
    return (choices.STORED[quantization],)


def _limits(slo: str) -> dict[str, float]:
    """`ttft=800ms,tpot=50ms` in seconds."""
    found: dict[str, float] = {}
    for part in filter(None, slo.replace(" ", "").split(",")):
        name, _, value = part.partition("=")
        try:
            found[name] = seconds(value)
        except ValueError:
            raise BadOption(f"--slo {part!r}: write ttft=800ms,tpot=50ms") from None
        if name not in ("ttft", "tpot") or found[name] <= 0:
            raise BadOption(f"--slo {part!r}: write ttft=800ms,tpot=50ms")
    return found
