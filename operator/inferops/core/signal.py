"""What was counted of a service's requests between two moments, by replica: what canaries are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from inferops.api.rollout import Metric

Source = Literal["gateway", "prometheus", "pods"]


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of one metric: `bad` of `total`. Never negative, and `bad` never above `total`."""

    bad: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaCounts:
    """What one replica did in a window. A metric that its source cannot tell of is left out."""

    pod: str
    revision: str
    counts: Mapping[Metric, Count]
    requests: int = 0  # all that it was sent, judged or not


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted in (since, until]. Counters that began anew within it count from 0."""

    since: datetime
    until: datetime
    source: Source
    replicas: tuple[ReplicaCounts, ...] = ()
    in_flight: Mapping[str, int] = field(default_factory=dict)  # requests there now by pod, where the source tells
