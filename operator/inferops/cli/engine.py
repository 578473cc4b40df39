"""`inferops engine`: a simulated engine in the foreground, with the real server's API, metrics and drain."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from inferops.simulate.server import Accelerator


class BadOption(ValueError):
    """An option that cannot be: the message names it and what there is."""


def engine(
    args: Annotated[
        list[str] | None, typer.Argument(help="After --: the real server's command line, or its arguments alone.")
    ] = None,
    runtime: Annotated[str, typer.Option(help="A built-in engine, for example vllm or triton.")] = "vllm",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the API; left out: ARGS'.")] = None,
    accelerator: Annotated[str, typer.Option(help="Its name in the built-in catalogue.")] = "nvidia-h100-80gb",
    accelerators: Annotated[int, typer.Option(min=0, max=64, help="How many there are.")] = 1,
    load_seconds: Annotated[float | None, typer.Option(min=0, help="Left out: by the size of the weights.")] = None,
    time_scale: Annotated[float, typer.Option(help="10: ten times as fast as real time.")] = 1.0,
) -> None:
    """Run a simulated engine, for example: inferops engine --load-seconds 2 -- vllm serve Qwen/Qwen2.5-7B.

    Ends on SIGTERM, or Ctrl-C, as the real server does: with its drain and its exit code.
    """
    import asyncio

    from inferops.simulate.server import check

    try:
        chosen = accelerator_named(accelerator)
        check(runtime, time_scale)
    except ValueError as error:
        raise _refused(error) from None
    try:
        code = asyncio.run(_serve(runtime, args or [], chosen, accelerators, load_seconds, time_scale, host, port))
    except OSError as error:
        raise _refused(error) from None
    raise typer.Exit(code)


def _refused(error: Exception) -> typer.Exit:
    print(f"inferops engine: {error}", file=sys.stderr)
    return typer.Exit(2)


def accelerator_named(name: str) -> Accelerator:
    """The accelerator `name` of the built-in catalogue. Raises `BadOption`."""
    from inferops.catalogue import accelerators
    from inferops.simulate.server import Accelerator

    known = accelerators()
    if name not in known:
        raise BadOption(f"--accelerator {name!r}: there are {', '.join(sorted(known))}")
    return Accelerator(name, known[name])


async def _serve(
    runtime: str,
    args: list[str],
    accelerator: Accelerator,
    count: int,
    load_seconds: float | None,
    time_scale: float,
    host: str,
    port: int | None,
) -> int:
    """Run until the engine exits; its code. Raises OSError when it cannot listen."""
    import asyncio
    import os
    import signal

    from inferops.simulate.server import Engine

    simulated = Engine(
        runtime,
        args,
        dict(os.environ),
        accelerator,
        count,
        load_seconds,
        time_scale,
        sink=lambda line: print(line, flush=True),
    )
    await simulated.start(host, port)
    stopping: set[asyncio.Task[None]] = set()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(
            number, lambda: stopping.add(asyncio.create_task(simulated.terminate()))
        )
    return await simulated.exited
