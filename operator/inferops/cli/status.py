"""`inferops status NAME`: a tree of the service's conditions, revisions and pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.tree import Tree

from inferops.api.conditions import Condition
from inferops.api.inferenceservicestatus import InferenceServiceStatus, SizingStatus
from inferops.api.placement import PlacementStatus
from inferops.api.resources import InferenceService
from inferops.catalogue import accelerators
from inferops.cli import money, rolloutstate
from inferops.cli.access import Shown, Where, looking, read
from inferops.cli.answering import answered
from inferops.cli.events import Told, events
from inferops.cli.gather import Gathering
from inferops.cli.lines import add, add_revisions, new_console, new_tree, plain, program, since
from inferops.cli.rollouttree import command

OPTIONS = 3
STATES = {"Serving": "green", "Lost": "red"}
COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}


def status(name: str, where: Where) -> int:
    """Print the tree. Returns 0 when the service is Ready, 1 when it is not, 2 when it cannot be read."""
    return answered(_status(name, where), where, name)


async def _status(name: str, where: Where) -> int:
    async with looking(where) as client:
        shown, reads = await read(client, where.namespace, name), Gathering(client)
        news = await events(client, reads, where.namespace, name)
    new_console().print(tree(shown, news, reads.unseen))
    return 0 if is_ready(shown.service) else 1


def is_ready(service: InferenceService) -> bool:
    """Whether it is Ready, by its status."""
    return any(each.type == "Ready" and each.status == "True" for each in service.status.conditions)


def tree(shown: Shown, news: Sequence[Told] = (), unseen: Sequence[str] = ()) -> Tree:
    """The service as a tree, most important first."""
    meta, now = shown.service.metadata, shown.service.status
    root = new_tree(f"[bold]InferenceService {meta.namespace}/{meta.name}[/]  {plain(shown.service.spec.model.uri)}")
    if not now.conditions:
        add(root, "[yellow]no operator has looked at it yet[/]")
    elif rolloutstate.behind(shown.service):
        add(root, f"[yellow]generation {meta.generation} is not judged yet (last: {now.observed_generation})[/]")
    if now.url:
        add(root, f"url {plain(now.url)}")
    conditions = add(root, "conditions")
    for condition in now.conditions:
        add(conditions, _condition(condition))
    _rollout(root, shown.service)
    _scaling(root, now)
    _placement(root, now.placement)
    if now.revisions or not now.placement.clusters:
        add_revisions(add(root, f"revisions  {now.ready_replicas} replicas ready"), shown)
    for title, sentences in (
        ("why", now.explain),
        ("sizing", _sizing(now.sizing)),
        ("not acted on in this version", [f"{part.field}: {part.message}" for part in now.not_acted_on]),
    ):
        if sentences:
            branch = add(root, title)
            for sentence in sentences:
                add(branch, plain(sentence))
    _cost(root, shown)
    _events(root, news, unseen)
    if not is_ready(shown.service):
        meta = shown.service.metadata
        add(root, f"[dim]what to do: {program()} why {plain(meta.name)} -n {plain(meta.namespace)}[/]")
    return root


def _cost(root: Tree, shown: Shown) -> None:
    """What the replicas that are wanted cost, by what the status tells of prices, and what those cost that run."""
    prices = money.Prices(accelerators(), {})
    parts = [each for each in money.parts(shown.service, prices) if each.replicas]
    if not parts:
        return
    hourly, complete = money.total(parts)
    month = (
        f", {hourly * money.MONTH:,.0f} USD a month at this rate" if complete else ", with prices that are not known"
    )
    extra, _ = money.total(each for each in parts if each.rollout)
    rollout = f", {extra:.2f} USD/h of it for the rollout" if extra else ""
    run = Counter(pod.revision for pod in shown.pods if pod.node and not pod.worker)
    now = money.dollars(money.parts(shown.service, prices, None if shown.unseen else run))
    waits = f"; {now} USD/h now, since not all of them have a node" if now != money.dollars(parts) else ""
    add(root, f"cost  {money.dollars(parts)} USD/h{month}{rollout}{waits}")


def _events(root: Tree, news: Sequence[Told], unseen: Sequence[str]) -> None:
    now = datetime.now(UTC)
    branch = add(root, "events, the newest first") if news else root
    for each in news:
        ago = since(each.last, now)
        colour = "yellow" if each.warning else "dim"
        add(branch, f"[{colour}]{plain(each.line)}[/]{f'  {ago} ago' if ago else ''}")
    for sentence in unseen:
        add(root, f"[yellow]not seen: {plain(sentence)}[/]")


def _rollout(root: Tree, service: InferenceService) -> None:
    """The rollout in short, where there is, or was, any."""
    rollout = service.status.rollout
    if rollout.phase == "Idle" and not rollout.history:
        return
    branch = add(root, f"rollout  {plain(rolloutstate.summary(service))}")
    if told := ": ".join(plain(word) for word in rolloutstate.why(service) if word):
        add(branch, f"[yellow]{told}[/]" if rollout.paused is not None else told)
    add(branch, f"[dim]more: {plain(command(service, 'status'))}[/]")


def _placement(root: Tree, told: PlacementStatus) -> None:
    """In which clusters it is, and why not in others, where it is placed on members."""
    if not told.clusters and not told.not_chosen:
        return
    branch = add(root, f"clusters  {sum(each.ready_replicas for each in told.clusters)} replicas ready")
    if told.message:
        add(branch, f"[yellow]{plain(told.message)}[/]")
    for each in told.clusters:
        bounds = f"{each.min_replicas} to {each.replicas}" if each.min_replicas != each.replicas else f"{each.replicas}"
        found = f"{each.ready_replicas} of {bounds} replicas ready, on {each.accelerator}"
        why = f"  {plain(each.message)}" if each.message else ""
        colour = STATES.get(each.state, "yellow")
        add(branch, f"{plain(each.cluster)}  [{colour}]{plain(each.state)}[/]  {plain(found)}{why}")
    for other in told.not_chosen:
        add(branch, f"[dim]not {plain(other.cluster)}: {plain(other.reason)}: {plain(other.message)}[/]")


def _scaling(root: Tree, status: InferenceServiceStatus) -> None:
    """How many replicas there are to be and the numbers behind that, where they follow a schedule or the load. Why
    stands with all that is explained."""
    told = status.scaling
    if not told.mode:
        return
    wanted = "" if status.desired_replicas is None else f"{status.desired_replicas} replicas wanted, "
    ago = since(told.last_scale_time, datetime.now(UTC))
    changed = f", changed {ago} ago" if ago else ""
    found = f"{wanted}{status.ready_replicas} ready, {told.mode}: {told.reason}{changed}"
    branch = add(root, f"scaling  {plain(found)}")
    rates = (("arrive", told.arrivals_per_second), ("forecast", told.forecast_per_second))
    parts = [f"{rate} requests/s {what}" for what, rate in rates if rate]
    parts += [f"a replica carries {told.capacity_per_second} requests/s"] if told.capacity_per_second else []
    parts += [f"{told.utilization} of that is planned to be used"] if told.utilization else []
    parts += [f"it starts in {told.cold_start}"] if told.cold_start else []
    parts += [f"{told.attainment} of requests met the SLO"] if told.attainment else []
    for part in parts:
        add(branch, plain(part))


def _sizing(sizing: SizingStatus) -> list[str]:
    """The model and the cheapest options; the rest stands in the resource."""
    options = [
        f"{option.accelerator}, {option.precision}: {option.replicas} x {option.concurrency} requests, "
        f"TTFT {option.ttft}{f', TPOT {option.tpot}' if option.tpot else ''}, {option.tokens_per_second} tokens/s"
        f"{f', {option.usd_per_hour} USD/h' if option.usd_per_hour else ''}"
        for option in sizing.options[:OPTIONS]
    ]
    return [*([sizing.model] if sizing.model else []), *options, *(sizing.rejected[:1] if not options else [])]


def _condition(condition: Condition) -> str:
    # Stalled and Reconciling are bad news when True, the others when not.
    good = condition.status if condition.type not in ("Stalled", "Reconciling") else "Unknown"
    colour = COLOURS[good] if condition.type != "Stalled" else "red"
    message = f"  {plain(condition.message)}" if condition.message else ""
    return f"[{colour}]{plain(condition.type)}={condition.status}[/]  {plain(condition.reason)}{message}"
