"""`inferops rollout history`: the rollouts that have ended, and the revisions that are not tried again."""

from __future__ import annotations

import json
from datetime import datetime

from rich.console import Console
from rich.table import Table

from inferops.api.resources import InferenceService
from inferops.api.rolloutstatus import Ended
from inferops.cli.access import Where, looking, read_service
from inferops.cli.answering import answered
from inferops.cli.lines import duration, line, moment, new_console, plain, since
from inferops.cli.rolloutfollow import utc
from inferops.cli.rolloutstate import Code
from inferops.cli.rollouttree import command

COLOURS = {"Promoted": "green", "RolledBack": "red", "Superseded": "yellow"}


def history(name: str, where: Where, *, as_json: bool) -> int:
    """Print the table. Returns 0, or 2 where the service cannot be read."""
    return answered(_history(name, where, as_json), where, name)


async def _history(name: str, where: Where, as_json: bool) -> int:
    async with looking(where) as client:
        service = await read_service(client, where.namespace, name)
    show(service, new_console(), utc(), as_json=as_json)
    return Code.ENDED


def show(service: InferenceService, console: Console, now: datetime, *, as_json: bool) -> None:
    """Print what has ended, the newest first, and what is rejected."""
    rollout = service.status.rollout
    if as_json:
        told = rollout.dump()
        print(json.dumps({"history": told["history"], "rejected": told["rejected"]}, indent=2), file=console.file)
        return
    if not rollout.history:
        console.print("no rollout has ended yet")
    else:
        table = _table("ENDED", "REVISION", "REPLACING", "OUTCOME", "REASON", "TOOK", "MESSAGE")
        for each in rollout.history:
            table.add_row(*map(line, _row(each, now)))
        _print(console, table)
    if rollout.rejected:
        console.print("\nrejected: not tried again by themselves")
        table = _table("SINCE", "REVISION", "REASON", "MESSAGE")
        for one in rollout.rejected:
            words = (_ago(one.time, now), plain(one.hash), plain(one.reason), plain(one.message))
            table.add_row(*map(line, words))
        _print(console, table)
        console.print(line(f"try one again: {plain(command(service, 'retry'))} --revision REVISION"))


def _table(*titles: str) -> Table:
    """Columns as kubectl has them."""
    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for column in table.columns[:-1]:
        column.no_wrap = True
    return table


def _print(console: Console, table: Table) -> None:
    """In a terminal as wide as that; in a file or a pipe without the spaces that would fill it."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for text in captured.get().splitlines():
        print(text.rstrip(), file=console.file)


def _row(each: Ended, now: datetime) -> tuple[str, ...]:
    started, ended = moment(each.started), moment(each.ended)
    took = duration((ended - started).total_seconds()) if started is not None and ended is not None else ""
    outcome = f"[{COLOURS[each.outcome]}]{each.outcome}[/]"
    words = (plain(each.revision), plain(each.stable), outcome, plain(each.reason), took, plain(each.message))
    return (_ago(each.ended, now), *words)


def _ago(text: str, now: datetime) -> str:
    ago = since(text, now)
    return f"{ago} ago" if ago else ""
