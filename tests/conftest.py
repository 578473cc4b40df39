"""What holds for all tests: one that hangs ends the run, and says where."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import pytest

LONGEST = 900.0  # seconds of one test; none takes nearly as long, nor those of reliability with MINUTES=5


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watched by a timer and not by a thread: no process with threads can enter a namespace. It ends the process, since
    an event loop keeps an exception to itself that is raised between its tasks."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        if capture := item.config.pluginmanager.getplugin("capturemanager"):
            capture.suspend_global_capture(in_=True)
        print(f"\n{item.nodeid} has not ended after {LONGEST:g} s", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(2)
        os._exit(1)

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
