"""The gateway's process from start to end: read the configuration, answer, and on SIGTERM finish what was begun.

The end takes its time, since others have to hear of it: first /readyz says so, and requests are still taken for a
while, each told to connect elsewhere next time; then nobody new is let in; and when the last stream has ended, or its
time is over, the process ends.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from inferops.gateway.access.keyring import Keyring, KubeSecrets
from inferops.gateway.access.limits import Limiter
from inferops.gateway.balance.fleet import Fleet
from inferops.gateway.balance.probing import HttpAsk, Prober
from inferops.gateway.proxy.attempts import Attempts
from inferops.gateway.proxy.deadlines import LOOK_EVERY, Deadlines, Why
from inferops.gateway.proxy.door import Door
from inferops.gateway.proxy.handler import Handler, Parts
from inferops.gateway.proxy.server import Port, open_metrics, open_port
from inferops.gateway.proxy.upstream import Upstream
from inferops.gateway.proxy.watch import Watch
from inferops.gateway.signals.accesslog import AccessLog, Mode
from inferops.gateway.signals.demand import Demand
from inferops.gateway.signals.exposition import Exposition
from inferops.gateway.signals.meters import Meters
from inferops.gateway.sources.files import Files
from inferops.gateway.sources.watching import Watching
from inferops.gateway.table import ServiceKey
from inferops.kube.client import Client
from inferops.kube.scope import Scope
from inferops.kube.session import load_configuration, user_agent

log = logging.getLogger(__name__)

GLANCE = 0.05  # seconds between two looks whether all is done
CUT = 2.0  # seconds that requests which are cut off get to say so
SWEEP_EVERY = 4  # looks at the deadlines
GARBAGE = (20_000, 20, 50)  # objects of the first generation, and how many times it is collected for one of the next
AGAIN = 5.0  # seconds before a part that failed is started anew


@dataclass(frozen=True, slots=True)
class Options:
    """How a gateway is run."""

    namespace: str = "inferops-system"  # its own
    kubeconfig: str | None = None
    address: str = "0.0.0.0"
    port: int = 8080
    metrics_port: int = 9090
    files: tuple[Path, ...] = ()  # in place of a cluster
    access_log: Mode = "all"
    drain_delay: float = 5.0  # seconds between the news of the end and the last new connection
    drain_timeout: float = 300.0  # seconds that streams then get to finish
    hosts: tuple[str, ...] = ()  # its own names, which no service can claim
    served: tuple[str, ...] = ()  # namespaces whose services are served; none: all


class Gateway:
    """One replica of the gateway. Needs a running loop."""

    def __init__(self, options: Options) -> None:
        clock = time.monotonic
        self.options = options
        self.port = self.metrics_port = 0  # once it listens
        self.fleet = Fleet(clock)
        self.meters = Meters(clock, lambda: self.fleet.table, self._waiting)
        self.upstream = Upstream(clock)
        self.deadlines = Deadlines(clock)
        self.attempts = Attempts(self.fleet, self.upstream, self.meters, clock)
        pod = os.environ.get("POD_NAME") or socket.gethostname()
        self.demand = Demand(self.fleet, self.meters, pod, clock)
        self.log = AccessLog(sys.stdout.fileno() if options.access_log != "off" else 2, options.access_log)
        self._clock = clock
        self._told = 0  # times we were told to end
        self._news = asyncio.Event()  # of that

    def stop(self) -> None:
        """End. Called again: at once."""
        self._told += 1
        self._news.set()

    async def run(self) -> None:
        """Run until told to stop. Raises OSError where a port is taken, BadFile, and what loading a kubeconfig does."""
        async with AsyncExitStack() as stack:
            source, keyring = await self._source(stack)
            stack.push_async_callback(keyring.close)
            door = Door(self.fleet, keyring, Limiter(self._clock))
            handler = Handler(
                Parts(
                    self.fleet,
                    door,
                    self.attempts,
                    self.meters,
                    self.log,
                    self.deadlines,
                    self._clock,
                    source.ready.is_set,
                )
            )
            port = await self._listen(stack, handler, lambda: source.ready.is_set() and not handler.draining)
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
            await stack.enter_async_context(session)
            prober = Prober(self.fleet, HttpAsk(session), self._clock)
            watch = Watch(self.fleet, self.upstream, self._clock)
            parts = {"configuration": source.run, "probes": prober.run, "watch": watch.run, "deadlines": self._tick}
            for name, run in parts.items():
                task = asyncio.create_task(_kept(name, run), name=name)
                stack.push_async_callback(_cancel, task)
            await self._until(1)
            await self._drain(handler, port)

    async def _source(self, stack: AsyncExitStack) -> tuple[Watching | Files, Keyring]:
        """Where the configuration comes from, and the API keys."""
        options = self.options
        hosts = [host.lower().rstrip(".") for host in options.hosts]
        if options.files:
            files = Files(options.files, self.fleet, hosts)
            return files, Keyring(files, self._clock)
        configuration = await load_configuration(options.kubeconfig)
        client = Client(configuration, agent=user_agent(f"gateway/{socket.gethostname()}"))
        stack.push_async_callback(client.close)
        keyring = Keyring(KubeSecrets(client), self._clock, f"{options.namespace}:inferops-gateway")
        scope = Scope(options.served, options.namespace)
        return Watching(client, self.fleet, options.namespace, own_hosts=hosts, served=scope.everywhere), keyring

    async def _listen(self, stack: AsyncExitStack, handler: Handler, ready: Callable[[], bool]) -> Port:
        stack.callback(self.log.close)
        stack.callback(self.upstream.close)
        options = self.options
        runner, self.metrics_port = await open_metrics(
            Exposition(self.meters, dropped=lambda: self.log.dropped),
            self.demand,
            ready,
            options.address,
            options.metrics_port,
        )
        stack.push_async_callback(runner.cleanup)
        stack.callback(self.demand.close)
        port = await open_port(handler, options.address, options.port)
        stack.push_async_callback(port.close, CUT)
        self.port = port.number
        log.info("listening on port %d, metrics on port %d", self.port, self.metrics_port)
        return port

    async def _drain(self, handler: Handler, port: Port) -> None:
        """Finish what was begun, for as long as it may take, or until told again to end."""
        handler.draining = True
        log.info("ending: taking requests for %g s more", self.options.drain_delay)
        await self._until(2, self.options.drain_delay)
        port.stop_listening()
        log.info("finishing %d requests", len(self.deadlines))
        await self._until(2, self.options.drain_timeout, lambda: not len(self.deadlines))
        if left := len(self.deadlines):
            log.warning("cutting off %d requests", left)
            self.deadlines.expire_all(Why.ENDING)
            await self._until(3, CUT, lambda: not len(self.deadlines))

    async def _until(self, told: int, seconds: float | None = None, done: Callable[[], bool] = lambda: False) -> None:
        """Wait until we were told so often to end, so many seconds have passed, or it is done."""
        end = None if seconds is None else self._clock() + seconds
        while self._told < told and not done():
            left = None if end is None else end - self._clock()
            if left is not None and left <= 0:
                return
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), None if left is None else min(left, GLANCE))
            except TimeoutError:
                continue

    async def _tick(self) -> None:
        """What is done for all requests together."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.deadlines.check()
            looks += 1
            if looks % SWEEP_EVERY == 0:
                self.upstream.sweep()
                self.attempts.sweep()

    def _waiting(self, key: ServiceKey) -> int:
        pool = self.fleet.pool(key)
        return pool.waiting if pool is not None else 0


def end_on_signals(gateway: Gateway) -> None:
    """End on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, gateway.stop)


def spare_pauses() -> None:
    """Spare requests the pauses of the garbage collector: all that is here now stays, and requests leave few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


async def _kept(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Keep a part going: requests go on without it, and what it knew last stays good."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed; starting it again in %g s", name, AGAIN)
        await asyncio.sleep(AGAIN)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
