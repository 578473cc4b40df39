"""The bench's engines keep their metrics back while they are told to, and answer requests all the same."""

from __future__ import annotations

import asyncio

import aiohttp

from inferops.simulate.server.engine import Engine
from nodeagent.engine import Metrics, accelerator_named


async def test_metrics_are_away_and_back_and_requests_get_on() -> None:
    metrics = Metrics()
    argv = ["vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct"]
    engine = Engine(
        "vllm", argv, {}, accelerator_named("nvidia-h100-80gb"), 1, load_seconds=0.0, middlewares=(metrics.pass_on,)
    )
    await engine.start("127.0.0.1", 0)
    await asyncio.wait_for(engine.ready.wait(), 30)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{engine.port}") as session:

            async def status(path: str) -> int:
                async with session.get(path) as answer:
                    await answer.read()
                    return answer.status

            assert [await status(path) for path in ("/metrics", "/health", "/v1/models")] == [200, 200, 200]
            metrics.away()
            assert [await status(path) for path in ("/metrics", "/health", "/v1/models")] == [503, 200, 200]
            metrics.back()
            assert await status("/metrics") == 200
    finally:
        engine.crash()
        await engine.exited
