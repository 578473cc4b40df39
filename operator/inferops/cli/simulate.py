"""`inferops simulate`: what scaling would do with a service's traffic, before anyone pays for a GPU."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import yaml

from inferops.cli import simulaterules, simulatetraffic
from inferops.cli.lines import new_console
from inferops.cli.render import BadInput
from inferops.cli.simulateask import BadOption, Question, check, cold_start
from inferops.cli.simulatebench import Bench, Carried, usual_start
from inferops.cli.simulateprogress import Bar
from inferops.cli.simulaterules import Rule
from inferops.cli.simulateservice import Subject, Variant, subject_in
from inferops.cli.simulatesuggest import Search
from inferops.core import fleet
from inferops.core.told import describe
from inferops.simulate.report import words
from inferops.simulate.report.data import as_data
from inferops.simulate.report.page import page
from inferops.simulate.report.table import show
from inferops.simulate.report.terms import Entry, Report
from inferops.simulate.scaling.scenario import ColdStart
from inferops.simulate.traces.lines import BadTrace

MET, MISSED, BAD = 0, 1, 2


def answer(question: Question) -> int:
    """Run it and tell. Returns 0, 1 where the SLO is missed and `--check` asks, or 2 with the error on stderr."""
    try:
        check(question)
        with Bar() as bar:
            report = _report(question, bar)
        _write(question, report)
    except (BadOption, BadTrace, BadInput, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        print(f"inferops simulate: {error}", file=sys.stderr)
        return BAD
    except KeyboardInterrupt:
        return 130
    return MISSED if question.check and report.entries[0].result.attainment < report.goal else MET


def _report(question: Question, bar: Bar) -> Report:
    """All runs. Raises BadOption, BadTrace and BadInput."""
    text = sys.stdin.read() if str(question.file) == "-" else question.file.read_text()
    try:
        subject = subject_in(text, question.service)
    except (BadInput, yaml.YAMLError) as error:
        raise BadInput(f"{question.file}: {error}") from error
    bench, asked = _bench(question, subject, bar)
    variant = subject.variants[0]
    own = simulaterules.own(subject, variant, asked.clock)
    if own is None and not question.compare:
        raise BadOption(
            f"{question.file}: spec.scaling.mode external leaves the number of replicas to others; name who decides it "
            "by --compare, for example --compare hpa"
        )
    bar.within = "load test "
    carried = bench.carried(variant)
    others = simulaterules.peers(question.compare, subject, carried, bench.survey.busiest)
    entries = []
    rules = [*([own] if own is not None else []), *others]
    for number, rule in enumerate(rules, 1):
        bar.within = f"{number} of {len(rules)}: " if len(rules) > 1 else ""
        entries.append(_entry(bench, variant, rule, carried))
    found = Report(
        title=f"Simulation of {subject.service.metadata.namespace}/{subject.service.metadata.name}",
        facts=_facts(bench, variant, carried, asked.told),
        notes=tuple(_notes(bench, variant, carried, own)),
        goal=subject.attainment,
        priced=bench.priced(variant) is not None,
        entries=tuple(entries),
    )
    return _with_suggestion(found, bench, bar, asked.clock) if question.suggest else found


def _bench(question: Question, subject: Subject, bar: Bar) -> tuple[Bench, simulatetraffic.Asked]:
    asked = simulatetraffic.asked(question, subject.service.spec.load, subject.context, subject.decoder)
    who = str(question.trace or question.rates or "the traffic")
    survey = simulatetraffic.survey(asked.requests, subject.context, who)

    def cold(variant: Variant) -> ColdStart:
        return cold_start(question.cold_start, usual_start(variant))

    cold(subject.variants[0])  # what is wrong with it is told before anything is run
    bench = Bench(
        subject, asked.requests, survey, cold, bar, question.price, question.room, question.replicas, question.seed
    )
    return bench, asked


def _entry(bench: Bench, variant: Variant, rule: Rule, carried: Carried | None) -> Entry:
    result = bench.play(rule.make(), variant, rule.bounds, carried)
    return Entry(rule.name, rule.settings, replace(result, policy=rule.name), rule.ours)


def _with_suggestion(report: Report, bench: Bench, bar: Bar, clock: float) -> Report:
    def say(what: str) -> None:
        bar.within = what

    try:
        found = Search(bench, clock, say).suggested(report.entries[0])
    except ValueError as error:
        raise BadOption(f"--suggest: {error}") from error
    return replace(report, suggestion=found)


def _facts(bench: Bench, variant: Variant, carried: Carried | None, traffic: str) -> tuple[tuple[str, str], ...]:
    subject, price = bench.subject, bench.priced(variant)
    cost = f", {words.dollars(price)} an hour" if price is not None else ""
    cache = f", {variant.engine.kv_tokens:,} tokens of KV cache" if subject.decoder else ""
    carries = "nothing within the SLO"
    if carried is not None:
        carries = f"{words.rate(carried.rate)} requests a second within the SLO, {carried.concurrency:.0f} at once"
    limits = [f"{name} {words.span(limit)}" for name, limit in _limits(subject) if limit < inf]
    return (
        ("model", subject.service.spec.model.uri),
        ("replica", f"{describe(variant.choice)}{cache}{cost}"),
        ("carries", f"{carries}, by a simulated load test"),
        ("SLO", f"{' and '.join(limits)} for {words.goal(subject.attainment)} of requests"),
        ("traffic", traffic),
        ("requests", simulatetraffic.told(bench.survey)),
        ("cold start", _cold(bench.cold(variant), bench.room)),
        ("seed", str(bench.seed)),
    )


def _limits(subject: Subject) -> tuple[tuple[str, float], ...]:
    return (("TTFT", subject.ttft), ("TPOT", subject.tpot))


def _cold(cold: ColdStart, room: int | None) -> str:
    parts = {"schedule": cold.schedule, "pull": cold.pull, "load": cold.load, "warm": cold.warm}
    told = ", ".join(f"{name} {words.clock(value)}" for name, value in parts.items() if value)
    node = f"; {words.clock(cold.node)} more for a new node, beyond {room} replicas" if room is not None else ""
    return f"{words.clock(sum(parts.values()))} ({told or 'none'}){node}"


def _notes(bench: Bench, variant: Variant, carried: Carried | None, own: Rule | None) -> list[str]:
    """What the reader has to know."""
    subject, found = bench.subject, list[str]()
    scaling = subject.service.spec.scaling
    if subject.assumed:
        slo = subject.service.spec.slo
        limits = f"TTFT {slo.ttft} and TPOT {slo.tpot}"
        found.append(f"spec.slo promises nothing; simulated as if it did promise {limits}: set spec.slo.ttft and tpot.")
    if variant.doubt:
        found.append(f"Sizing has something against {variant.name}: {variant.doubt}.")
    by_mode = scaling.replicas is None and scaling.mode not in ("fixed", "external")
    if by_mode and fleet.highest(scaling) <= max(scaling.min_replicas, 1):
        number = fleet.highest(scaling)
        found.append(f"The number of replicas stays at {number}: set spec.scaling.maxReplicas above minReplicas.")
    if own is None:
        found.append("spec.scaling.mode external leaves the number of replicas to others, so only these are shown.")
    if bench.priced(variant) is None:
        found.append(f"The price of {variant.choice.type} is not known: set it in its Accelerator, or by --price.")
    if bench.survey.full:
        found.append(
            f"{bench.survey.full:,} requests fill the context of {subject.context:,} tokens; longer ones are cut to it."
        )
    if scaling.schedule and own is not None:
        found.append("Windows of the schedule hold by the time at which the traffic was recorded, or by --clock.")
    return found


def _write(question: Question, report: Report) -> None:
    """The report to where it is wanted; on stdout the table, unless JSON goes there."""
    if question.html is not None:
        question.html.write_text(page(report), encoding="utf-8")
    if question.json is not None:
        text = json.dumps(as_data(report), indent=None if str(question.json) != "-" else 2, allow_nan=False) + "\n"
        if str(question.json) == "-":
            print(text, end="")
            return
        Path(question.json).write_text(text, encoding="utf-8")
    show(new_console(), report)
