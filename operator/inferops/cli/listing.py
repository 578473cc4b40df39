"""`inferops list`: one line a service: whether it is ready, what serves, how much of it, what it costs, and why."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from inferops.api.conditions import Condition
from inferops.api.resources import InferenceService
from inferops.api.rolloutstatus import UNDER_WAY
from inferops.catalogue import accelerators
from inferops.cli import money, rolloutstate, table
from inferops.cli.access import Where, looking
from inferops.cli.answering import answered
from inferops.cli.gather import services
from inferops.cli.lines import clean, moment, new_console
from inferops.cli.options import Output
from inferops.cli.rolloutfollow import utc
from inferops.cli.table import Cell, Column

COLUMNS = (
    Column("NAME", cut=True),
    Column("READY"),
    Column("REVISION"),
    Column("CANARY"),
    Column("REPLICAS"),
    Column("ACCELERATOR", cut=True),
    Column("USD/H", right=True),
    Column("REASON", cut=True),
    Column("AGE"),
)
NAMESPACE = Column("NAMESPACE", cut=True)
WIDE = (Column("URL"), Column("MODEL"), Column("CLUSTERS"), Column("MESSAGE"))
WIDTH = 120  # characters of a line
READY = {"True": "green", "False": "red"}


def list_(where: Where, output: Output) -> int:
    """Print the table. Returns 0, or 2 where services cannot be listed."""
    return answered(_list(where, output), where)


async def _list(where: Where, output: Output) -> int:
    async with looking(where) as client:
        found, wrong = await services(client, where.namespace)
    now = utc()
    if output in ("json", "yaml"):
        print(table.document([row(each, now) for each in found], output))
    elif found:
        columns, rows = drawn(found, now, wide=output == "wide", everywhere=not where.namespace)
        table.show(new_console(), table.lines(columns, rows, 0 if output == "wide" else WIDTH))
    elif not wrong:
        scope = f"namespace {where.namespace}" if where.namespace else "any namespace"
        print(f"there is no InferenceService in {scope}", file=sys.stderr)
    for each in wrong:
        print(clean(each), file=sys.stderr)
    return 2 if wrong else 0


def drawn(
    found: Iterable[InferenceService], now: datetime, *, wide: bool, everywhere: bool
) -> tuple[tuple[Column, ...], list[list[Cell | str]]]:
    """The columns, and a row for each service."""
    columns = (*([NAMESPACE] if everywhere else []), *COLUMNS, *(WIDE if wide else ()))
    return columns, [_cells(row(each, now), wide=wide, everywhere=everywhere) for each in found]


def _cells(told: dict[str, Any], *, wide: bool, everywhere: bool) -> list[Cell | str]:
    cells: list[Cell | str] = [told["namespace"]] if everywhere else []
    canary = f"{told['canaryWeight']}%" if told["canary"] else ""
    cells += [
        told["name"],
        Cell(told["ready"], READY.get(told["ready"], "yellow")),
        told["revision"],
        Cell(canary, "cyan" if canary else ""),
        f"{told['readyReplicas']}/{told['replicas']}",
        told["accelerator"],
        told["cost"],
        told["reason"],
        told["age"],
    ]
    return cells + ([told["url"], told["model"], ", ".join(told["clusters"]), told["message"]] if wide else [])


def row(service: InferenceService, now: datetime) -> dict[str, Any]:
    """What is told of one service."""
    meta, status = service.metadata, service.status
    ready = next((each for each in status.conditions if each.type == "Ready"), None)
    stable = next((each for each in status.revisions if each.role == "Stable"), None)
    going = status.rollout.phase in (*UNDER_WAY, "RollingBack")
    canary = rolloutstate.revision(service, status.rollout.canary) if going else None
    clusters = status.placement.clusters
    kinds = sorted({each.accelerator for each in clusters if each.accelerator})
    bill = money.parts(service, money.Prices(accelerators(), {}))
    hourly, complete = money.total(bill)
    return {
        "namespace": meta.namespace,
        "name": meta.name,
        "ready": ready.status if ready is not None else "Unknown",
        "reason": _reason(service, ready),
        "message": ready.message if ready is not None else "",
        "revision": status.stable_revision,
        "canary": canary.hash if canary is not None else "",
        "canaryWeight": canary.weight if canary is not None else 0,
        "readyReplicas": sum(each.ready_replicas for each in clusters) if clusters else status.ready_replicas,
        "replicas": status.placement.target if clusters else status.desired_replicas or 0,
        "accelerator": stable.accelerator if stable is not None else ", ".join(kinds) or _wanted(service),
        "clusters": [each.cluster for each in clusters],
        "usdPerHour": round(hourly, 4) if complete else None,
        "cost": money.dollars(bill) if bill else "",
        "model": service.spec.model.uri,
        "url": next(iter(status.hostnames), status.url),
        "age": _age(meta.creation_timestamp, now),
    }


def _wanted(service: InferenceService) -> str:
    revision = rolloutstate.revision(service, service.status.latest_revision)
    return revision.accelerator if revision is not None else ""


def _reason(service: InferenceService, ready: Condition | None) -> str:
    """Why it is as it is, in a word; where it is ready that it is paused or rolled back, if so."""
    if ready is None or rolloutstate.behind(service):
        return "NotJudgedYet"
    rollout = service.status.rollout
    if ready.status == "True" and rollout.paused is not None:
        return "RolloutPaused"
    if ready.status == "True" and rollout.phase not in ("Idle", "Succeeded", "Retaining"):
        return rollout.phase
    return ready.reason


def _age(created: str, now: datetime) -> str:
    """As kubectl shows it: in its largest unit."""
    begun = moment(created)
    seconds = max(0, int((now - begun).total_seconds())) if begun is not None else None
    if seconds is None:
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
