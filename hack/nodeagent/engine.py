"""Runs the simulated engine for the containers whose command is a serving engine's."""

from __future__ import annotations

from inferops.catalogue import accelerators
from inferops.simulate.facts import AcceleratorSpec
from inferops.simulate.server.engine import Engine
from nodeagent.process import Command, Idle, Process, engine_of

NO_ACCELERATOR = AcceleratorSpec("none", memory_gib=0.0, bandwidth_gbps=1.0, bf16_tflops=1.0)


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
        facts_of(command.accelerator) if command.accelerator else NO_ACCELERATOR,
        command.accelerator_count,
        load_seconds=command.load_seconds,
        time_scale=command.time_scale,
    )


def facts_of(accelerator: str) -> AcceleratorSpec:
    """What the engine's model has to know of an accelerator of the catalogue. Raises KeyError for another."""
    spec = accelerators()[accelerator]
    return AcceleratorSpec(
        name=accelerator,
        memory_gib=spec.memory_gib,
        bandwidth_gbps=spec.bandwidth_gbps,
        bf16_tflops=spec.tflops.bf16 or spec.tflops.int8 or 1.0,
        fp8_tflops=spec.tflops.fp8,
    )
