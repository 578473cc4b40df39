"""Runs the simulated engine for the containers whose command is vLLM's or Triton's."""

from __future__ import annotations

from nodeagent.process import Command, Idle, Process, engine_of


def launch_engine(command: Command) -> Process:
    """The process of a container: a simulated engine where its command is one, else one that does nothing."""
    found = engine_of(command)
    if found is None:
        return Idle(command.finite)
    raise NotImplementedError
