"""Waiting for what a test expects others to do: never for ever, since on a busy machine it may have been missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SECONDS = 60.0  # real ones, whatever the loop's clock says


async def until(true: Callable[[], object], every: float = 0.0, seconds: float = SECONDS) -> None:
    """Let others run until it is true, with a look `every` seconds. AssertionError where it is not within `seconds`."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"it was not so within {seconds:g} s"
        await asyncio.sleep(every)
