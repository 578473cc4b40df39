"""OCM's agent of a managed cluster over HTTP, in a thread: it fetches works from the hub and applies what they hold."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nodeagent.client import MERGE, ApiError, Client, load_kubeconfig
from unit.controller.workagent import FINALIZER, answer, manifest_of, strategy_of

APPLY = "application/apply-patch+yaml"
EVERY = 0.5  # seconds between two looks
PLURALS = {"InferenceService": "inferenceservices", "InferenceCluster": "inferenceclusters"}


class Agent:
    """As a context manager it runs; `errors` are what it did not expect."""

    def __init__(self, cluster: str, hub: Path, member: Path) -> None:
        """`hub` and `member`: kubeconfigs."""
        self.errors: list[str] = []
        self._works = f"/apis/work.open-cluster-management.io/v1/namespaces/{cluster}/manifestworks"
        self._ends = hub, member
        self._done = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(10)

    async def _run(self) -> None:
        async with Client(load_kubeconfig(self._ends[0])) as hub, Client(load_kubeconfig(self._ends[1])) as member:
            while not self._done.is_set():
                for work in (await hub.get(self._works))["items"]:
                    try:
                        await self._sync(hub, member, work)
                    except ApiError as error:
                        if error.status not in (404, 409):  # somebody was faster; the next look is soon
                            self.errors.append(str(error))
                await asyncio.sleep(EVERY)

    async def _sync(self, hub: Client, member: Client, work: dict[str, Any]) -> None:
        meta, manifest = work["metadata"], manifest_of(work)
        at, brings = f"{self._works}/{meta['name']}", strategy_of(work) == "ServerSideApply"
        group = f"/apis/{manifest['apiVersion']}/namespaces/{manifest['metadata']['namespace']}"
        path = f"{group}/{PLURALS[manifest['kind']]}/{manifest['metadata']['name']}"
        if meta.get("deletionTimestamp"):
            if brings:
                await member.delete(path)
                with suppress(ApiError):
                    await member.get(path)
                    return
            await hub.patch(at, {"metadata": {"finalizers": None}}, MERGE)
            return
        if FINALIZER not in meta.get("finalizers", ()):
            await hub.patch(at, {"metadata": {"finalizers": [FINALIZER]}}, MERGE)
            return
        error = await self._apply(member, work, path) if brings else ""
        try:
            live = await member.get(path)
        except ApiError:
            live = None
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        before = work.get("status") or {}
        after = json.loads(json.dumps(answer(work, live, error, now)).replace(now, _since(before) or now))
        if after != before:
            await hub.patch(f"{at}/status", {"status": after}, MERGE)

    async def _apply(self, member: Client, work: dict[str, Any], path: str) -> str:
        manager = work["spec"]["manifestConfigs"][0]["updateStrategy"]["serverSideApply"]["fieldManager"]
        try:
            await member.patch(f"{path}?fieldManager={manager}&force=true", manifest_of(work), APPLY)
        except ApiError as error:
            return str(error)
        return ""


def _since(status: dict[str, Any]) -> str:
    """When its conditions changed: while nothing else does, neither does that."""
    return next((str(each["lastTransitionTime"]) for each in status.get("conditions", ())), "")
