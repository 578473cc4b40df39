"""`inferops engine`: options, the real command line after --, and SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import aiohttp
import pytest
import typer
from typer.testing import CliRunner

from inferops.catalogue import accelerators
from inferops.cli.engine import BadOption, accelerator_named, engine

PROGRAM = "import typer; from inferops.cli.engine import engine; a = typer.Typer(); a.command()(engine); a()"


def app() -> typer.Typer:
    application = typer.Typer(pretty_exceptions_enable=False)
    application.command()(engine)
    return application


def test_accelerators_are_those_of_the_catalogue():
    name, spec = accelerator_named("nvidia-h100-80gb")
    assert (name, spec) == ("nvidia-h100-80gb", accelerators()["nvidia-h100-80gb"])
    with pytest.raises(BadOption, match="--accelerator 'tpu': there are"):
        accelerator_named("tpu")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--accelerator tpu -- M", 2, "--accelerator 'tpu': there are"),
        ("--runtime ollama -- M", 2, "runtime 'ollama': there are vllm, sglang"),
        ("--time-scale 0 -- M", 2, "time_scale 0: it has to be above 0"),
        ("--load-seconds 0 -- vllm serve M --frobnicate", 2, "unrecognized arguments: --frobnicate"),
        ("--load-seconds 0 --port 0 -- vllm serve meta-llama/Llama-3.3-70B", 1, "CUDA out of memory"),
        ("--runtime triton -- tritonserver", 1, "--model-repository must be specified"),
    ],
)
def test_what_cannot_start_ends_with_the_code_of_the_real_server(arguments, code, message):
    result = CliRunner().invoke(app(), arguments.split())
    assert result.exit_code == code
    assert message in result.output


async def test_it_serves_until_sigterm():
    arguments = "--load-seconds 0 --port 0 -- vllm serve Qwen/Qwen2.5-7B --served-model-name qwen"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *arguments.split(),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            while b"listens on" not in (line := await process.stdout.readline()):
                assert line, "it ended before it listened"
            address = line.decode().split()[-1]
            async with aiohttp.ClientSession() as session, session.get(f"http://{address}/v1/models") as answer:
                assert (await answer.json())["data"][0]["id"] == "qwen"
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
