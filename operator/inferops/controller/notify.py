"""Tells people of rollouts over HTTP: as JSON, or as chat services take it. Best effort, and never in anybody's way.

Each receiver has a short queue of its own, so that one which is away delays no other. The URLs are secrets: whoever
knows one may post there. They stand in no log and in no error.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from inferops.controller.store import Key
from inferops.controller.webhooks import NoAnswer, Posting
from inferops.core.event import Event

log = logging.getLogger(__name__)

Form = Literal["json", "slack"]
QUEUED = 256  # messages to one receiver; the oldest makes room for the newest
CALL = 10.0  # seconds of one call
WAITS = (1.0, 3.0, 9.0)  # seconds until a call that may go better is made again
PATIENCE = 30.0  # seconds for all of them
AGAIN = 60.0  # seconds in which the same is not said again
REMEMBERED = 4096  # messages that were said
TEXT = 2000  # characters


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom to tell, and how."""

    form: Form
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """Something that happened to a service."""

    namespace: str
    service: str
    reason: str
    message: str
    warning: bool
    time: datetime


def receivers_in(texts: Iterable[str]) -> tuple[Receiver, ...]:
    """The receivers in texts such as `slack=https://…`. Raises ValueError on anything else, without telling it."""
    found = []
    for number, text in enumerate(texts, 1):
        form, _, url = text.partition("=")
        if form not in get_args(Form) or not _web(url):
            # Not shown, not even as the cause of another error.
            raise ValueError(f"receiver {number} is neither json=URL nor slack=URL with an http or https URL")
        found.append(Receiver("json" if form == "json" else "slack", url))
    return tuple(found)


def _web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


class Notifier:
    """Queues what happened, and tells it while `run` runs, which is for the leader alone."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        poster: Posting,
        now: Callable[[], datetime],
        counted: Callable[[str, str], None] = lambda form, result: None,
    ) -> None:
        """`counted`: told of each message's form and what came of it: sent, failed or dropped."""
        self._poster, self._now, self._counted = poster, now, counted
        self._boxes = [_Box(number, receiver) for number, receiver in enumerate(receivers, 1)]
        self._said: OrderedDict[tuple[Key, Event], datetime] = OrderedDict()

    def notify(self, key: Key, events: Iterable[Event]) -> None:
        """Queue the events of rollouts. Returns at once."""
        if not self._boxes:
            return
        for event in events:
            if event.rollout and self._news(key, event):
                message = Message(key.namespace, key.name, event.reason, event.message, event.warning, self._now())
                for box in self._boxes:
                    if box.put(message) > QUEUED:
                        self._drop(box)

    async def run(self) -> None:
        """Tell what is queued, until cancelled."""
        if not self._boxes:
            await asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(self._tell(box), name=f"notify {box.number}") for box in self._boxes]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self, patience: float) -> None:
        """Let `run` tell what is still queued, for at most `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for box in self._boxes:
                    await box.idle.wait()

    def _news(self, key: Key, event: Event) -> bool:
        """Whether this was not said a moment ago."""
        now, what = self._now(), (key, event)
        before = self._said.get(what)
        if before is not None and 0 <= (now - before).total_seconds() < AGAIN:
            return False
        self._said[what] = now
        self._said.move_to_end(what)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        return True

    async def _tell(self, box: _Box) -> None:
        while True:
            message = await box.next()
            try:
                async with asyncio.timeout(PATIENCE):
                    why = await self._send(box.receiver, message)
            except TimeoutError:
                why = f"not within {PATIENCE:g} s"
            except Exception as error:  # the next message is to be told all the same
                why = type(error).__name__  # and no more, since its text may tell the URL
            if why:
                what = message.reason, message.namespace, message.service
                log.warning("receiver %d (%s) was not told %s of %s/%s: %s", box.number, box.receiver.form, *what, why)
            self._counted(box.receiver.form, "failed" if why else "sent")

    async def _send(self, receiver: Receiver, message: Message) -> str:
        """Send one message, again where that may help. Returns why it was not taken; empty: it was."""
        body = FORMS[receiver.form](message)
        for wait in (*WAITS, None):
            after: float | None = None
            try:
                answer = await self._poster.post(receiver.url, body, CALL)
                if answer.good:
                    return ""
                why, after = f"it answers {answer.status}", answer.retry_after
                if not answer.passing:
                    return why
            except NoAnswer as error:
                why = str(error)
            if wait is None:
                return why
            await asyncio.sleep(max(wait, after or 0.0))
        raise AssertionError("the last try returns")

    def _drop(self, box: _Box) -> None:
        message = box.drop()
        what = message.reason, message.namespace, message.service
        log.warning("receiver %d (%s) is too slow: %s of %s/%s is dropped", box.number, box.receiver.form, *what)
        self._counted(box.receiver.form, "dropped")


class _Box:
    """The queue of one receiver."""

    def __init__(self, number: int, receiver: Receiver) -> None:
        self.number, self.receiver = number, receiver
        self.idle = asyncio.Event()  # nothing is queued, and nothing on its way
        self.idle.set()
        self._messages: deque[Message] = deque()
        self._filled = asyncio.Event()

    def put(self, message: Message) -> int:
        """Queue a message. Returns how many there are."""
        self._messages.append(message)
        self._filled.set()
        self.idle.clear()
        return len(self._messages)

    def drop(self) -> Message:
        """Take the oldest off."""
        return self._messages.popleft()

    async def next(self) -> Message:
        """The oldest. Whoever asks for it has dealt with the one before."""
        if not self._messages:
            self.idle.set()
            self._filled.clear()
            await self._filled.wait()
        return self._messages.popleft()


def as_json(message: Message) -> Mapping[str, Any]:
    """All that there is to tell."""
    return {
        "service": message.service,
        "namespace": message.namespace,
        "reason": message.reason,
        "warning": message.warning,
        "message": message.message,
        "time": message.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def as_slack(message: Message) -> Mapping[str, Any]:
    """One line for people, in which nothing that users wrote becomes a link or calls somebody."""
    sign = ":warning: " if message.warning else ""
    told = f"{message.reason}: {message.message[:TEXT]}"
    escaped = told.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": f"{sign}*{message.namespace}/{message.service}* {escaped}"}


FORMS: Mapping[Form, Callable[[Message], Mapping[str, Any]]] = {"json": as_json, "slack": as_slack}
