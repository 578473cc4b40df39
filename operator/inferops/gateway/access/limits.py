"""How many requests and tokens a minute each client of a service may have: token buckets, told the time.

A bucket holds one minute's worth and fills evenly. Tokens are known only once they are used, so they are paid
afterwards: a bucket may go into debt, and nothing is let through before the debt is paid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from inferops.gateway.table import Limits, ServiceKey

MINUTE = 60.0  # seconds
IDLE = 7200.0  # seconds after which a full bucket is forgotten: long requests still find theirs when they pay
SWEEP = 60.0  # seconds between two looks for idle ones
WHOLE = 1 - 1e-6  # a unit, but for what rounding takes from it
_NONE: Mapping[str, str] = MappingProxyType({})


class Verdict(NamedTuple):
    """Whether a request may go on."""

    allowed: bool
    retry_after: float = 0.0  # seconds until it may; 0 where it may now
    headers: Mapping[str, str] = _NONE  # x-ratelimit-…, as OpenAI's API has them


class Limiter:
    """The buckets of one gateway."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells monotonic seconds."""
        self._clock = clock
        self._clients: dict[tuple[ServiceKey, str], _Client] = {}
        self._swept = clock()

    def __len__(self) -> int:
        """Clients that are remembered."""
        return len(self._clients)

    def admit(self, key: ServiceKey, client: str, limits: Limits, share: int) -> Verdict:
        """Judge one request and, if it may go on, count it. `share`: how many gateways divide the limits."""
        if limits.requests_per_minute is None and limits.tokens_per_minute is None:
            self._clients.pop((key, client), None)
            return FREE
        now = self._clock()
        found = self._clients.get((key, client))
        if found is None:
            self._sweep(now)
            found = self._clients[(key, client)] = _Client()
        found.used = now
        requests = found.requests = _of(found.requests, "requests", limits.requests_per_minute, share, now)
        tokens = found.tokens = _of(found.tokens, "tokens", limits.tokens_per_minute, share, now)
        wait = requests.wait(now) if requests is not None else 0.0
        if tokens is not None and (longer := tokens.wait(now)) > wait:
            wait = longer
        headers: dict[str, str] = {}
        if requests is not None:
            if not wait:
                requests.level -= 1
            requests.tell(headers)
        if tokens is not None:
            tokens.tell(headers)
        return Verdict(not wait, wait, headers)

    def spend(self, key: ServiceKey, client: str, tokens: int) -> None:
        """Pay for the tokens of a request that was admitted, prompt and answer together."""
        found = self._clients.get((key, client))
        if found is not None and found.tokens is not None:
            found.used = self._clock()
            found.tokens.wait(found.used)
            found.tokens.level -= tokens

    def _sweep(self, now: float) -> None:
        """Forget who came long ago and owes nothing: a new bucket would be as full."""
        if now - self._swept < SWEEP:
            return
        self._swept = now
        for name in [name for name, client in self._clients.items() if client.forgettable(now)]:
            del self._clients[name]


class _Bucket:
    """So many units, at most `capacity`, that come back at `rate` a second."""

    __slots__ = (
        "_limit_header",
        "_limit_text",
        "_remaining",
        "_reset",
        "at",
        "capacity",
        "level",
        "limit",
        "rate",
        "share",
    )

    def __init__(self, what: str, limit: int, share: int) -> None:
        self._limit_header = f"x-ratelimit-limit-{what}"
        self._remaining = f"x-ratelimit-remaining-{what}"
        self._reset = f"x-ratelimit-reset-{what}"
        self.at = -math.inf
        self.level = math.inf
        self.set(limit, share)

    def set(self, limit: int, share: int) -> None:
        """Take on other limits: what is there stays, as far as it fits."""
        self.limit = limit  # a minute, of all gateways
        self._limit_text = str(limit)
        self.share = share
        self.rate = limit / share / MINUTE
        self.capacity = max(1.0, limit / share)
        self.level = min(self.level, self.capacity)

    def wait(self, now: float) -> float:
        """Bring it up to now; seconds until there is a whole unit. Clocks that stand still or go back fill nothing."""
        passed = now - self.at
        if passed > 0:
            self.at = now
            self.level += passed * self.rate
            if self.level > self.capacity:
                self.level = self.capacity
        return 0.0 if self.level >= WHOLE else (1 - self.level) / self.rate

    def tell(self, headers: dict[str, str]) -> None:
        """Add what clients read: of all gateways together, as far as this one knows."""
        left = int(self.level + 1 - WHOLE) * self.share if self.level > 0 else 0
        headers[self._limit_header] = self._limit_text
        headers[self._remaining] = str(left) if left < self.limit else self._limit_text
        headers[self._reset] = span((self.capacity - self.level) / self.rate)


@dataclass(slots=True)
class _Client:
    """The buckets of one client at one service."""

    requests: _Bucket | None = None
    tokens: _Bucket | None = None
    used: float = 0.0

    def forgettable(self, now: float) -> bool:
        if now - self.used < IDLE:
            return False
        buckets = [bucket for bucket in (self.requests, self.tokens) if bucket is not None]
        for bucket in buckets:
            bucket.wait(now)
        return all(bucket.level >= bucket.capacity for bucket in buckets)


def _of(bucket: _Bucket | None, what: str, limit: int | None, share: int, now: float) -> _Bucket | None:
    """The bucket under the limits of now. One that is new is full."""
    if limit is None:
        return None
    if bucket is None:
        return _Bucket(what, limit, share)
    if bucket.limit != limit or bucket.share != share:
        bucket.wait(now)  # what came back until now came at the old rate
        bucket.set(limit, share)
    return bucket


def span(seconds: float) -> str:
    """A duration as OpenAI's headers have it: `17ms`, `1.25s`, `6m0s`."""
    milliseconds = int(seconds * 1000 + (1 - 1e-6))  # rounded up
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{text}" if minutes else text


FREE = Verdict(True)
