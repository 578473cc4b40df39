"""The logs of our processes: one form, and a level by its name."""

from __future__ import annotations

import logging
import sys


def set_up(name: str) -> int | None:
    """Log from the level of this name on. Returns the level; None where there is no such level, which is said."""
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        print(f"--log-level: {name!r} is none of debug, info, warning, error", file=sys.stderr)
        return None
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    return level
