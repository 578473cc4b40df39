"""Lives one container of a pod: pull, configure, start, probe, and start again when it ended and should not have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from nodeagent.backoff import Backoff
from nodeagent.client import ApiError, Json
from nodeagent.health import Health
from nodeagent.hooks import pre_stop
from nodeagent.kubelet import Kubelet
from nodeagent.pace import timestamp
from nodeagent.process import KILLED, Command, Process
from nodeagent.references import Missing, environment, expand
from nodeagent.status import Container, running, terminated, waiting

logger = logging.getLogger(__name__)

SHOWN = 2.0  # seconds that a first failure stands before it turns into a back-off
CONFIG_RETRY = 10.0  # seconds between looks for a Secret that is missing
LEAST_GRACE = 2.0  # seconds between SIGTERM and SIGKILL even if preStop took all the grace
START_FAILED = 128
BROKEN = 70  # of a simulator that failed, as against the engine that it simulates
LOAD_SECONDS = "bench.inferops.dev/load-seconds"  # annotation of a pod: how long its engine takes to load


class Home(Protocol):
    """The pod, as its containers see it."""

    kubelet: Kubelet
    pod: Json
    address: str

    def changed(self) -> None:
        """A container's state changed: the status has to be written."""

    def started(self, life: ContainerLife) -> None:
        """A container's process was started."""

    def tell(self, kind: str, reason: str, message: str) -> None:
        """Post an event."""

    def accelerators(self, spec: Json) -> tuple[str | None, int]:
        """Which accelerator of the node the container has, and how many."""


class ContainerLife:
    """One container from its image to its end. `shown` is what the pod's status says of it."""

    def __init__(self, home: Home, spec: Json, shown: Container, *, policy: str, finite: bool) -> None:
        self.spec = spec
        self.shown = shown
        self.process: Process | None = None
        self.previous_log: Sequence[str] = ()  # of the process before
        self.up = asyncio.Event()  # set when it has started for the first time, its startup probe included
        self._home = home
        self._policy = policy
        self._finite = finite
        self._pulled = False
        self._killed = False
        self._ending = asyncio.Event()

    @property
    def ending(self) -> bool:
        """Whether it is not to be started again."""
        return self._ending.is_set()

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and not self.process.exited.done()

    @property
    def log(self) -> Sequence[str]:
        """The lines that its process wrote; the same object as long as it is the same process."""
        return self.process.log if self.process else ()

    async def run(self) -> None:
        """Run it until it is not to be started again."""
        backoff = Backoff()
        while not self.ending:
            await self._pull()
            command = await self._configure()
            if command is None:
                return
            ran = await self._live(command)
            if self._policy == "Never" or (self._policy == "OnFailure" and self.shown.exit_code == 0):
                return
            if not self.ending:
                await self._back_off(backoff.after_crash(ran))
                self.shown.restarts += 1

    async def stop(self, grace: float, *, for_good: bool = True) -> None:
        """preStop, SIGTERM, and after `grace` seconds in total SIGKILL. With `for_good` it is not started again."""
        if for_good:
            self._ending.set()
        if self.process is None or not self.runs:
            return
        pace, clock = self._home.kubelet.pace, asyncio.get_running_loop().time
        deadline = clock() + pace.real(grace)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await pre_stop(self._home, self.spec)
        try:
            async with asyncio.timeout_at(max(deadline, clock() + pace.real(LEAST_GRACE))):
                await self.process.terminate()
                await asyncio.shield(self.process.exited)
        except TimeoutError:
            self.kill()

    def kill(self) -> None:
        """End its process at once, as the kernel does."""
        if self.process and self.runs:
            self._killed = True
            self.process.crash(KILLED)

    async def freed(self) -> None:
        """Wait until its process is gone and its ports are free; to be called after `kill`."""
        if self.process:
            await asyncio.wait([asyncio.shield(self.process.exited)])

    def _show(self, state: Json) -> None:
        self.shown.state = state
        self._home.changed()

    async def _pause(self, seconds: float) -> None:
        """Wait for `seconds` of the pod's time, or until it is to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._home.kubelet.pace.real(seconds)):
                await self._ending.wait()

    async def _pull(self) -> None:
        image, images = self.spec["image"], self._home.kubelet.images
        failures = Backoff()
        while not self._pulled and not self.ending and (why := images.obstacle(image)):
            self._show(waiting("ErrImagePull", why))
            self._home.tell("Warning", "Failed", f'Failed to pull image "{image}": {why}')
            await self._pause(SHOWN)
            self._show(waiting("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {why}'))
            self._home.tell("Normal", "BackOff", f'Back-off pulling image "{image}"')
            await self._pause(failures.after_pull())
        self._pulled = True

    async def _configure(self) -> Command | None:
        """What to run; None when the container is to end meanwhile."""
        while not self.ending:
            try:
                return await self._command()
            except (Missing, ApiError) as error:
                self._show(waiting("CreateContainerConfigError", str(error)))
                self._home.tell("Warning", "Failed", f"Error: {error}")
                await self._pause(CONFIG_RETRY)
        return None

    async def _command(self) -> Command:
        home, spec = self._home, self.spec
        env = await environment(home.kubelet.client, home.pod, spec, home.address)
        accelerator, count = home.accelerators(spec)
        asked = (home.pod["metadata"].get("annotations") or {}).get(LOAD_SECONDS)
        return Command(
            image=spec["image"],
            argv=[expand(part, env) for part in (*(spec.get("command") or []), *(spec.get("args") or []))],
            env=env,
            accelerator=accelerator,
            accelerator_count=count,
            finite=self._finite,
            load_seconds=float(asked) if asked else home.kubelet.load_seconds,
            time_scale=home.kubelet.engine_pace.scale,
        )

    async def _live(self, command: Command) -> float:
        """Start it and wait for its end. Returns the seconds of the pod's time that it ran."""
        clock = asyncio.get_running_loop().time
        begun, since = clock(), timestamp()
        self._killed = False
        try:
            self.previous_log = self.log
            self.process = self._home.kubelet.launch(command)
            await self.process.start(self._home.address)
        except (OSError, ValueError) as error:
            self._home.tell("Warning", "Failed", f"Error: {error}")
            self._show(terminated(START_FAILED, since, timestamp(), "StartError"))
            return 0.0
        self._show(running(since))
        self._home.tell("Normal", "Started", f"Started container {self.shown.name}")
        self._home.started(self)
        code = await self._until_exit(self.process)
        self.shown.ready = self.shown.started = False
        self._show(terminated(code, since, timestamp(), "Error" if self._killed else None))
        return (clock() - begun) * self._home.kubelet.pace.scale

    async def _until_exit(self, process: Process) -> int:
        probing = asyncio.create_task(Health(self._home, self).watch())
        try:
            return await asyncio.shield(process.exited)
        except Exception:
            logger.exception("%s: what it runs is broken", self.shown.name)
            return BROKEN
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _back_off(self, seconds: float) -> None:
        self.shown.last_state = self.shown.state
        if seconds == 0:
            return
        pod = self._home.pod["metadata"]
        what = f"restarting failed container={self.shown.name} pod={pod['name']}_{pod['namespace']}({pod['uid']})"
        self._show(waiting("CrashLoopBackOff", f"back-off {seconds:.0f}s {what}"))
        self._home.tell("Warning", "BackOff", f"Back-off {what}")
        await self._pause(seconds)
