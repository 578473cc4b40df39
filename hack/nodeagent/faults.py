"""Faults that people order by annotations of a pod: each value of an annotation strikes once."""

from __future__ import annotations

from dataclasses import dataclass

from nodeagent.client import Json

CRASH = "bench.inferops.dev/crash"  # "1", "2:137" (exit code after the colon), or "always" for every start
HANG = "bench.inferops.dev/hang"
ALWAYS = "always"
DEFAULT_CODE = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen to a pod's first container: end with `code`, or with None hang."""

    code: int | None


class Orders:
    """Remembers which orders of one pod were carried out."""

    def __init__(self) -> None:
        self._done: dict[str, str] = {}

    def due(self, pod: Json, *, starting: bool = False) -> list[Fault]:
        """Faults to strike now. `always` strikes whenever the process is `starting`, others once a value."""
        annotations = pod["metadata"].get("annotations") or {}
        faults = []
        for key in (CRASH, HANG):
            value = annotations.get(key)
            if not value or (self._done.get(key) == value and not (starting and _always(value))):
                continue
            self._done[key] = value
            faults.append(Fault(_code(value) if key == CRASH else None))
        return faults


def _always(value: str) -> bool:
    return value.partition(":")[0] == ALWAYS


def _code(value: str) -> int:
    code = value.partition(":")[2]
    return int(code) if code.isdigit() else DEFAULT_CODE
