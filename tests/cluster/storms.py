"""The API server has too much to do, and says so: how often it is asked meanwhile, how soon all is well after it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from cluster.faultproxy import Entry, Fault, FaultProxy
from cluster.services import Say, Services
from harness import OperatorProcess

MANY = [f"model-{number}" for number in range(8)]
AFTER = 60.0  # seconds in which all is well again
A_SECOND = 40.0  # requests, of one operator with so few services: 20 kinds are watched, 8 keys are tried again
NOT_LEASES = "^(?!.*/leases/)"


async def storm(
    services: Services, proxy: FaultProxy, operator: OperatorProcess, seconds: float, share: float, say: Say
) -> None:
    """For `seconds` a share of all requests but for the Lease is answered 429, while services are made and changed."""
    began = time.monotonic()
    with proxy.fault(Fault(path=NOT_LEASES, status=429, retry_after=1, share=share)) as refused:
        proxy.cut_watches()
        await services.create(*MANY)
        await asyncio.sleep(seconds / 2)
        await asyncio.gather(*(services.change(name, {"model": {"revision": "v2"}}) for name in MANY))
        await asyncio.sleep(seconds / 2)
    ended = time.monotonic()
    await services.ready(*MANY)
    await services.one_pod_each(*MANY)
    await services.whole(*MANY)
    took, asked = time.monotonic() - ended, [each for each in tuple(proxy.journal) if began <= each.at <= ended]
    rate = len(asked) / (ended - began)
    say(f"{share:.0%} answered 429 for {ended - began:.0f} s: {rate:.1f} requests a second, Ready {took:.1f} s after")
    assert refused.hits.total() > 10
    assert rate <= A_SECOND, hottest(asked)
    assert took <= AFTER
    assert operator.process.poll() is None, operator.tail()
    assert 'result="bug"' not in operator.get("/metrics")[1], operator.tail()


def hottest(asked: list[Entry]) -> str:
    """What was asked most."""
    return str(Counter(f"{each.method} {each.path} {each.status}" for each in asked).most_common(8))
