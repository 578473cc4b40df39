"""What the built-in gateways tell of the services: the leader reads GET /demand of each, and puts it together.

A gateway first tells of all services that it knows, then at once of those for which requests begin to wait, and every
second of those with any traffic. What it does not mention had none. Its words are untrusted: what is broken is dropped
and counted, and a service of which it told something broken counts as not told of.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from inferops.controller.gateways import Gateways
from inferops.controller.store import Key
from inferops.core.observation import Demand
from inferops.kube.kinds import INFERENCE_SERVICE

log = logging.getLogger(__name__)

PATH = "/demand"
SILENCE = 5.0  # seconds; it tells every second
CONNECT = 2.0  # seconds
LINE = 8 * 2**20  # bytes; some 50,000 services
MOST = 50_000  # services that one gateway may tell of
HIGHEST = 10**9  # requests, or seconds; more is none of either
NAME = 320  # characters: namespace and name
FIRST_WAIT, LAST_WAIT = 0.25, 5.0  # seconds until a gateway is asked again
GATHER = 0.5  # seconds in which several changes of the gateways lead to one run of each service

Name = tuple[str, str]  # namespace and name of a service


@dataclass(frozen=True, slots=True)
class Asked:
    """What one gateway told of one service."""

    waiting: int
    in_flight: int
    idle: float  # seconds, at that moment
    at: float


@dataclass(slots=True)
class Teller:
    """One gateway, as it told."""

    heard: float = -math.inf
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
                            self._take_in(teller, line)
                    if len(rest) > LINE:
                        self._dropped("line")
                        return f"a line is longer than {LINE} bytes"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return str(error) or type(error).__name__
        return "it ended the stream"

    def _take_in(self, teller: Teller, line: bytes) -> None:
        """A line of a gateway."""
        now = self._clock()
        services = services_of(line)
        if services is None:
            self._dropped("line")
            return
        was_silent = now - teller.heard > SILENCE
        teller.heard = now
        for text, told in services.items():
            name, asked = name_of(text), asked_of(told, now)
            if name is None or (asked is None or not self._room(teller, name)):
                self._dropped("service")
                if name is not None:
                    teller.services.pop(name, None)
                continue
            teller.services[name] = asked
            if (asked.waiting or asked.in_flight) and self._asleep(*name):
                self._add(Key(INFERENCE_SERVICE.kind, *name))
        if was_silent:
            self._gather()

    def _room(self, teller: Teller, name: Name) -> bool:
        """Whether one more service can be remembered; those that do not exist make room."""
        if len(teller.services) >= MOST and name not in teller.services:
            for other in [each for each in teller.services if not self._known(Key(INFERENCE_SERVICE.kind, *each))]:
                del teller.services[other]
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


def services_of(line: bytes) -> Mapping[str, Any] | None:
    """The services of a line, not looked at yet; None where the line is none."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return None
    services = parsed.get("services") if isinstance(parsed, dict) else None
    return services if isinstance(services, dict) else None


def name_of(text: str) -> Name | None:
    """Namespace and name, of `NAMESPACE/NAME`."""
    namespace, slash, name = text.partition("/")
    return (namespace, name) if namespace and slash and name and "/" not in name and len(text) <= NAME else None


def asked_of(told: Any, at: float) -> Asked | None:
    """What was told of a service; None where that is not what a gateway tells."""
    if not isinstance(told, dict):
        return None
    waiting, in_flight, idle = (_number(told.get(name)) for name in ("waiting", "inFlight", "idle"))
    if waiting is None or in_flight is None or idle is None or waiting % 1 or in_flight % 1:
        return None
    return Asked(int(waiting), int(in_flight), idle, at)


def _number(value: Any) -> float | None:
    """A number that is neither negative nor beyond all measure."""
    return float(value) if type(value) in (int, float) and 0 <= value <= HIGHEST else None
