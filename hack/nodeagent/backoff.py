"""How long kubelet waits before it tries again, after a crash or a failed pull."""

from __future__ import annotations

FIRST, LONGEST = 10.0, 300.0  # seconds
FORGIVEN_AFTER = 600.0  # seconds of running after which a crash counts as the first again


class Backoff:
    """10 s, doubled each time up to 5 min. A container's first restart does not wait at all."""

    def __init__(self) -> None:
        self._failures = 0

    def after_pull(self) -> float:
        """Seconds to wait after another failed pull."""
        self._failures += 1
        return _doubled(self._failures)

    def after_crash(self, ran: float) -> float:
        """Seconds to wait after a container ended that had run for `ran` seconds."""
        if ran >= FORGIVEN_AFTER:
            self._failures = 0
        self._failures += 1
        return _doubled(self._failures - 1) if self._failures > 1 else 0.0

    def reset(self) -> None:
        """Forget all failures."""
        self._failures = 0


def _doubled(failures: int) -> float:
    return min(FIRST * 2.0 ** min(failures - 1, 16), LONGEST)
