"""`inferops rollout status`: the rollout once, or followed until it ends: live in a terminal, else a line a change."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from inferops.cli import rolloutstate as state
from inferops.cli.access import Reader, Shown, Where, looking, read
from inferops.cli.answering import answered
from inferops.cli.lines import clean, new_console
from inferops.cli.rolloutstate import Code, code
from inferops.cli.rollouttree import tree
from inferops.kube.client import KubeError

EVERY = 1.0  # seconds between two looks at the cluster
REDRAWN = 0.5  # seconds between two drawings, so that clocks count
OVER = (Code.ENDED, Code.ROLLED_BACK, Code.ERROR)

Clock = Callable[[], datetime]


def utc() -> datetime:
    return datetime.now(UTC)


class Screen(Protocol):
    """Where what is followed is shown."""

    def show(self, shown: Shown, problem: str, now: datetime) -> None:
        """Show the newest state; `problem` is why it may be old."""


class Lines:
    """A line whenever something changed, with the time of day in UTC; for files, pipes and simple terminals."""

    def __init__(self, console: Console) -> None:
        self._console, self._last, self._problem = console, "", ""

    def show(self, shown: Shown, problem: str, now: datetime) -> None:
        stale = " (of an older spec)" if state.behind(shown.service) else ""
        _, message = state.why(shown.service)
        refused = state.refused(shown.service)
        told = [message, f"the newest spec cannot be served: {refused}" if refused and not stale else ""]
        line = ": ".join([f"{state.summary(shown.service)}{stale}", *(each for each in told if each)])
        self._last = self._told(line, self._last, now)
        self._problem = self._told(problem, self._problem, now)

    def _told(self, line: str, before: str, now: datetime) -> str:
        if line and line != before:
            self._console.print(f"{now:%H:%M:%S}  {clean(line)}", markup=False)
        return line


class Documents:
    """A JSON document a line whenever something changed."""

    def __init__(self, console: Console) -> None:
        self._console, self._last = console, ""

    def show(self, shown: Shown, problem: str, now: datetime) -> None:
        text = json.dumps(document(shown))
        if text != self._last:
            print(text, file=self._console.file, flush=True)
        self._last = text


class Picture:
    """The tree, drawn anew in its place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, shown: Shown, problem: str, now: datetime) -> None:
        self._live.update(tree(shown, now, problem), refresh=True)


def status(name: str, where: Where, *, watch: bool, as_json: bool, limit: float | None) -> int:
    """Show the rollout. Returns a `Code`; with `watch` once it ended, or after `limit` seconds."""
    return answered(_status(name, where, watch, as_json, limit), where, name)


async def _status(name: str, where: Where, watch: bool, as_json: bool, limit: float | None) -> int:
    console = new_console()
    async with looking(where) as client:
        if not watch:
            return show_once(await read(client, where.namespace, name), console, as_json)
        if as_json:
            return await follow(client, where.namespace, name, Documents(console), limit)
        if not console.is_terminal or console.is_dumb_terminal:
            return await follow(client, where.namespace, name, Lines(console), limit)
        with Live(console=console, auto_refresh=False) as live:
            return await follow(client, where.namespace, name, Picture(live), limit)


def show_once(shown: Shown, console: Console, as_json: bool, now: Clock = utc) -> Code:
    """Print the rollout as it is."""
    if as_json:
        print(json.dumps(document(shown), indent=2), file=console.file)
    else:
        console.print(tree(shown, now()))
    return code(shown.service)


class Newest:
    """What was read last of a service, and why it may be old."""

    def __init__(self, client: Reader, namespace: str, name: str, shown: Shown, now: Clock) -> None:
        self._client, self._namespace, self._name, self._now = client, namespace, name, now
        self._seen = now()
        self.shown, self.problem = shown, ""

    async def keep(self) -> None:
        """Read it again and again. Raises KubeError where that will not do any more, and Unreachable."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                self.shown = await read(self._client, self._namespace, self._name)
                self._seen, self.problem = self._now(), ""
            except KubeError as error:
                self.problem = _passing(error, self._seen)


async def follow(
    client: Reader, namespace: str, name: str, screen: Screen, limit: float | None, now: Clock = utc
) -> Code:
    """Show the rollout until it has ended, however long somebody's decision takes, or `limit` seconds are over.

    An API server that goes away meanwhile is waited for. Raises KubeError where it refuses, or does not answer at
    first, and Unreachable where the service is gone.
    """
    clock = asyncio.get_running_loop().time
    ends = clock() + (limit if limit is not None else math.inf)
    newest = Newest(client, namespace, name, await read(client, namespace, name), now)
    looking = asyncio.create_task(newest.keep())
    try:
        while True:
            screen.show(newest.shown, newest.problem, now())
            stands = code(newest.shown.service)
            if (stands in OVER and not newest.problem) or clock() >= ends:
                return stands
            done, _ = await asyncio.wait((looking,), timeout=min(REDRAWN, ends - clock()))
            for ended in done:
                ended.result()
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def _passing(error: KubeError, seen: datetime) -> str:
    """What is wrong with the API server, where it may pass. Raises the error where it will not."""
    if error.final or error.status == 401:
        raise error
    return f"this is of {seen:%H:%M:%S} UTC: the API server does not answer ({error.message or error.reason})"


def document(shown: Shown) -> dict[str, Any]:
    """The rollout as JSON: status.rollout, the revisions with their pods, and what a script must know of them."""
    service = shown.service
    meta, status = service.metadata, service.status
    canary = state.revision(service, status.rollout.canary)
    return {
        "name": meta.name,
        "namespace": meta.namespace,
        "generation": meta.generation,
        "observedGeneration": status.observed_generation,
        "exitCode": int(code(service)),
        "summary": state.summary(service),
        "stableRevision": status.stable_revision,
        "latestRevision": status.latest_revision,
        "canaryWeight": canary.weight if canary is not None else 0,
        "rollout": status.rollout.dump(),
        "revisions": [
            {
                **each.dump(),
                "pods": [
                    {"name": pod.name, "node": pod.node, "ready": pod.ready, "restarts": pod.restarts}
                    for pod in shown.pods
                    if pod.revision == each.hash
                ],
            }
            for each in status.revisions
        ],
    }
