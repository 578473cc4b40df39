"""`inferops logs NAME`: what the engines of a service say, each line with revision and replica; new pods are followed.

Bounded: so many pods at a time, and lines of so many characters. A pod that goes ends its lines and nothing else.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, Protocol, TextIO

from inferops.api.resources import InferenceService
from inferops.cli.access import Refusal, Unreachable, Where, looking, read_service
from inferops.cli.answering import answered
from inferops.cli.lines import clean
from inferops.kube.client import KubeError
from inferops.kube.kinds import POD, Kind
from inferops.kube.owned import Object
from inferops.render.pod import CONTAINER

MOST = 20  # pods that are followed at a time
LONGEST = 16_384  # characters of a line
AGAIN = 2.0  # seconds between two looks at which pods there are
PATIENCE = 5  # looks at a pod that does not tell yet
COLOURS = ("36", "33", "32", "35", "34", "31")
INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
GROUP = "leaderworkerset.sigs.k8s.io/group-index"


class Source(Protocol):
    """What reading logs takes of a client."""

    def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]: ...

    def pieces(
        self, path: str, params: dict[str, str] | None = None, timeout: float | None = None
    ) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line."""

    revision: str = ""  # stable, canary, a hash or its beginning; empty: all
    replica: int | None = None
    follow: bool = False
    since: str = ""  # seconds
    previous: bool = False
    tail: int = -1  # lines; -1: all
    container: str = CONTAINER


@dataclass(frozen=True, slots=True)
class Talker:
    """A pod that is listened to."""

    pod: str
    life: str  # its uid, and how often its container began anew
    prefix: str


def hash_of(service: InferenceService, revision: str) -> str:
    """The hash that is meant. Raises Refusal where there is no such revision."""
    status = service.status
    known = [each.hash for each in status.revisions]
    if not revision:
        return ""
    if revision == "stable":
        found = [status.stable_revision] if status.stable_revision else []
    elif revision == "canary":
        found = [each.hash for each in status.revisions if each.role == "Canary"]
    else:
        found = [each for each in known if each.startswith(revision)]
    if len(found) != 1:
        there = ", ".join(f"{each.hash} ({each.role})" for each in status.revisions) or "none"
        why = "several begin like that" if found else "there is none"
        raise Refusal(f"--revision {revision}: {why}; there are {there}")
    return found[0]


def talkers(pods: Iterable[Object], revision: str, asked: Asked) -> list[Talker]:
    """The pods that are meant, with what stands before their lines. Replicas are numbered by their age, groups by their
    index; a pod of a group has its rank behind that."""
    raws = [raw for raw in pods if _labels(raw).get("inferops.dev/revision", "")]
    raws.sort(key=lambda raw: (str(raw["metadata"].get("creationTimestamp") or ""), raw["metadata"]["name"]))
    numbers: dict[str, int] = {}
    found = []
    for raw in raws:
        labels, meta = _labels(raw), raw["metadata"]
        hash_, group = labels["inferops.dev/revision"], labels.get(GROUP)
        if group is None:
            number = numbers[hash_] = numbers.get(hash_, -1) + 1
        else:
            number = int(group) if group.isdigit() else 0
        rank = f".{labels.get(INDEX, '?')}" if group is not None else ""
        if (revision and hash_ != revision) or asked.replica not in (None, number):
            continue
        life = f"{meta.get('uid')}/{_restarts(raw, asked.container)}"
        found.append(Talker(meta["name"], life, f"{hash_[:10]}/{number}{rank}"))
    return found


def _restarts(raw: Object, container: str) -> int:
    """A container that began anew has a log of its own."""
    for each in (raw.get("status") or {}).get("containerStatuses") or ():
        if each.get("name") == container:
            return int(each.get("restartCount") or 0)
    return 0


def _labels(raw: Object) -> dict[str, str]:
    return raw["metadata"].get("labels") or {}


def params(asked: Asked, *, late: bool = False, silent: float | None = None) -> dict[str, str]:
    """The query of a pod's log. `late`: it came while others were followed, so that all of it is news. `silent`:
    seconds since it broke off, so that nothing older is."""
    found = {"container": asked.container}
    found |= {"follow": "true"} if asked.follow else {}
    found |= {"previous": "true"} if asked.previous else {}
    if silent is not None:
        return found | {"sinceSeconds": str(math.ceil(silent))}
    found |= {"sinceSeconds": asked.since} if asked.since and not late else {}
    found |= {"tailLines": str(asked.tail)} if asked.tail >= 0 and not late else {}
    return found


