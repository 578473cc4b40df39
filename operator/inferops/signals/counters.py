"""Numbers that only grow, as somebody tells them again and again -> what is new, safe against those that begin anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import sub

LATE = 180.0  # seconds for which numbers that went down, though nothing began anew, count as told late

Numbers = tuple[float, ...]


@dataclass(slots=True)
class Counters:
    """What was told last."""

    numbers: Numbers
    epoch: int = 0
    lower: float | None = None  # since when they are lower than they were

    def counted(self, told: Sequence[float]) -> Numbers:
        """What is new, by the word of who counts: a number that went down has begun anew, at 0."""
        gained = tuple(map(sub, told, self.numbers))
        if min(gained) < 0:
            gained = tuple(now - was if now >= was else now for was, now in zip(self.numbers, told, strict=True))
        self.numbers = tuple(told)
        return gained

    def seen(self, told: Sequence[float], epoch: int, at: float) -> Numbers:
        """What is new, where numbers are looked at through others, who may tell old ones after new ones.

        Numbers that went down have begun anew if their pod has, which `epoch` counts, and were told late otherwise. One
        that has begun anew is near 0, and one that was told late is near to what it was before; below half of that is
        taken for the former. What stays lower without a reason is gone on from after a while. `at`: in seconds.
        """
        pairs = list(zip(self.numbers, told, strict=True))
        lower = any(now < was for was, now in pairs)
        reset = epoch > self.epoch and any(2 * now < was for was, now in pairs)
        if lower and not reset:
            self.lower = at if self.lower is None else self.lower
            if at - self.lower >= LATE:
                self.numbers, self.epoch, self.lower = tuple(told), epoch, None
                return (0,) * len(pairs)
        else:
            self.lower = None
        anew = [reset and 2 * now < was for was, now in pairs]
        self.numbers = tuple(now if new else max(now, was) for new, (was, now) in zip(anew, pairs, strict=True))
        self.epoch = epoch if reset else self.epoch
        return tuple(now if new else max(now - was, 0) for new, (was, now) in zip(anew, pairs, strict=True))
