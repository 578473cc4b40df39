"""`inferops cost`: what services cost an hour and a month, what of it is idle, and what a million tokens cost now."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from inferops.api.inferencecluster import InferenceClusterSpec
from inferops.api.resources import InferenceService
from inferops.cli import money, table
from inferops.cli.access import UserClient, Where, looking, read_service
from inferops.cli.answering import answered
from inferops.cli.capacity import accelerators
from inferops.cli.gather import Gathering, services
from inferops.cli.lines import new_console, plain
from inferops.cli.money import Part, Prices
from inferops.cli.options import Output
from inferops.cli.rates import rates
from inferops.cli.scrape import Of, Scraper
from inferops.cli.table import Cell, Column
from inferops.cli.top import percent
from inferops.controller.views import pod_view
from inferops.kube.kinds import INFERENCE_CLUSTER, POD

By = Literal["service", "namespace", "accelerator", "cluster"]
MILLION = 1e6 / 3600  # an hour's dollars over a second's tokens -> dollars a million tokens


@dataclass(frozen=True, slots=True)
class Bill:
    """What is known of each service beside its parts."""

    parts: tuple[Part, ...]
    idle: Mapping[Of, float]  # share that nobody asks for
    tokens: Mapping[Of, float]  # a second, read and answered


@dataclass(frozen=True, slots=True)
class Row:
    """One line: all parts that share a key."""

    key: str
    services: int
    replicas: int
    gpus: int
    hourly: float  # US dollars, of all whose price is known
    unknown: tuple[str, ...]  # accelerators without a price
    extra: float  # of it, for the sake of rollouts
    idle: float | None  # share of the money
    million: float | None  # US dollars for a million tokens


def rows(bill: Bill, by: By) -> list[Row]:
    """The lines, most expensive first; the last one is the sum where there are several."""
    groups: defaultdict[str, list[Part]] = defaultdict(list)
    for part in bill.parts:
        groups[_key(part, by)].append(part)
    found = [_row(key, parts, bill) for key, parts in groups.items()]
    found.sort(key=lambda row: (-row.hourly, row.key))
    return found if len(found) < 2 else [*found, _row("TOTAL", bill.parts, bill)]


def _key(part: Part, by: By) -> str:
    if by == "namespace":
        return part.namespace
    if by == "accelerator":
        return part.accelerator
    return part.cluster if by == "cluster" else f"{part.namespace}/{part.service}"


def _row(key: str, parts: Sequence[Part], bill: Bill) -> Row:
    hourly, _ = money.total(parts)
    by_service: defaultdict[Of, float] = defaultdict(float)
    for part in parts:
        by_service[part.namespace, part.service] += part.hourly or 0.0
    known = [(bill.idle[of], dollars) for of, dollars in by_service.items() if of in bill.idle and dollars]
    idle = sum(share * dollars for share, dollars in known) / sum(d for _, d in known) if known else None
    return Row(
        key,
        len({(part.namespace, part.service) for part in parts}),
        sum(part.replicas for part in parts),
        sum(part.gpus for part in parts),
        hourly,
        tuple(sorted({part.accelerator for part in parts if part.hourly is None})),
        money.total(part for part in parts if part.rollout)[0],
        idle,
        _million(parts, by_service, bill),
    )


def _million(parts: Sequence[Part], by_service: Mapping[Of, float], bill: Bill) -> float | None:
    """By the tokens of the services whose parts are all among these; None where tokens or prices are not known."""
    whole = Counter((part.namespace, part.service) for part in bill.parts)
    here = Counter((part.namespace, part.service) for part in parts)
    told = [of for of in by_service if of in bill.tokens and whole[of] == here[of]]
    tokens = sum(bill.tokens[of] for of in told)
    unpriced = any(part.hourly is None for part in parts if (part.namespace, part.service) in told)
    return sum(by_service[of] for of in told) / tokens * MILLION if tokens and not unpriced else None


def cost(name: str, where: Where, by: By, gateway: Of, urls: Sequence[str], *, over: float, output: Output) -> int:
    """Print the table. Returns 0, or 2 where services cannot be read."""
    return answered(_cost(name, where, by, gateway, urls, over, output), where, name)


async def _cost(name: str, where: Where, by: By, gateway: Of, urls: Sequence[str], over: float, output: Output) -> int:
    async with looking(where) as client:
        reads = Gathering(client)
        if name:
            found = [await read_service(client, where.namespace, name)]
        else:
            found, wrong = await services(client, where.namespace)
            reads.unseen += wrong
        prices = Prices(await accelerators(reads), await _clusters(reads, found))
        running = await _running(reads, where.namespace)
        tokens = await _tokens(client, reads, found, where, gateway, urls, over) if over else {}
    parts = [
        part
        for each in found
        for part in money.parts(each, prices, None if running is None else running.get(_of(each), {}))
        if part.replicas
    ]
    shares = {_of(each): share for each in found if (share := money.idle(each)) is not None}
    told = rows(Bill(tuple(parts), shares, tokens), by)
    if output in ("json", "yaml"):
        print(table.document({"by": by, "rows": [as_data(each) for each in told], "notSeen": reads.unseen}, output))
    else:
        table.show(new_console(), drawn(told, by, reads.unseen, over))
    return 0


def _of(service: InferenceService) -> Of:
    return service.metadata.namespace, service.metadata.name


async def _clusters(reads: Gathering, found: Iterable[InferenceService]) -> dict[str, InferenceClusterSpec]:
    if not any(each.status.placement.clusters for each in found):
        return {}
    known = {}
    for raw in await reads.list(INFERENCE_CLUSTER, lacks="prices of clusters' own do not count") or []:
        try:
            known[raw["metadata"]["name"]] = InferenceClusterSpec.model_validate(raw.get("spec") or {})
        except ValidationError:  # of another version
            continue
    return known


async def _running(reads: Gathering, namespace: str) -> dict[Of, Counter[str]] | None:
    """Replicas that have their nodes, by service and revision: what waits for one costs nothing."""
    pods = await reads.list(POD, namespace, "inferops.dev/service", lacks="replicas that are wanted count as running")
    if pods is None:
        return None
    found: defaultdict[Of, Counter[str]] = defaultdict(Counter)
    for raw in pods:
        meta, view = raw["metadata"], pod_view(raw)
        if view.node and not view.worker and (raw.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            found[meta["namespace"], meta["labels"]["inferops.dev/service"]][view.revision] += 1
    return found


async def _tokens(
    client: UserClient,
    reads: Gathering,
    found: Sequence[InferenceService],
    where: Where,
    gateway: Of,
    urls: Sequence[str],
    over: float,
) -> dict[Of, float]:
    """Tokens a second of each service, read and answered, over so many seconds."""
    scraper = Scraper(client, reads, gateway, urls)
    runtime_of = {_of(each): each.spec.runtime.name for each in found}
    before = await scraper.snapshot(runtime_of, where.namespace)
    if not before.gateways and not before.engines:
        return {}
    await asyncio.sleep(over)
    after = await scraper.snapshot(runtime_of, where.namespace)
    told = {of: rates(before, after, of) for of in runtime_of}
    return {of: (each.tokens_in or 0) + (each.tokens_out or 0) for of, each in told.items() if each.tokens_out}


def drawn(told: Sequence[Row], by: By, unseen: Sequence[str], over: float) -> list[str]:
    """The table's lines, and what is not known."""
    columns = (
        Column(by.upper()),
        *([] if by == "service" else [Column("SERVICES", right=True)]),
        Column("REPLICAS", right=True),
        Column("GPUS", right=True),
        Column("USD/H", right=True),
        Column("USD/MONTH", right=True),
        Column("ROLLOUT", right=True),
        Column("IDLE", right=True),
        Column("USD/M TOKENS", right=True),
    )
    lines = table.lines(columns, [_cells(each, by) for each in told]) if told else ["nothing runs, and costs nothing"]
    priceless = sorted({each for row in told for each in row.unknown})
    if priceless:
        lines.append(f"[yellow]no price is known of {plain(', '.join(priceless))}: give its Accelerator spec.price[/]")
    if told:
        measured = f"; tokens, read and answered, over {over:g} s" if over else ""
        lines.append(f"[dim]a month is 730 hours at this rate; prices by the Accelerators and clusters{measured}[/]")
    return [*lines, *(f"[yellow]not seen: {plain(each)}[/]" for each in dict.fromkeys(unseen))]


def _cells(row: Row, by: By) -> list[Cell | str]:
    more = "+?" if row.unknown else ""
    known = bool(row.hourly) or not row.unknown
    return [
        row.key,
        *([] if by == "service" else [str(row.services)]),
        str(row.replicas),
        str(row.gpus),
        f"{row.hourly:.2f}{more}" if known else "?",
        f"{row.hourly * money.MONTH:,.0f}{more}" if known else "?",
        Cell(f"{row.extra:.2f}", "cyan") if row.extra else "",
        percent(row.idle),
        "" if row.million is None else f"{row.million:.2f}",
    ]


def as_data(row: Row) -> dict[str, Any]:
    """One line for machines."""
    return {
        "key": row.key,
        "services": row.services,
        "replicas": row.replicas,
        "accelerators": row.gpus,
        "usdPerHour": round(row.hourly, 4),
        "usdPerMonth": round(row.hourly * money.MONTH, 2),
        "withoutPrice": list(row.unknown),
        "rolloutUsdPerHour": round(row.extra, 4),
        "idleShare": row.idle,
        "usdPerMillionTokens": row.million,
    }
