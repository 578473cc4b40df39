"""Gates with a store, an API server in memory and an endpoint that answers as a test has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from inferops.api.resources import InferenceService
from inferops.api.rollout import Gate
from inferops.api.rolloutstatus import RolloutStatus
from inferops.catalogue import accelerators, runtimes
from inferops.controller.gates import Gates
from inferops.controller.store import Key, Store
from inferops.controller.webhookhosts import Hosts
from inferops.controller.webhooks import Answer
from inferops.core.rollout.view import GateWanted, gate_name
from inferops.kube.kinds import INFERENCE_SERVICE, JOB, RECORD
from inferops.render.record import render_record
from unit.controller.building import NAMESPACE, UID, raw
from unit.controller.fakekube import Fake
from unit.render.building import rendered

LLAMA, QWEN = (Key("InferenceService", NAMESPACE, name) for name in ("llama", "qwen"))
SINCE = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
STARTED = "2025-11-03T12:00:00Z"
RUN = "20251103t120000z"
SPEC = {"model": {"uri": "hf://Qwen/Qwen3-8B", "name": "qwen3-8b"}, "accelerators": [{"type": "nvidia-l4"}]}


def service(key: Key = LLAMA) -> InferenceService:
    return InferenceService.model_validate(
        {"metadata": {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}, "spec": SPEC}
    )


RECORDED = rendered(service())
CANARY = RECORDED.spec.hash
STABLE = "bbbbbbbbbb"


def wanted(gate: Mapping[str, Any], weight: int = 5, *, since: datetime = SINCE, canary: str = CANARY) -> GateWanted:
    parsed = Gate.model_validate({"name": "quality", "at": [weight], **gate})
    name = gate_name(RolloutStatus(canary=canary, started=STARTED), weight, parsed.name)
    return GateWanted(name, parsed, canary, STABLE, weight, since)


def hook(url: str = "http://judge.ml.svc/canary", name: str = "quality", **more: Any) -> GateWanted:
    return wanted({"name": name, "webhook": {"url": url, **more}})


def job(name: str = "quality", since: datetime = SINCE, wait: str = "1h", **more: Any) -> GateWanted:
    return wanted({"name": name, "job": {"image": "eval:1", **more}, "wait": wait}, since=since)


@dataclass
class Endpoint:
    """Answers every call after `takes` seconds, with what `reply` says to it."""

    reply: Callable[[str], Answer | Exception] = lambda url: Answer(200)
    takes: float = 0.0
    asked: list[tuple[float, str]] = field(default_factory=list)
    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    open: int = 0
    most: int = 0

    async def post(self, url: str, body: Mapping[str, Any], timeout: float) -> Answer:
        self.asked.append((asyncio.get_running_loop().time(), url))
        self.bodies.append(body)
        self.timeouts.append(timeout)
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.open -= 1
        reply = self.reply(url)
        if isinstance(reply, Exception):
            raise reply
        return reply


class Gated:
    """Gates, and all that they work with. `asks` holds which services are to run again, and in how many seconds."""

    def __init__(self, hosts: tuple[str, ...] = ("*.svc",), fake: Fake | None = None) -> None:
        self.fake = fake or Fake()
        self.store = Store(accelerators(), runtimes())
        self.endpoint = Endpoint()
        self.asks: list[tuple[Key, float]] = []
        if fake is None:
            self.fake.put(INFERENCE_SERVICE, raw(INFERENCE_SERVICE, "llama", metadata={"uid": UID}, spec=SPEC))
            self.fake.put(RECORD, render_record(service(), CANARY, 1, RECORDED))
        self.gates = Gates(self.fake, self.store, self._add, self.endpoint, Hosts(hosts))
        self.delivered = 0
        self.deliver()

    def _add(self, key: Key, delay: float = 0.0) -> None:
        self.asks.append((key, delay))

    def deliver(self) -> None:
        """The watches catch up."""
        for event, kind, found in self.fake.changes[self.delivered :]:
            meta = found["metadata"]
            if event == "DELETED":
                self.store.remove(kind, meta["namespace"], meta["name"], int(meta["resourceVersion"]))
            else:
                self.store.put(kind, found)
        self.delivered = len(self.fake.changes)

    async def ask(self, *gates: GateWanted, key: Key = LLAMA) -> None:
        await self.gates.ask(key, service(key), gates)
        self.deliver()

    def said(self, gate: GateWanted, key: Key = LLAMA) -> tuple[str, str]:
        view = self.gates.views(key)[gate.name]
        return view.verdict, view.message

    def jobs(self) -> list[str]:
        return sorted(found["metadata"]["name"] for found in self.fake.all(JOB))
