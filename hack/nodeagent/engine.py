"""Runs the simulated engine for the containers whose command is a serving engine's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from inferops.catalogue import accelerators
from inferops.simulate.model import CPU, Accelerator
from inferops.simulate.server.engine import Engine
from nodeagent.process import Command, Idle, Process, engine_of


class Metrics:
    """Whether engines tell their metrics, all those of this process. Requests get on either way."""

    def __init__(self) -> None:
        self.told = True

    def away(self) -> None:
        self.told = False

    def back(self) -> None:
        self.told = True

    @web.middleware
    async def pass_on(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not self.told and request.path.endswith("/metrics"):
            return web.Response(status=503, text="the bench keeps metrics back")
        return await handler(request)


METRICS = Metrics()


def launch_engine(command: Command) -> Process:
    """The process of a container: a simulated engine where its command is one, else one that does nothing."""
    found = engine_of(command)
    if found is None:
        return Idle(command.finite)
    runtime, argv = found
    return Engine(
        runtime,
        argv,
        command.env,
        accelerator_named(command.accelerator) if command.accelerator else CPU,
        command.accelerator_count if command.accelerator else 0,
        load_seconds=command.load_seconds,
        time_scale=command.time_scale,
        middlewares=(METRICS.pass_on,),
    )


def accelerator_named(name: str) -> Accelerator:
    """An accelerator of the catalogue, as the engine takes it. Raises KeyError for another."""
    return Accelerator(name, accelerators()[name])
