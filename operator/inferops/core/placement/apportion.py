"""Seats by Webster's method: so many for each, in proportion to weights and never beyond what each can take."""

from __future__ import annotations

import heapq
from collections.abc import Mapping


def seats(total: int, caps: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    """Divide `total` seats by `weights`, to none more than its cap: to the largest weight/(2 seats + 1) each time.

    House-monotone: a seat more takes none from anybody. Of equal claims the first by name comes first. Who has no
    weight gets seats only after all others are full. Seats for which nobody has room are left over.
    """
    given = dict.fromkeys(caps, 0)
    claims = [(-max(weights.get(name, 0.0), 0.0), name) for name, cap in caps.items() if cap > 0]
    heapq.heapify(claims)
    for _ in range(total):
        if not claims:
            break
        _, name = claims[0]
        given[name] += 1
        if given[name] == caps[name]:
            heapq.heappop(claims)
        else:
            heapq.heapreplace(claims, (-claim(weights.get(name, 0.0), given[name]), name))
    return given


def claim(weight: float, seated: int) -> float:
    """What one who has `seated` seats puts forward for the next: the largest gets it."""
    return max(weight, 0.0) / (2 * seated + 1)
