"""An older state of the cluster comes back, as from a backup of etcd: what is kept in memory is newer, and wrong."""

from __future__ import annotations

import asyncio

import pytest

from inferops.catalogue import accelerators, runtimes
from inferops.controller import watch
from inferops.controller.queue import Queue
from inferops.controller.store import Key, Store
from inferops.kube.kinds import INFERENCE_SERVICE
from unit.controller.building import service
from unit.controller.fakekube import Fake


async def sweeper(kube: Fake, version: int) -> watch.Sweeper:
    """One whose store has a service as of a version."""
    store = Store(accelerators(), runtimes())
    queue: Queue[Key] = Queue(asyncio.get_running_loop().time)
    raw = service("llama")
    store.put(INFERENCE_SERVICE, {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(version)}})
    return watch.Sweeper(kube, store, queue)


async def test_an_older_state_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SWEEP_SETTLE", 0.0)
    kube = Fake()
    kube.version = 100
    running = await sweeper(kube, 2000)
    running.listed(INFERENCE_SERVICE.path(""))
    with pytest.raises(watch.Restored, match="version 100, and 2000 was seen"):
        await asyncio.wait_for(running.run(), 5)


@pytest.mark.parametrize("version", [0, 2000, 2001])
async def test_a_state_that_is_as_new_does_not(version: int) -> None:
    """0: who answers tells no version."""
    kube = Fake()
    kube.version = version
    await (await sweeper(kube, 2000)).sweep(INFERENCE_SERVICE)
