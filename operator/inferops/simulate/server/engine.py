"""The simulated engine as a process: it starts, loads, serves, drains, crashes, hangs, and exits with a code.

An environment may ask for faults (`faults.py`).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Middleware

from inferops.simulate.model import Accelerator
from inferops.simulate.server.failures import StartFailure, Stopped
from inferops.simulate.server.faults import OUT_OF_MEMORY, Faults, read_faults
from inferops.simulate.server.runtimes import RUNTIMES, Built, Runtime

LOAD_BYTES_PER_SECOND = 0.5e9  # 52 s to a start for a model of 8B at 16 bit, 5 min for one of 70B
SIGTERM_CODE = 143  # 128 + SIGTERM: of a server that had nothing to drain yet
WRITE_SECONDS = 2.0  # that handlers get to write what they have to say when the server ends
LOG_LINES = 10_000


class Engine:
    """One simulated process of a serving engine. Construct and use it inside a running event loop.

    `exited` is done once the process is gone and its ports are free; it holds the exit code, or the exception
    where the simulator itself is at fault.
    """

    def __init__(
        self,
        runtime: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        accelerator: Accelerator,
        accelerator_count: int,
        load_seconds: float | None = None,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sink: Callable[[str], object] = lambda line: None,
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        """`argv`: the real server's command line. `load_seconds` None: by the size of the weights.

        `time_scale`: simulated seconds in a second of `clock`; 10 makes everything ten times as fast, until the
        machine cannot step as fast any more. `sink` gets each line of the log; requests pass the `middlewares` of
        whoever runs it. Raises `ValueError` for an unknown runtime or a scale that is not positive.
        """
        check(runtime, time_scale)
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.ready = asyncio.Event()  # it listens
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ports: dict[str, int] = {}  # http and metrics, as bound
        self._kind = runtime
        self._argv = list(argv)
        self._env = env
        self._accelerator = accelerator
        self._present = min(accelerator_count, visible(env, accelerator_count))
        self._load_seconds = load_seconds
        self._scale = time_scale
        self._clock = clock
        self._began = clock()
        self._sink = sink
        self._middlewares = middlewares
        self._faults = Faults()
        self._due: list[asyncio.TimerHandle] = []  # faults that are still to come
        self._runtime: Runtime | None = None
        self._built: Built | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._runners: list[web.AppRunner] = []
        self._sites: list[web.SockSite] = []
        self._paces: list[asyncio.Task[None]] = []
        self._life: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port of the API, known from `start` on."""
        return self.ports["http"]

    async def start(self, host: str | None = None, port: int | None = None) -> None:
        """Start the process; it loads in the background, `ready` and `exited` tell how it went.

        `host` and `port` (of the API; 0: any, for all ports) stand above the command line's. Raises OSError when
        an address cannot be bound; a bad command line does not raise, the process exits as the real one would.
        """
        try:
            self._faults = read_faults(self._env)
            self._runtime = RUNTIMES[self._kind](self._argv, self._env, self._accelerator, self._present)
        except StartFailure as failure:
            self._fail(failure)
            return
        for endpoint in self._runtime.endpoints:
            wanted = endpoint.port if port is None or (port and endpoint.name != "http") else port
            try:
                bound = bind(host or endpoint.host, wanted)
            except OSError:
                self._release()
                raise
            self._sockets[endpoint.name] = bound
            self.ports[endpoint.name] = bound.getsockname()[1]
        self._life = asyncio.create_task(self._live(self._runtime))

    async def terminate(self) -> None:
        """Send it SIGTERM: it drains as the real server does. Returns at once; `exited` tells when it is over."""
        if self._ending is None and not self.exited.done():
            self._ending = asyncio.create_task(self._drain())

    def crash(self, code: int = 1) -> None:
        """End it at once with `code`, cutting every connection; 137 plays SIGKILL."""
        if self._ending is not None:
            self._ending.cancel()
        self._cut()
        if not self.exited.done():
            self._ending = asyncio.create_task(self._close(code))

    def hang(self) -> None:
        """Let it answer no request any more, while its ports stay open and its health checks succeed."""
        self._say("simulated: the engine hangs")
        for pace in self._built.paces if self._built else ():
            pace.hang()

    async def _live(self, runtime: Runtime) -> None:
        """Load and serve. Memory runs out in the middle of the load, if it does."""
        seconds = self._load_seconds
        if seconds is None:
            seconds = runtime.startup_seconds + runtime.weights / LOAD_BYTES_PER_SECOND
        try:
            self._say(f"simulated {self._kind} starts: {' '.join(self._argv)}")
            await asyncio.sleep(seconds / 2 / self._scale)
            self._faults.load()
            built = self._built = runtime.build(self._now, self._scale)
            for line in built.log:
                self._say(line)
            await asyncio.sleep(seconds / 2 / self._scale)
            if self._faults.never_ready:
                await asyncio.Event().wait()
            await self._listen(built)
        except StartFailure as failure:
            self._fail(failure)
        except Exception as error:
            self._broken(error)

    async def _listen(self, built: Built) -> None:
        for app in built.apps.values():
            app.middlewares.extend(self._middlewares)
            if self._faults.errors:
                app.middlewares.append(self._faults.middleware())
        for pace in built.paces:
            pace.slow(self._faults.slow)
            task = asyncio.create_task(pace.run())
            task.add_done_callback(self._pace_ended)
            self._paces.append(task)
        for name, sock in self._sockets.items():
            runner = web.AppRunner(
                built.apps[name], handler_cancellation=True, access_log=None, shutdown_timeout=WRITE_SECONDS
            )
            self._runners.append(runner)
            await runner.setup()
            site = web.SockSite(runner, sock)
            await site.start()
            self._sites.append(site)
            self._say(f"{name} listens on {sock.getsockname()[0]}:{sock.getsockname()[1]}")
        self.ready.set()
        self._arm()

    def _arm(self) -> None:
        """Let faults come that come some time after it was ready."""
        faults, later = self._faults, asyncio.get_running_loop().call_later
        for seconds, fault in (
            (faults.crash_after, self.crash),
            (faults.oom_after, partial(self.crash, OUT_OF_MEMORY)),
            (faults.hang_after, self.hang),
        ):
            if seconds is not None:
                self._due.append(later(seconds / self._scale, fault))

    async def _drain(self) -> None:
        """What SIGTERM leads to."""
        if self._built is None or self._runtime is None or not self.ready.is_set():
            self._say("SIGTERM while loading")
            await self._close(SIGTERM_CODE)
            return
        self._say(f"SIGTERM: requests in flight have {self._runtime.drain_seconds:g} s to finish")
        self._built.drain()
        if self._runtime.closes_at_once:
            for site in self._sites:
                await site.stop()
        code = 0
        try:
            async with asyncio.timeout(self._runtime.drain_seconds / self._scale):
                for pace in self._built.paces:
                    await pace.emptied()
        except TimeoutError:
            code = self._runtime.timeout_code
            for pace in self._built.paces:
                pace.fail_all(Stopped("the engine is stopping"))
        await self._close(code)

    async def _close(self, code: int) -> None:
        """Free everything, then tell the exit code. Answers that are being written are written first."""
        if self._life is not None:
            self._life.cancel()  # no new ports while these are closed
            await asyncio.gather(self._life, return_exceptions=True)
        for runner in self._runners:
            await runner.cleanup()
        for task in self._paces:
            task.cancel()
        await asyncio.gather(*self._paces, return_exceptions=True)
        self._end_with(code)

    def _cut(self) -> None:
        """Close every connection without a word."""
        for runner in self._runners:
            for connection in runner.server.connections if runner.server else ():
                if connection.transport is not None:
                    connection.transport.abort()

    def _release(self) -> None:
        for sock in self._sockets.values():
            sock.close()

    def _fail(self, failure: StartFailure) -> None:
        for line in str(failure).splitlines():
            self._say(line)
        self._end_with(failure.code)

    def _end_with(self, code: int) -> None:
        for fault in self._due:
            fault.cancel()
        self._release()
        self._say(f"exit code {code}")
        if not self.exited.done():
            self.exited.set_result(code)

    def _broken(self, error: BaseException) -> None:
        """A defect of the simulator ends the process and is seen by whoever waits for it."""
        self._say(f"simulator error: {error!r}")
        self._cut()
        self._release()
        if not self.exited.done():
            self.exited.set_exception(error)

    def _pace_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)

    def _now(self) -> float:
        """Simulated seconds since the process began."""
        return (self._clock() - self._began) * self._scale

    def _say(self, line: str) -> None:
        self.log.append(line)
        self._sink(line)


def check(runtime: str, time_scale: float) -> None:
    """Raises `ValueError` for what cannot be simulated."""
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime {runtime!r}: there are {', '.join(RUNTIMES)}")
    if time_scale <= 0:
        raise ValueError(f"time_scale {time_scale:g}: it has to be above 0")


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds the address and does not listen yet, so that connections are refused. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def visible(env: Mapping[str, str], present: int) -> int:
    """Accelerators that CUDA_VISIBLE_DEVICES leaves of `present`."""
    if "CUDA_VISIBLE_DEVICES" not in env:
        return present
    devices = [device for device in env["CUDA_VISIBLE_DEVICES"].split(",") if device.strip()]
    return len(devices) if "-1" not in devices else 0
