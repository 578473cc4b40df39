"""A rollout as a tree, most important first: where it is, who gets which requests, the evidence, what comes next."""

from __future__ import annotations

from datetime import datetime

from rich.tree import Tree

from inferops.api.resources import InferenceService
from inferops.api.rollout import Gate
from inferops.api.rolloutstatus import UNDER_WAY, AnalysisStatus, Counts, GateStatus, MetricStatus, Phase, RolloutStatus
from inferops.cli import rolloutstate as state
from inferops.cli.access import Shown
from inferops.cli.lines import add, add_revisions, duration, moment, new_tree, percent, plain, program, since

BAD: frozenset[Phase] = frozenset({"RollingBack", "RolledBack"})
VERDICTS = {"Harm": "red", "NoWorse": "green", "Passed": "green", "Failed": "red"}  # of metrics and of gates
CLOCKS = (
    ("capacity", "waiting for nodes"),
    ("pull", "pulling images and mounting volumes"),
    ("load", "loading the model"),
    ("warm_up", "ready, and warming"),
    ("stable_down", "no replica of the stable revision ready"),
)


def tree(shown: Shown, now: datetime, problem: str = "") -> Tree:
    """The rollout at `now`. `problem` is why what is shown may be old."""
    service = shown.service
    rollout = service.status.rollout
    root = new_tree(
        f"[bold]Rollout of {plain(service.metadata.namespace)}/{plain(service.metadata.name)}[/]  {_who(service)}"
    )
    for doubt in _doubts(service, problem):
        add(root, f"[yellow]{plain(doubt)}[/]")
    _phase(root, service, now)
    _pause(root, service, now)
    add_revisions(add(root, "revisions"), shown)
    if rollout.analysis.metrics or rollout.phase in UNDER_WAY:
        _analysis(root, service, now)
    _gates(root, service, now)
    _clocks(root, rollout, now)
    _back(root, rollout, now)
    _rejected(root, service, now)
    return root


def command(service: InferenceService, action: str) -> str:
    """What somebody types to do that, in a terminal."""
    meta = service.metadata
    return f"{program()} rollout {action} {meta.name} -n {meta.namespace}"


def _who(service: InferenceService) -> str:
    status, rollout = service.status, service.status.rollout
    strategy = f"  ({rollout.strategy})" if rollout.strategy else ""
    if rollout.phase == "RolledBack" and status.stable_revision:
        return f"revision [bold]{plain(status.stable_revision)}[/] serves, {plain(rollout.canary)} was rolled back"
    if rollout.phase in {*UNDER_WAY, *BAD} and rollout.canary:
        replaced = f" to replace {plain(rollout.stable)}" if rollout.stable else ""
        return f"revision [bold]{plain(rollout.canary)}[/]{replaced}{strategy}"
    if not status.stable_revision:
        return "nothing serves yet"
    return f"revision [bold]{plain(status.stable_revision)}[/] serves"


def _doubts(service: InferenceService, problem: str) -> list[str]:
    """Why what is shown may not be so any more, or may not be all."""
    generation, judged = service.metadata.generation, service.status.observed_generation
    doubts = [problem] if problem else []
    if state.behind(service):
        told = f"the operator judged generation {judged} last" if judged else "no operator has looked at it yet"
        doubts.append(f"generation {generation} is not judged yet: {told}; where that lasts, see whether it runs")
    elif told := state.refused(service):
        doubts.append(f"the spec cannot be served, so nothing new begins: {told}")
    return doubts


def _phase(root: Tree, service: InferenceService, now: datetime) -> None:
    rollout = service.status.rollout
    colour = "red" if rollout.phase in BAD else "green" if rollout.phase in {"Idle", *state.PROMOTED} else "cyan"
    lasts = since(rollout.since, now)
    begun = since(rollout.started, now) if rollout.phase in {*UNDER_WAY, "RollingBack"} else ""
    parts = [f"[bold {colour}]{rollout.phase}[/]", _steps(service)]
    parts += [f"for {lasts}" if lasts else "", f"begun {begun} ago" if begun else ""]
    branch = add(root, "  ".join(part for part in parts if part))
    told = ": ".join(plain(part) for part in (rollout.reason, rollout.message) if part)
    if told:
        add(branch, told)
    canary = state.revision(service, rollout.canary)
    if canary is not None and rollout.phase in {*UNDER_WAY, "RollingBack"}:
        share = percent(canary.weight, rollout.weight, canary.observed_weight)
        add(branch, f"canary {plain(canary.hash)}: {share}")
    if rollout.yielded:
        add(branch, f"the stable revision has given up {rollout.yielded} replicas for it")


