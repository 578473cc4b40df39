"""`inferops top`: what services do right now: requests, latencies, tokens, KV cache, replicas; live in a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.live import Live

from inferops.api.resources import InferenceService
from inferops.cli import table
from inferops.cli.access import UserClient, Where, looking, read_service
from inferops.cli.answering import answered
from inferops.cli.gather import Gathering, services
from inferops.cli.lines import line, new_console, plain
from inferops.cli.options import Output
from inferops.cli.rates import Rates, rates
from inferops.cli.rolloutfollow import utc
from inferops.cli.scrape import Of, Scraper, Snapshot
from inferops.cli.table import Cell, Column

COLUMNS = (
    Column("NAME", cut=True),
    Column("REPLICAS"),
    Column("REQ/S", right=True),
    Column("WAIT", right=True),
    Column("RUN", right=True),
    Column("TTFT P50", right=True),
    Column("P95", right=True),
    Column("TPOT", right=True),
    Column("ERRORS", right=True),
    Column("TOK/S", right=True),
    Column("KV", right=True),
    Column("BY"),
)
NAMESPACE = Column("NAMESPACE", cut=True)
WIDTH = 120  # characters of a line
FULL = 0.9  # share of the KV cache from which it is near its end


def top(
    name: str, where: Where, gateway: Of, urls: Sequence[str], *, once: bool, interval: float, output: Output
) -> int:
    """Show the table. Returns 0, or 2 where services cannot be read."""
    return answered(_top(name, where, gateway, urls, once, interval, output), where, name)


async def _top(
    name: str, where: Where, gateway: Of, urls: Sequence[str], once: bool, interval: float, output: Output
) -> int:
    console = new_console()
    async with looking(where) as client:
        reads = Gathering(client)
        scraper = Scraper(client, reads, gateway, urls)
        before = await _snapshot(client, scraper, name, where)
        live = Live(console=console, auto_refresh=False, screen=False)
        followed = console.is_terminal and not once and output in ("table", "wide")
        if not followed:
            await asyncio.sleep(interval)
            found, after = await _snapshot(client, scraper, name, where)
            rows = [row(each, rates(before[1], after, _of(each))) for each in found]
            if output in ("json", "yaml"):
                unseen = list(dict.fromkeys(reads.unseen))
                print(
                    table.document(
                        {"seconds": round(after.at - before[1].at, 2), "services": rows, "notSeen": unseen}, output
                    )
                )
            else:
                table.show(console, drawn(rows, reads.unseen, everywhere=not where.namespace))
            return 0
        with live:
            while True:
                reads.unseen.clear()
                await asyncio.sleep(interval)
                found, after = await _snapshot(client, scraper, name, where)
                rows = [row(each, rates(before[1], after, _of(each))) for each in found]
                shown = [_title(utc(), interval), *drawn(rows, reads.unseen, everywhere=not where.namespace)]
                live.update(Group(*map(line, shown)), refresh=True)
                before = found, after


def _title(now: datetime, interval: float) -> str:
    return f"[dim]{now:%H:%M:%S} UTC, over {interval:g} s; Ctrl-C ends it[/]"


async def _snapshot(
    client: UserClient, scraper: Scraper, name: str, where: Where
) -> tuple[list[InferenceService], Snapshot]:
    found = (
        [await read_service(client, where.namespace, name)] if name else (await services(client, where.namespace))[0]
    )
    runtime_of = {_of(each): each.spec.runtime.name for each in found}
    return found, await scraper.snapshot(runtime_of, where.namespace)


def _of(service: InferenceService) -> Of:
    return service.metadata.namespace, service.metadata.name


def row(service: InferenceService, told: Rates) -> dict[str, Any]:
    """What is told of one service."""
    status = service.status
    clusters = status.placement.clusters
    return {
        "namespace": service.metadata.namespace,
        "name": service.metadata.name,
        "readyReplicas": sum(each.ready_replicas for each in clusters) if clusters else status.ready_replicas,
        "replicas": status.placement.target if clusters else status.desired_replicas or 0,
        "requestsPerSecond": told.requests,
        "waiting": told.waiting,
        "running": told.running,
        "ttftP50Seconds": told.ttft[0],
        "ttftP95Seconds": told.ttft[1],
        "tpotP50Seconds": told.tpot,
        "errorShare": told.errors,
        "tokensPerSecond": told.tokens_out,
        "promptTokensPerSecond": told.tokens_in,
        "kvCacheUsage": told.kv,
        "source": told.source,
    }


def drawn(rows: list[dict[str, Any]], unseen: Sequence[str], *, everywhere: bool) -> list[str]:
    """The table's lines, and what could not be seen."""
    columns = (*([NAMESPACE] if everywhere else []), *COLUMNS)
    lines = table.lines(columns, (_cells(each, everywhere=everywhere) for each in rows), WIDTH)
    return [*lines, *(f"[yellow]not seen: {plain(each)}[/]" for each in dict.fromkeys(unseen))]


def _cells(told: dict[str, Any], *, everywhere: bool) -> list[Cell | str]:
    errors, cache = told["errorShare"], told["kvCacheUsage"]
    cells: list[Cell | str] = [told["namespace"]] if everywhere else []
    return [
        *cells,
        told["name"],
        f"{told['readyReplicas']}/{told['replicas']}",
        number(told["requestsPerSecond"]),
        Cell(number(told["waiting"]), "yellow" if told["waiting"] else ""),
        number(told["running"]),
        seconds(told["ttftP50Seconds"]),
        seconds(told["ttftP95Seconds"]),
        seconds(told["tpotP50Seconds"]),
        Cell(percent(errors), "red" if errors else ""),
        number(told["tokensPerSecond"]),
        Cell(percent(cache), "yellow" if cache is not None and cache >= FULL else ""),
        told["source"],
    ]


def number(value: float | None) -> str:
    """Of three digits; empty where it is not known."""
    return "" if value is None else f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}s" if value >= 10 else f"{value:.2f}s" if value >= 1 else f"{value * 1000:.0f}ms"


def percent(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share * 100:.0f}%" if share in (0, 1) or share >= 0.1 else f"{share * 100:.2g}%"
