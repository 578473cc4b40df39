"""Tensor and pipeline parallelism: how an engine's processes share the accelerators of a replica."""

from __future__ import annotations

from collections.abc import Collection

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes.arguments import flags_of
from inferops.runtimes.base import Launch


def stages(launch: Launch, flags: Collection[str]) -> int:
    """Stages of pipeline parallelism; 0 where what was asked for is no number. TP is count divided by it.

    `flags`: the names by which the engine knows it. Left out, there is a stage a node: tensor parallelism wants the
    links inside of one.
    """
    found = launch.nodes
    for flag in flags_of(launch.given_args):
        if flag.name in flags:
            value = flag.values[0] if len(flag.values) == 1 else ""
            found = int(value) if value.isascii() and value.isdigit() and len(value) < 4 else 0
    return found


def uneven(launch: Launch, flags: Collection[str]) -> Obstacle | None:
    """Why the stages that were asked for do not share the accelerators evenly, or None."""
    count, found = launch.revision.accelerator.count, stages(launch, flags)
    if found >= 1 and count % found == 0:
        return None
    return Obstacle(
        Reason.TENSOR_PARALLEL_INVALID,
        f"spec.runtime.args: {next(iter(flags))} must be a whole number that divides the {count} accelerators of a "
        "replica; change it or the count in spec.accelerators",
    )
