"""A simulated engine as a server: the command line, the API, the metrics, the start and the end of the real one."""

from __future__ import annotations

from inferops.simulate.model import Accelerator
from inferops.simulate.server.engine import Engine, check

__all__ = ["Accelerator", "Engine", "check"]
