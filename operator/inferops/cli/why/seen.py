"""What the policies explain a service from, frozen at one moment, and what an explanation is. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Condition
from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.api.resources import InferenceService
from inferops.cli.capacity import Capacity
from inferops.cli.events import Told
from inferops.cli.lines import program
from inferops.core.observation import PodView
from inferops.core.quotas import Quota


@dataclass(frozen=True, slots=True)
class Seen:
    """One service and what is around it. None: it may not be read."""

    service: InferenceService
    now: datetime
    pods: tuple[PodView, ...] = ()
    events: tuple[Told, ...] = ()
    capacity: Capacity | None = None
    quotas: tuple[Quota, ...] = ()
    accelerators: Mapping[str, AcceleratorSpec] = field(default_factory=dict[str, AcceleratorSpec])
    clusters: Mapping[str, InferenceClusterStatus] | None = None
    cluster: str = ""  # the one that is asked about

    def condition(self, kind: str) -> Condition | None:
        return next((each for each in self.service.status.conditions if each.type == kind), None)

    @property
    def where(self) -> str:
        """What a command names the service by."""
        return f"{self.service.metadata.name} -n {self.service.metadata.namespace}"

    def run(self, command: str, more: str = "") -> str:
        """A command of ours about the service, to be typed."""
        return f"`{program()} {command} {self.where}{f' {more}' if more else ''}`"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reason why a service is as it is."""

    verdict: str  # a sentence
    evidence: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    wrong: bool = True  # whether it is not as asked for; else it only explains
    enough: bool = False  # not wrong, and all there is to say of a service that is not Ready


Policy = Callable[[Seen], Explanation | None]


def stated(*sentences: str) -> tuple[str, ...]:
    """Those that say something, each once."""
    return tuple(dict.fromkeys(each for each in sentences if each))
