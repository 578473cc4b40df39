"""Whether anybody else used the cores while something was measured, so that it can be measured again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness import cpu_seconds

ALLOWED = 0.03  # of the cores' time, of others: below that, all is quiet
TRIES = 4
PAUSE = 0.5  # seconds between two
Result = TypeVar("Result")


@dataclass(slots=True)
class Quiet:
    """Repeats what others disturbed, and keeps of all tries the one that they disturbed least."""

    cores: Sequence[int]
    processes: Iterable[int]  # ids of those that are ours
    tries: int = 0
    shares: list[float] = field(default_factory=list)  # of the cores' time, of others, of each that is kept

    def measured(self, work: Callable[[], Result], pause: Callable[[float], None] = time.sleep) -> Result:
        """What `work` returned when it was quiet."""
        kept: list[tuple[float, Result]] = []
        for _ in range(TRIES):
            before = self._now()
            result = work()
            self.tries += 1
            kept.append((others(before, self._now()), result))
            if kept[-1][0] <= ALLOWED:
                break
            pause(PAUSE)
        share, result = min(kept, key=lambda each: each[0])
        self.shares.append(share)
        return result

    def _now(self) -> tuple[float, float, float]:
        own = sum(cpu_seconds(each) for each in self.processes)
        return time.monotonic() * len(self.cores), busy(Path("/proc/stat").read_text(), self.cores), own

    def told(self) -> str:
        """What is to be said of it under the figures."""
        worst = max(self.shares, default=0.0)
        again = self.tries - len(self.shares)
        loud = sum(share > ALLOWED for share in self.shares)
        return (
            f"{len(self.shares)} measurements, {again} more were repeated because others used the cores; of those kept "
            f"others took up to {100 * worst:.0f} %, and more than {100 * ALLOWED:.0f} % in {loud}"
        )


def others(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    """The share of the cores' time that was spent on others. Each is time, busy time and our own, in seconds."""
    whole, used, own = (end - start for start, end in zip(before, after, strict=True))
    return max(0.0, used - own) / whole


def busy(stat: str, cores: Sequence[int]) -> float:
    """Seconds in which those cores did anything, or were kept from it by the machine below, from /proc/stat."""
    names = {f"cpu{core}" for core in cores}
    found = 0
    for line in stat.splitlines():
        name, *numbers = line.split()
        if name in names:
            user, nice, system, _, _, interrupts, soft, stolen, *_ = map(int, numbers)
            found += user + nice + system + interrupts + soft + stolen
    return found / os.sysconf("SC_CLK_TCK")