def _steps(service: InferenceService) -> str:
    """The step that it is on among the others, such as `step 2 of 3: 5%, [25%], 50%`."""
    rollout = service.status.rollout
    if rollout.skipped and rollout.phase in UNDER_WAY:
        return "steps and analysis are skipped"
    told = state.step(service)
    weights = [each.weight for each in service.spec.rollout.steps]
    if not told or len(weights) != rollout.steps:
        return told
    here = rollout.step if rollout.phase in state.ON_A_STEP else -1
    marked = (f"[bold]>{each}%<[/]" if index == here else f"{each}%" for index, each in enumerate(weights))
    return f"{told.partition(' (')[0]}: {', '.join(marked)}"


def _pause(root: Tree, service: InferenceService, now: datetime) -> None:
    paused = service.status.rollout.paused
    if paused is None:
        return
    lasts = since(paused.since, now)
    told = ": ".join(plain(part) for part in (paused.reason, paused.message) if part)
    branch = add(root, f"[bold yellow]paused[/]{f' for {lasts}' if lasts else ''}  {told}")
    add(branch, f"go on: {plain(command(service, 'resume'))}")
    add(branch, f"give up: {plain(command(service, 'abort'))}")


def _analysis(root: Tree, service: InferenceService, now: datetime) -> None:
    analysis, spec = service.status.rollout.analysis, service.spec.rollout.analysis
    branch = add(root, f"analysis  {_coloured(analysis.verdict)}{_counted(analysis, now)}")
    if analysis.message:
        add(branch, plain(analysis.message))
    for metric in analysis.metrics:
        _metric(branch, metric, 1 / spec.alpha)
    if analysis.metrics:
        enough = figure(1 / spec.alpha)
        add(branch, f"[dim]{enough} is enough: for harm on average over the metrics, for no worse in each of them[/]")


def _counted(analysis: AnalysisStatus, now: datetime) -> str:
    if not (analysis.until and analysis.source):
        return "  nothing is counted yet"
    age = since(analysis.until, now)
    return f"  counted by {analysis.source}{f' until {age} ago' if age else ''}"


def _metric(branch: Tree, metric: MetricStatus, enough: float) -> None:
    head = f"{metric.name:<9}  {_coloured(metric.verdict, 9)}"
    told = plain(metric.message)
    if metric.verdict == "NotJudged":
        add(branch, f"{head}  {told}")
        return
    line = add(branch, f"{head}  canary {_counts(metric.canary)}  stable {_counts(metric.stable)}")
    add(
        line,
        f"evidence: harm {figure(metric.e_value)} of {figure(enough)}, no worse {figure(metric.e_no_worse)} of "
        f"{figure(enough)}, dispersion {figure(metric.dispersion)}",
    )
    if told and metric.verdict not in VERDICTS and max(metric.e_value, metric.e_no_worse) >= enough:
        add(line, told)  # why such evidence is not the verdict; else it repeats the figures


def figure(number: float) -> str:
    """A figure of evidence, which may be as large as it likes: three digits that count, or a power of ten."""
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}" if number < 1e6 else f"{number:.1e}"


def _counts(counts: Counts) -> str:
    if not counts.total:
        return "no requests"
    return f"{counts.bad}/{counts.total} bad ({100 * counts.bad / counts.total:.3g}%)"


def _coloured(verdict: str, width: int = 0) -> str:
    return f"[{VERDICTS.get(verdict, 'yellow')}]{verdict:<{width}}[/]"


