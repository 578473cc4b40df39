"""What webhooks and Jobs say to the gates of rollouts.

A webhook is asked until it passes or fails, for as long as its gate is wanted; what it said is kept for as long. All
that a rollout must remember stands in its status: after a restart those that are still wanted are asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from inferops.api.formats import seconds
from inferops.api.resources import InferenceService
from inferops.api.rollout import WebhookGate
from inferops.controller.gatejobs import GateJobs
from inferops.controller.observe import record_of
from inferops.controller.store import Key, Store
from inferops.controller.webhookhosts import OPTION, Hosts
from inferops.controller.webhooks import NoAnswer, Posting
from inferops.core.observation import GateView
from inferops.core.revision import revision_name
from inferops.core.rollout.view import GateWanted
from inferops.kube.client import Kube
from inferops.kube.kinds import RECORD
from inferops.render.gatejob import Compared, compared
from inferops.render.record import Record

log = logging.getLogger(__name__)

LONGEST = 30.0  # seconds of one call
AGAIN = 10.0  # seconds until a webhook that has not answered yet is asked again
SOONEST, LATEST = 1.0, 300.0  # what it may say of that itself
CALLS = 64  # at a time
CALLS_OF_ONE = 16  # of one namespace, so that endpoints which are silent hold up no other namespace's


@dataclass(frozen=True, slots=True)
class Question:
    """What a webhook is sent, and where."""

    url: str
    timeout: float
    body: Mapping[str, Any]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


@dataclass(slots=True)
class Asked:
    """A webhook that was asked."""

    question: Question
    view: GateView
    task: asyncio.Task[None] | None = None  # None: it is not called at all


@dataclass(slots=True)
class Slots:
    """Room for so many calls at a time over all, and so many of one namespace."""

    everybody: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS))
    namespaces: dict[str, tuple[asyncio.Semaphore, int]] = field(default_factory=dict)  # with how many use it

    @asynccontextmanager
    async def of(self, namespace: str) -> AsyncIterator[None]:
        own, users = self.namespaces.get(namespace, (asyncio.Semaphore(CALLS_OF_ONE), 0))
        self.namespaces[namespace] = own, users + 1
        try:
            async with own, self.everybody:
                yield
        finally:
            own, users = self.namespaces.pop(namespace)
            if users > 1:
                self.namespaces[namespace] = own, users - 1


class Gates:
    """The gates of all services. `ask` is for the leader alone; call `close` at its end."""

    def __init__(
        self, kube: Kube, store: Store, add: Callable[[Key, float], None], poster: Posting, hosts: Hosts
    ) -> None:
        """`add`: asks for a run of a service in so many seconds. `hosts`: where users' webhooks may be. `poster` must
        see to the addresses that their names lead to."""
        self._store, self._add, self._poster, self._hosts = store, add, poster, hosts
        self._jobs = GateJobs(kube, store, add, asyncio.get_running_loop().time)
        self._asked: dict[Key, dict[str, Asked]] = {}
        self._slots = Slots()

    def views(self, key: Key) -> Mapping[str, GateView]:
        """What was said so far, by the names by which gates are asked."""
        webhooks = {name: asked.view for name, asked in self._asked.get(key, {}).items()}
        return {**webhooks, **self._jobs.views(key)}

    async def ask(self, key: Key, service: InferenceService, wanted: tuple[GateWanted, ...]) -> None:
        """Ask the gates that are `wanted` now, keep asking those that have not said, and stop asking all others.

        Cheap where nothing changes. Raises KubeError and Fenced where a Job cannot be made or stopped; then the same
        call may be repeated.
        """

        def told(gate: GateWanted) -> Compared:
            hashes = gate.canary, gate.stable
            canary, stable = ((hash_, self._record(key, hash_)) for hash_ in hashes)
            return compared(service, canary, stable)

        webhooks = {each.name: (each, each.gate.webhook) for each in wanted if each.gate.webhook is not None}
        for name in self._asked.get(key, {}).keys() - webhooks.keys():
            self._stop(key, name)
        for name, (each, webhook) in webhooks.items():
            self._start(key, name, question_of(key, each, webhook, told(each)))
        await self._jobs.ask(key, service, [each for each in wanted if each.gate.job is not None], told)

    def forget(self, key: Key) -> None:
        """The service is gone."""
        for name in list(self._asked.get(key, {})):
            self._stop(key, name)
        self._jobs.forget(key)

    async def close(self) -> None:
        """Stop asking."""
        tasks = [asked.task for each in self._asked.values() for asked in each.values() if asked.task is not None]
        for key in list(self._asked):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _record(self, key: Key, hash_: str) -> Record | None:
        child = self._store.children(key, RECORD).get(revision_name(key.name, hash_))
        found = record_of(child, key, hash_) if child is not None else None
        return found[0] if found is not None else None

    def _start(self, key: Key, name: str, question: Question) -> None:
        before = self._asked.get(key, {}).get(name)
        if before is not None and (before.question == question or before.view.verdict != "Waiting"):
            return
        self._stop(key, name)
        asked = Asked(question, GateView("Waiting", f"{question.host} was asked and has not answered"))
        self._asked.setdefault(key, {})[name] = asked
        if self._hosts.allows(question.host):
            asked.task = asyncio.create_task(self._keep_asking(key, asked), name=f"gate {key.namespace}/{key.name}")
        else:
            asked.view = GateView(
                "Waiting", f"{question.host} is not asked: an admin must allow it by the operator's option {OPTION}"
            )
            self._add(key, 0.0)

    def _stop(self, key: Key, name: str) -> None:
        asked = self._asked.get(key, {}).pop(name, None)
        if asked is not None and asked.task is not None:
            asked.task.cancel()
        if key in self._asked and not self._asked[key]:
            del self._asked[key]

    async def _keep_asking(self, key: Key, asked: Asked) -> None:
        """Ask until there is a verdict."""
        while True:
            async with self._slots.of(key.namespace):
                view, wait = await self._call(asked.question)
            if view != asked.view:
                asked.view = view
                self._add(key, 0.0)
            if view.verdict != "Waiting":
                return
            await asyncio.sleep(wait)

    async def _call(self, question: Question) -> tuple[GateView, float]:
        """One call: what it says, and where that is nothing, in how many seconds to ask again."""
        host = question.host
        try:
            answer = await self._poster.post(question.url, question.body, question.timeout)
        except NoAnswer as error:
            return GateView("Waiting", f"{host}: {error}; it is asked again"), AGAIN
        except Exception:  # else its gate would wait without anybody asking
            log.exception("gate at %s: unexpected error", host)
            return GateView("Waiting", f"{host}: the operator cannot ask it, as its log tells; it tries again"), AGAIN
        status = f"{host} answers {answer.status}"
        told = f"{status}: {answer.said}" if answer.said else status
        if answer.good:
            return GateView("Passed", told), 0.0
        if answer.passing:
            wait = AGAIN if answer.retry_after is None else min(max(answer.retry_after, SOONEST), LATEST)
            return GateView("Waiting", f"{told}; it is asked again"), wait
        moved = " (redirects are not followed)" if 300 <= answer.status < 400 else ""
        return GateView("Failed", told + moved), 0.0


def question_of(key: Key, wanted: GateWanted, webhook: WebhookGate, told: Compared) -> Question:
    """What the webhook of a gate is sent."""
    return Question(
        webhook.url,
        min(seconds(webhook.timeout), LONGEST),
        {
            "service": key.name,
            "namespace": key.namespace,
            "rollout": wanted.name.removesuffix(f"-{wanted.weight}-{wanted.gate.name}"),
            "gate": wanted.gate.name,
            "weight": wanted.weight,
            "canary": wanted.canary,
            "stable": wanted.stable,
            "canaryUrl": told.canary_url,
            "stableUrl": told.stable_url,
            "model": told.model,
        },
    )
