"""What the built-in gateways tell of the services: the leader reads GET /demand of each, and puts it together.

A gateway first tells of all services that it knows, then at once of those for which requests begin to wait, and every
second of those with any traffic. What it does not mention had none. Its words are untrusted: what is broken is dropped
and counted, and a service of which it told something broken counts as not told of. What it has counted of the replicas
of a rollout, and what was asked of each service, is handed on as it comes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import aiohttp

from inferops.controller.demandline import Asked, Counted, Name, asked_of, counted_of, line_of, name_of
from inferops.controller.gateways import Gateways
from inferops.controller.store import Key
from inferops.core.observation import Demand
from inferops.kube.kinds import INFERENCE_SERVICE

log = logging.getLogger(__name__)

PATH = "/demand"
TICK = 1.0  # seconds within which it tells of whatever has traffic
SILENCE = 5.0  # seconds after which it tells nothing
CONNECT = 2.0  # seconds
LINE = 8 * 2**20  # bytes; some 50,000 services
MOST = 50_000  # services that one gateway may tell of
MOST_REPLICAS = 50_000  # that one gateway may tell of, of all services
FIRST_WAIT, LAST_WAIT = 0.25, 5.0  # seconds until a gateway is asked again
GATHER = 0.5  # seconds in which several changes of the gateways lead to one run of each service


class Word(NamedTuple):
    """What one gateway last told of one service."""

    ready: bool  # whether it takes requests
    start: str  # names the gateway and this start of it; empty: it tells nothing
    age: float = 0.0  # seconds since its numbers were so
    up: float | None = None  # seconds that it had counted for by then, where it says so
    asked: Asked | None = None  # None: it knows of no such service


@dataclass(slots=True)
class Teller:
    """One gateway, as it told."""

    heard: float = -math.inf
    start: str = ""  # names the gateway and this start of it
    up: float | None = None  # seconds that it had counted for when it was heard
    replicas: int = 0  # that it told of, of all services
    services: dict[Name, Asked] = field(default_factory=dict[Name, Asked])


class Demands:
    """The demand for every service, as the gateways tell it. `read` is for the leader alone."""

    def __init__(
        self,
        gateways: Gateways,
        clock: Callable[[], float],
        add: Callable[[Key], None],
        *,
        asleep: Callable[[str, str], bool],
        managed: Callable[[], Iterable[Key]],
        everything: Callable[[], Iterable[Key]],
        known: Callable[[Key], bool] = lambda key: True,
        dropped: Callable[[str], None] = lambda what: None,
    ) -> None:
        """`add`: asks for a run of a service. `asleep`: whether it is at zero until somebody asks. `managed`: the
        services that depend on who the gateways are and what they tell; `everything`: those that may depend on
        whether there is one. `known`: whether there is such a service. `dropped`: counts what was."""
        self._gateways, self._clock, self._add = gateways, clock, add
        self._asleep, self._managed, self._everything = asleep, managed, everything
        self._known, self._dropped = known, dropped
        self.counted: Callable[[Key, str, Counted], None] = lambda key, start, counted: None  # takes what is told
        self.loaded: Callable[[Key, Word], None] = lambda key, word: None  # takes what was asked of a service
        self._any = bool(gateways.ready)  # as all were told last
        self._tellers: dict[str, Teller] = {}
        self._moved = asyncio.Event()
        self._due: asyncio.TimerHandle | None = None
        gateways.changed = self._listed

    @property
    def addresses(self) -> tuple[str, ...]:
        """The gateways that take requests, host:port."""
        return self._gateways.ready

    @property
    def telling(self) -> int:
        """How many of those tell."""
        return sum(gateway.ready and self._fresh(gateway.metrics) for gateway in self._gateways.listed)

    def of(self, key: Key) -> Demand | None:
        """What is told of a service; None where no gateway tells of it."""
        now, waiting, in_flight = self._clock(), 0, 0
        idle: list[float | None] = []
        for gateway in self._gateways.listed:
            teller = self._tellers.get(gateway.metrics)
            fresh = teller is not None and self._fresh(gateway.metrics)
            asked = teller.services.get((key.namespace, key.name)) if teller is not None and fresh else None
            if asked is not None:
                waiting, in_flight = waiting + asked.waiting, in_flight + asked.in_flight
                idle.append(asked.idle + now - asked.at)
            elif gateway.ready:  # of one that is not, it counts what it tells, and not that it does
                idle.append(None)
        if all(each is None for each in idle):
            return None
        told = [each for each in idle if each is not None]
        return Demand(waiting, in_flight, min(told) if len(told) == len(idle) else None)

    def counts(self, key: Key) -> dict[str, Counted]:
        """What each gateway that tells has counted of a service's replicas, by a name for this start of it."""
        found: dict[str, Counted] = {}
        for gateway in self._gateways.listed:
            teller = self._tellers.get(gateway.metrics) if self._fresh(gateway.metrics) else None
            asked = teller.services.get((key.namespace, key.name)) if teller is not None else None
            if teller is not None and asked is not None and asked.counted is not None:
                found[teller.start] = asked.counted
        return found

    def words(self, key: Key) -> list[Word]:
        """What each gateway that is listed told last of a service."""
        name = (key.namespace, key.name)
        return [self._word(self._tellers.get(each.metrics), name, each.ready) for each in self._gateways.listed]

    def _word(self, teller: Teller | None, name: Name, ready: bool) -> Word:
        silence = math.inf if teller is None else self._clock() - teller.heard
        if teller is None or silence > SILENCE:
            return Word(ready, "")
        asked = teller.services.get(name)
        before = teller.heard - asked.at if asked is not None else TICK
        # A line may be of others alone; only what a whole tick does not mention had no traffic.
        return Word(ready, teller.start, silence + (before if before < TICK else 0.0), teller.up, asked)

    def asked(self, key: Key) -> bool:
        """Whether requests for a service are there now, by the word of any gateway."""
        told = self.of(key)
        return told is not None and (told.waiting > 0 or told.in_flight > 0)

    async def heard(self, patience: float) -> None:
        """Wait until every gateway that is ready tells, though not for longer than `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.telling < len(self.addresses):
                    await asyncio.sleep(0.01)

    async def read(self) -> None:
        """Follow each gateway that is listed, until cancelled."""
        readers: dict[str, asyncio.Task[None]] = {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            try:
                while True:
                    self._moved.clear()
                    wanted = {gateway.metrics for gateway in self._gateways.listed if gateway.metrics}
                    for address in readers.keys() - wanted:
                        readers.pop(address).cancel()
                    for address in wanted - readers.keys():
                        readers[address] = asyncio.create_task(self._keep(session, address), name=f"demand {address}")
                    await self._moved.wait()
            finally:
                for reader in readers.values():
                    reader.cancel()
                await asyncio.gather(*readers.values(), return_exceptions=True)

    async def _keep(self, session: aiohttp.ClientSession, address: str) -> None:
        """Read the stream of one gateway again and again."""
        wait, said = FIRST_WAIT, ""
        try:
            while True:
                self._tellers[address] = teller = Teller()
                why = await self._stream(session, address, teller)
                wait = FIRST_WAIT if teller.heard > -math.inf else min(2 * wait, LAST_WAIT)
                if why != said:  # else it would be said all the time while one is away
                    log.warning("gateway %s does not tell who waits: %s; it is asked again", address, why)
                    said = why
                self._tellers[address] = Teller()
                self._gather()
                await asyncio.sleep(wait * random.uniform(0.75, 1.25))
        finally:
            self._tellers.pop(address, None)

    async def _stream(self, session: aiohttp.ClientSession, address: str, teller: Teller) -> str:
        """Take in one stream up to its end. Returns why it ended."""
        rest = bytearray()
        try:
            async with session.get(f"http://{address}{PATH}", allow_redirects=False) as response:
                if response.status != 200:
                    return f"it answers {response.status}"
                async for chunk in response.content.iter_any():
                    rest += chunk
                    if b"\n" in chunk:
                        *lines, last = bytes(rest).split(b"\n")
                        rest = bytearray(last)
                        for line in lines:
                            self._take_in(address, teller, line)
                    if len(rest) > LINE:
                        self._dropped("line")
                        return f"a line is longer than {LINE} bytes"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return str(error) or type(error).__name__
        return "it ended the stream"

    def _take_in(self, address: str, teller: Teller, text: bytes) -> None:
        """A line of a gateway."""
        now = self._clock()
        line = line_of(text)
        if line is None:
            self._dropped("line")
            return
        was_silent = now - teller.heard > SILENCE
        teller.heard, teller.start, teller.up = now, f"{address} {line.boot}", line.up
        for title, told in line.services.items():
            name, asked = name_of(title), asked_of(told, now, bool(line.boot))
            if name is None or (asked is None or not self._room(teller, name)):
                self._dropped("service")
                if name is not None:
                    self._remember(teller, name, None)
                continue
            if line.boot and "replicas" in told:
                asked = replace(asked, counted=self._replicas(teller, name, told["replicas"]))
            if asked.load is None and line.boot and "load" in told:
                self._dropped("load")
            self._remember(teller, name, asked)
            if asked.load is not None:
                self.loaded(Key(INFERENCE_SERVICE.kind, *name), Word(True, teller.start, 0.0, line.up, asked))
            if asked.counted is not None:
                self.counted(Key(INFERENCE_SERVICE.kind, *name), teller.start, asked.counted)
            if (asked.waiting or asked.in_flight) and self._asleep(*name):
                self._add(Key(INFERENCE_SERVICE.kind, *name))
        if was_silent:
            self._gather()

    def _replicas(self, teller: Teller, name: Name, told: object) -> Counted | None:
        """What was told of a service's replicas, where there is room for it."""
        counted, dropped = counted_of(told)
        before = teller.services.get(name)
        others = teller.replicas - (len(before.counted.tallies) if before is not None and before.counted else 0)
        if counted is not None and others + len(counted.tallies) > MOST_REPLICAS:
            counted, dropped = None, dropped + 1
        for _ in range(dropped):
            self._dropped("replica")
        return counted

    def _remember(self, teller: Teller, name: Name, asked: Asked | None) -> None:
        """Put what was told of a service in the place of what was told before."""
        before = teller.services.pop(name, None)
        teller.replicas -= len(before.counted.tallies) if before is not None and before.counted is not None else 0
        if asked is not None:
            teller.services[name] = asked
            teller.replicas += len(asked.counted.tallies) if asked.counted is not None else 0

    def _room(self, teller: Teller, name: Name) -> bool:
        """Whether one more service can be remembered; those that do not exist make room."""
        if len(teller.services) >= MOST and name not in teller.services:
            for other in [each for each in teller.services if not self._known(Key(INFERENCE_SERVICE.kind, *each))]:
                self._remember(teller, other, None)
        return len(teller.services) < MOST or name in teller.services

    def _fresh(self, address: str) -> bool:
        teller = self._tellers.get(address)
        return teller is not None and self._clock() - teller.heard <= SILENCE

    def _listed(self) -> None:
        self._moved.set()
        self._gather()

    def _gather(self) -> None:
        """Soon ask for a run of all services that depend on which gateways there are, and whether they tell."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(GATHER, self._ask_all)

    def _ask_all(self) -> None:
        self._due = None
        before, self._any = self._any, bool(self.addresses)
        for key in self._managed() if before == self._any else self._everything():
            self._add(key)