def _gates(root: Tree, service: InferenceService, now: datetime) -> None:
    """The gates that were asked, and while it goes on those that are still to come."""
    rollout, spec = service.status.rollout, {gate.name: gate for gate in service.spec.rollout.gates}
    asked = {(gate.name, gate.weight) for gate in rollout.gates}
    pending = rollout.phase in UNDER_WAY and not rollout.skipped
    coming = sorted(
        (weight, gate.name)
        for gate in spec.values()
        for weight in gate.at
        if (gate.name, weight) not in asked and pending
    )
    if not rollout.gates and not coming:
        return
    branch = add(root, "gates")
    for gate in rollout.gates:
        _asked(branch, service, gate, spec.get(gate.name), now)
    for weight, name in coming:
        add(branch, f"[dim]{plain(name)} ({_kind(spec[name])}) {_at(weight)}: to come[/]")


def _asked(branch: Tree, service: InferenceService, gate: GateStatus, spec: Gate | None, now: datetime) -> None:
    kind = f" ({_kind(spec)})" if spec is not None else ""
    lasts = since(gate.since, now) if gate.verdict == "Waiting" else ""
    told = f"{f' for {lasts}' if lasts else ''}{f'  {plain(gate.message)}' if gate.message else ''}"
    line = add(branch, f"{plain(gate.name)}{kind} {_at(gate.weight)}: {_coloured(gate.verdict)}{told}")
    if gate.name == state.manual_gate(service):
        add(line, f"open it: {plain(command(service, 'resume'))}")


def _kind(gate: Gate) -> str:
    return "manual" if gate.manual else "webhook" if gate.webhook is not None else "job"


def _at(weight: int) -> str:
    return f"at {weight}%" if weight else "before any request"


def _clocks(root: Tree, rollout: RolloutStatus, now: datetime) -> None:
    clocks = rollout.clocks.model_dump()
    running = [f"{told} for {since(clocks[name], now)}" for name, told in CLOCKS if since(clocks[name], now)]
    deadline = moment(rollout.deadline)
    if not running and deadline is None:
        return
    branch = add(root, "clocks")
    for told in running:
        add(branch, told)
    if deadline is None:
        return
    left = (deadline - now).total_seconds()
    if rollout.paused is not None:
        add(branch, "deadline: rests while it is paused")
    elif left > 0:
        add(branch, f"deadline: rolled back in {duration(left)} unless {rollout.phase} is over by then")
    else:
        add(branch, f"[red]deadline: over since {duration(-left)}; it is rolled back once the operator looks[/]")


def _back(root: Tree, rollout: RolloutStatus, now: datetime) -> None:
    """How fast it could go back, and how long the revision before is kept."""
    back = rollout.rollback
    if back.to and rollout.phase not in ("Idle", "RolledBack"):
        seconds = f", about {duration(back.seconds)}" if back.ready == "Cold" and back.seconds is not None else ""
        colour = {"Instant": "green", "Cold": "yellow", "Impossible": "red"}[back.ready]
        told = f"  {plain(back.message)}" if back.message else ""
        add(root, f"rollback to {plain(back.to)}: [{colour}]{back.ready}[/]{seconds}{told}")
    if rollout.previous:
        kept = [f"warm for {_left(rollout.warm_until, now)}", f"kept for {_left(rollout.retained_until, now)}"]
        told = ", ".join(each for each in kept if not each.endswith(" "))
        add(root, f"previous {plain(rollout.previous)}{f': {told}' if told else ''}")


def _left(text: str, now: datetime) -> str:
    end = moment(text)
    if end is None:
        return ""
    left = (end - now).total_seconds()
    return f"another {duration(left)}" if left > 0 else "no longer"


def _rejected(root: Tree, service: InferenceService, now: datetime) -> None:
    rejected = service.status.rollout.rejected
    if not rejected:
        return
    branch = add(root, "rejected, and not tried again by itself")
    for each in rejected:
        ago = since(each.time, now)
        when = f" {ago} ago" if ago else ""
        line = add(branch, f"[bold]{plain(each.hash)}[/]{when}  [red]{plain(each.reason)}[/]  {plain(each.message)}")
        if each.hash == service.status.latest_revision:
            add(line, f"the spec asks for it; try it again: {plain(command(service, 'retry'))}")
