"""Simulated engines for the tests: on loopback, a hundred times as fast as real, gone when the test is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from inferops.catalogue import accelerators
from inferops.simulate.server import Accelerator, Engine

H100 = Accelerator("nvidia-h100-80gb", accelerators()["nvidia-h100-80gb"])
LLAMA = ("vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct", "--served-model-name", "llama", "--max-model-len", "8192")

Launch = Callable[..., Awaitable[Engine]]
Client = Callable[..., aiohttp.ClientSession]


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    """Starts an engine: `await launch(*argv, runtime=…, load_seconds=…, …)`; waits for it unless `wait=False`."""
    engines: list[Engine] = []

    async def start(
        *argv: str,
        runtime: str = "vllm",
        accelerators: int = 1,
        load_seconds: float = 0.0,
        time_scale: float = 100.0,
        env: dict[str, str] | None = None,
        wait: bool = True,
    ) -> Engine:
        engine = Engine(
            runtime, argv or LLAMA, env or {}, H100, accelerators, load_seconds=load_seconds, time_scale=time_scale
        )
        engines.append(engine)
        await engine.start("127.0.0.1", 0)
        if wait:
            async with asyncio.timeout(5):
                await engine.ready.wait()
        return engine

    yield start
    for engine in engines:
        engine.crash()
        await engine.exited


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Opens a session on a port: `client(port)`."""
    sessions: list[aiohttp.ClientSession] = []

    def session(port: int) -> aiohttp.ClientSession:
        sessions.append(aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(total=10)))
        return sessions[-1]

    yield session
    for opened in sessions:
        await opened.close()