class Listening:
    """Listens to pods, and writes their lines as they come."""

    def __init__(self, client: Source, namespace: str, asked: Asked, out: TextIO, *, colours: bool) -> None:
        self._client, self._namespace, self._asked, self._out, self._colours = client, namespace, asked, out, colours
        self._told: dict[str, str] = {}  # why a pod does not tell
        self._number = 0
        self.heard: set[str] = set()  # lives

    async def to(self, talker: Talker, *, late: bool) -> None:
        """Write the lines of a pod until it has no more. What keeps it from telling is said once."""
        path = POD.path(self._namespace, talker.pod, "log")
        colour = COLOURS[self._number % len(COLOURS)]
        self._number += 1
        clock = asyncio.get_running_loop().time
        last: float | None = None
        for _ in range(PATIENCE if self._asked.follow else 1):
            rest = b""
            query = params(self._asked, late=late, silent=clock() - last if last is not None else None)
            try:
                async for piece in self._client.pieces(path, query):
                    last = clock()
                    *whole, rest = (rest + piece).split(b"\n")
                    self._write(talker, colour, whole)
                    rest = rest[:LONGEST]
            except KubeError as error:
                if error.status in (401, 403):
                    raise
                if error.status == 404:
                    return  # it went
                self._say(talker, error.message or error.reason)
                await asyncio.sleep(AGAIN if self._asked.follow else 0)
                continue
            self._write(talker, colour, [rest] if rest else [])
            return
        self.heard.discard(talker.life)  # it may tell later

    def _write(self, talker: Talker, colour: str, lines: Iterable[bytes]) -> None:
        for line in lines:
            text = _harmless(line[:LONGEST].decode(errors="replace"))
            prefix = f"\x1b[{colour}m[{talker.prefix}]\x1b[0m" if self._colours else f"[{talker.prefix}]"
            self._out.write(f"{prefix} {text}\n")
        self._out.flush()

    def _say(self, talker: Talker, why: str) -> None:
        if self._told.get(talker.life) != why:
            self._told[talker.life] = why
            print(f"[{talker.prefix}] pod {talker.pod}: {clean(why)}", file=sys.stderr)


def _harmless(text: str) -> str:
    """A line of somebody else's without control sequences; tabs stay."""
    return "".join(each if each.isprintable() or each == "\t" else "" if each == "\r" else "�" for each in text)


Find = Callable[[Iterable[Object]], list[Talker]]


async def listen(
    client: Source, find: Find, asked: Asked, name: str, namespace: str, out: TextIO, *, colours: bool = False
) -> int:
    """Write what the pods say; with `follow` new ones too, until interrupted. Returns how many were listened to.

    Raises KubeError where pods may not be listed, or their logs may not be read.
    """
    listening = Listening(client, namespace, asked, out, colours=colours)
    if asked.follow:
        await _follow(client, listening, find, name, namespace)
    turns = asyncio.Semaphore(MOST)

    async def one(talker: Talker) -> None:
        async with turns:
            await listening.to(talker, late=False)

    found = find(await _pods(client, name, namespace))
    await asyncio.gather(*map(one, found))
    return len(found)


async def _pods(client: Source, name: str, namespace: str) -> list[Object]:
    pages = client.pages(POD, f"inferops.dev/service={name}", namespace=namespace)
    return [raw async for page, _ in pages for raw in page]


async def _follow(client: Source, listening: Listening, find: Find, name: str, namespace: str) -> NoReturn:
    """Listen for ever: to the pods there are, and to those that come."""
    tasks: set[asyncio.Task[None]] = set()
    late = warned = False
    try:
        while True:
            try:
                found = find(await _pods(client, name, namespace))
            except KubeError as error:
                if not late or error.final or error.status == 401:
                    raise
                found = []  # the API server is away for a while: who talks goes on
            news = [talker for talker in found if talker.life not in listening.heard]
            room = max(MOST - len(tasks), 0)
            if len(news) > room and not warned:
                print(f"more than {MOST} pods: the others wait until one of these ends", file=sys.stderr)
                warned = True
            for talker in news[:room]:
                listening.heard.add(talker.life)
                tasks.add(asyncio.create_task(listening.to(talker, late=late)))
            late = True
            await asyncio.sleep(AGAIN)
            done = {task for task in tasks if task.done()}
            tasks -= done
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def logs(name: str, where: Where, asked: Asked) -> int:
    """Print the lines. Returns 0, 1 where no pod has any, 2 where they cannot be read."""
    return answered(_logs(name, where, asked), where, name)


async def _logs(name: str, where: Where, asked: Asked) -> int:
    async with looking(where) as client:
        service = await read_service(client, where.namespace, name)
        if service.status.placement.clusters and not service.status.revisions:
            places = ", ".join(each.cluster for each in service.status.placement.clusters)
            raise Unreachable(f"its replicas run in {places}: ask there, with --context")
        revision = hash_of(service, asked.revision)
        count = await listen(
            client,
            lambda pods: talkers(pods, revision, asked),
            asked,
            name,
            where.namespace,
            sys.stdout,
            colours=sys.stdout.isatty(),
        )
    if not count:
        print("no pod is there that could say anything; see `inferops why`", file=sys.stderr)
        return 1
    return 0
