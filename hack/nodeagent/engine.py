"""Runs the simulated engine for the containers whose command is a serving engine's."""

from __future__ import annotations

from inferops.catalogue import accelerators
from inferops.simulate.model import CPU, Accelerator
from inferops.simulate.server.engine import Engine
from nodeagent.process import Command, Idle, Process, engine_of


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
    )


def accelerator_named(name: str) -> Accelerator:
    """An accelerator of the catalogue, as the engine takes it. Raises KeyError for another."""
    return Accelerator(name, accelerators()[name])
