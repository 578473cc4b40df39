"""Who asks for counts of whose requests, and the sources that have to be asked for them: Prometheus and the pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Literal, Protocol

from inferops.controller.store import Key
from inferops.core.observation import PodView
from inferops.core.signal import Source
from inferops.runtimes.base import Metrics
from inferops.signals.pods import Pods
from inferops.signals.reading import Reading, Target

log = logging.getLogger(__name__)

POLL = 5.0  # seconds between two looks at sources that do not tell by themselves
REST = 1.0  # and at least between the end of one and the next
SOON = "the first counts are about to come"
ORDER: tuple[Source, ...] = ("gateway", "prometheus", "pods")


@dataclass(frozen=True, slots=True)
class Ask:
    """Whose requests are to be counted, and what is too slow."""

    source: Literal["auto", "gateway", "prometheus", "pods"] = "auto"
    pods: Mapping[str, PodView] = field(default_factory=dict[str, PodView])  # by name, of all revisions
    engine: Metrics | None = None  # how its metrics are called
    ports: Mapping[str, int] = field(default_factory=dict[str, int])  # of its container, by name
    ttft: float | None = None  # what the SLO allows, in seconds
    tpot: float | None = None
    queues: bool = False  # whether it matters how many wait within the engines


class Asked(Protocol):
    """A source that tells when it is asked. A text says why it does not."""

    async def read(self, targets: Mapping[Key, Target]) -> Mapping[Key, Reading | str]: ...

    async def close(self) -> None: ...


async def follow(prometheus: str | None, ask: Callable[[Source, Asked], Awaitable[None]]) -> None:
    """Have pods and Prometheus, where there is one at this URL, asked again and again, until cancelled."""
    async with AsyncExitStack() as stack:
        pods = Pods()
        stack.push_async_callback(pods.close)
        loops = [_again("pods", pods, ask)]
        if prometheus is not None:
            from inferops.signals.prometheus import Prometheus  # what it needs costs memory

            server = Prometheus(prometheus)
            stack.push_async_callback(server.close)
            loops.append(_again("prometheus", server, ask))
        async with asyncio.TaskGroup() as group:
            for each in loops:
                group.create_task(each)


async def answers(source: Source, asked: Asked, targets: Mapping[Key, Target]) -> Mapping[Key, Reading | str]:
    """What a source tells of services, each of which it has an answer for where it breaks, too."""
    try:
        return await asked.read(targets)
    except Exception:  # one answer that nobody thought of must not end all counting
        log.exception("%s cannot be read", source)
        return dict.fromkeys(targets, f"what {source} tells cannot be read")


async def _again(source: Source, asked: Asked, ask: Callable[[Source, Asked], Awaitable[None]]) -> None:
    time = asyncio.get_running_loop().time
    while True:
        began = time()
        await ask(source, asked)
        await asyncio.sleep(max(REST, began + POLL - time()))


def target_of(key: Key, ask: Ask, revisions: int, load: bool = False) -> Target | str:
    """Where a service's engines tell their metrics, or why they do not: pods of so many revisions must be there.

    `load`: whether all is wanted that scaling goes by."""
    if ask.engine is None or ask.engine.endpoint.port not in ask.ports:
        return "its engine has no metrics that are known"
    there = {pod: view for pod, view in ask.pods.items() if view.address and view.started and not view.worker}
    if len({view.revision for view in there.values()}) < revisions:
        return "no pods of two revisions have started" if revisions > 1 else "none of its pods has started"
    addresses = {pod: view.address for pod, view in there.items()}
    port = ask.ports[ask.engine.endpoint.port]
    return Target(key.namespace, addresses, ask.engine, port, ask.ttft, ask.tpot, load)
