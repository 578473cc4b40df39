"""Notifications, in virtual time: what is told, to whom, how often, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.catalogue import accelerators, runtimes
from inferops.controller.notify import QUEUED, Message, Notifier, Receiver, as_json, as_slack, receivers_in
from inferops.controller.outward import Outward
from inferops.controller.store import Key, Store
from inferops.controller.webhooks import Answer, NoAnswer
from inferops.core.event import Event
from unit.controller.fakekube import Fake
from unit.kube import virtualtime

LLAMA, QWEN = (Key("InferenceService", "chat", name) for name in ("llama", "qwen"))
SECRET = "https://hooks.example.com/services/T000/B000/XXXX"
JSON, SLACK = Receiver("json", "https://ops.example.com/events"), Receiver("slack", SECRET)
BEGAN = Event(False, "RolloutStarted", "5f0d3a91c2 is to replace a91c22d07b", rollout=True)
BACK = Event(True, "RolledBack", "errorRate: 12 of 40 requests failed, of stable 0 of 760", rollout=True)
START = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)


class Receiving:
    """The receivers: `reply` says what each call of a URL gets."""

    def __init__(self) -> None:
        self.reply: Callable[[str], Answer | Exception] = lambda url: Answer(200)
        self.takes = 0.0
        self.calls: list[tuple[float, str, Mapping[str, Any]]] = []
        self.counted: list[tuple[str, str]] = []

    async def post(self, url: str, body: Mapping[str, Any], timeout: float) -> Answer:
        self.calls.append((virtualtime.now(), url, body))
        async with asyncio.timeout(timeout):
            await asyncio.sleep(self.takes)
        reply = self.reply(url)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def reasons(self, url: str = JSON.url) -> list[str]:
        return [body["reason"] for _, to, body in self.calls if to == url]


@asynccontextmanager
async def notifying(*receivers: Receiver) -> AsyncIterator[tuple[Notifier, Receiving]]:
    """A notifier that runs."""
    receiving = Receiving()

    def now() -> datetime:
        return START + timedelta(seconds=virtualtime.now())

    notifier = Notifier(receivers, receiving, now, lambda form, result: receiving.counted.append((form, result)))
    running = asyncio.create_task(notifier.run())
    yield notifier, receiving
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()


def test_events_of_rollouts_are_told_to_everybody_and_others_to_nobody() -> None:
    async def main() -> None:
        async with notifying(JSON, SLACK) as (notifier, receiving):
            notifier.notify(LLAMA, [BEGAN, Event(True, "Unschedulable", "no GPU is free")])
            await asyncio.sleep(1)
        assert [(url, body) for _, url, body in receiving.calls] == [
            (
                JSON.url,
                {
                    "service": "llama",
                    "namespace": "chat",
                    "reason": "RolloutStarted",
                    "warning": False,
                    "message": BEGAN.message,
                    "time": "2025-11-03T12:00:00Z",
                },
            ),
            (SECRET, {"text": "*chat/llama* RolloutStarted: 5f0d3a91c2 is to replace a91c22d07b"}),
        ]
        assert receiving.counted == [("json", "sent"), ("slack", "sent")]

    virtualtime.run(main())


def test_they_are_told_in_the_order_in_which_they_happened() -> None:
    async def main() -> None:
        async with notifying(JSON) as (notifier, receiving):
            receiving.takes = 2.0
            notifier.notify(LLAMA, [BEGAN, BACK])
            notifier.notify(QWEN, [BEGAN])
            await asyncio.sleep(10)
        assert [(body["service"], body["reason"]) for _, _, body in receiving.calls] == [
            ("llama", "RolloutStarted"), ("llama", "RolledBack"), ("qwen", "RolloutStarted")
        ]  # fmt: skip

    virtualtime.run(main())


def test_the_same_is_told_once_a_minute() -> None:
    async def main() -> None:
        async with notifying(JSON) as (notifier, receiving):
            for _ in range(12):
                notifier.notify(LLAMA, [BACK, BACK])
                notifier.notify(QWEN, [BACK])
                await asyncio.sleep(10)
        told = [(at, body["service"]) for at, _, body in receiving.calls]
        assert told == [(0.0, "llama"), (0.0, "qwen"), (60.0, "llama"), (60.0, "qwen")]

    virtualtime.run(main())


@pytest.mark.parametrize(
    "failure", [NoAnswer("no answer within 10 s"), Answer(500), Answer(429), Answer(408), Answer(503)]
)
def test_what_may_go_better_is_tried_three_times_more(failure: Answer | Exception) -> None:
    async def main() -> None:
        async with notifying(JSON) as (notifier, receiving):
            receiving.reply = lambda url: failure if len(receiving.calls) < 4 else Answer(204)
            notifier.notify(LLAMA, [BACK])
            await asyncio.sleep(60)
        assert [at for at, _, _ in receiving.calls] == [0.0, 1.0, 4.0, 13.0]
        assert receiving.counted == [("json", "sent")]

    virtualtime.run(main())


@pytest.mark.parametrize(
    ("failure", "calls"),
    [(Answer(400), 1), (Answer(404), 1), (Answer(302), 1), (Answer(500), 4), (ValueError(SECRET), 1)],
)
def test_what_is_not_taken_is_lost_and_the_next_is_told(failure: Answer | Exception, calls: int) -> None:
    async def main() -> None:
        async with notifying(JSON) as (notifier, receiving):
            receiving.reply = lambda url: (
                failure if receiving.calls[-1][2]["reason"] == "RolloutStarted" else Answer(200)
            )
            notifier.notify(LLAMA, [BEGAN, BACK])
            await asyncio.sleep(60)
        assert receiving.reasons() == ["RolloutStarted"] * calls + ["RolledBack"]
        assert receiving.counted == [("json", "failed"), ("json", "sent")]

    virtualtime.run(main())


@pytest.mark.parametrize(("takes", "after"), [(9.9, None), (0.0, 3600.0), (60.0, None)])
def test_one_message_takes_30_seconds_at_most(takes: float, after: float | None) -> None:
    async def main() -> None:
        async with notifying(JSON) as (notifier, receiving):
            receiving.takes, receiving.reply = takes, lambda url: Answer(503, retry_after=after)
            notifier.notify(LLAMA, [BEGAN, BACK])
            await asyncio.sleep(100)
        first = next(at for at, _, body in receiving.calls if body["reason"] == "RolledBack")
        assert first <= 30.0
        assert receiving.counted == [("json", "failed")] * 2

    virtualtime.run(main())


def test_a_receiver_that_is_away_delays_no_other() -> None:
    async def main() -> None:
        async with notifying(JSON, SLACK) as (notifier, receiving):
            receiving.reply = lambda url: NoAnswer("it cannot be reached") if url == SECRET else Answer(200)
            notifier.notify(LLAMA, [BEGAN, BACK])
            await asyncio.sleep(0.1)
            assert receiving.reasons() == ["RolloutStarted", "RolledBack"]

    virtualtime.run(main())


def test_a_queue_that_is_full_keeps_the_newest(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with notifying(JSON) as (notifier, receiving):
            for number in range(QUEUED + 3):
                notifier.notify(LLAMA, [Event(False, f"R{number}", "", rollout=True)])
            await asyncio.sleep(1)
        assert receiving.reasons() == [f"R{number}" for number in range(3, QUEUED + 3)]
        assert receiving.counted.count(("json", "dropped")) == 3

    virtualtime.run(main())
    dropped = [record.message for record in caplog.records]
    assert dropped == [f"receiver 1 (json) is too slow: R{number} of chat/llama is dropped" for number in range(3)]


@pytest.mark.parametrize(
    "failure", [NoAnswer("it cannot be reached"), ValueError(SECRET), OSError(SECRET), Answer(404)]
)
def test_no_log_tells_where_a_receiver_is(failure: Answer | Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with notifying(SLACK) as (notifier, receiving):
            receiving.reply = lambda url: failure
            notifier.notify(LLAMA, [BACK])
            await asyncio.sleep(60)

    with caplog.at_level(logging.DEBUG):
        virtualtime.run(main())
    assert "receiver 1 (slack) was not told RolledBack of chat/llama" in caplog.text
    assert "XXXX" not in caplog.text and "XXXX" not in repr(SLACK)


def test_what_is_queued_at_the_end_is_told_if_that_takes_no_time() -> None:
    async def main() -> None:
        async with notifying(JSON) as (notifier, receiving):
            await notifier.drain(0.5)
            assert virtualtime.now() == 0.0
            receiving.takes = 0.2
            notifier.notify(LLAMA, [BEGAN, BACK])
            await notifier.drain(0.5)
            assert receiving.counted == [("json", "sent")] * 2 and virtualtime.now() == pytest.approx(0.4)
            receiving.takes = 5.0
            notifier.notify(QWEN, [BACK])
            await notifier.drain(0.5)
            assert virtualtime.now() == pytest.approx(0.9)

    virtualtime.run(main())


def test_without_receivers_it_runs_and_says_nothing() -> None:
    async def main() -> None:
        async with notifying() as (notifier, receiving):
            notifier.notify(LLAMA, [BACK])
            await asyncio.sleep(100)
            await notifier.drain(1.0)
        assert receiving.calls == []

    virtualtime.run(main())


texts = st.text(max_size=3000)


@given(texts, texts, st.booleans())
def test_whatever_users_write_stays_text_in_chat(reason: str, message: str, warning: bool) -> None:
    told = Message("chat", "llama", reason, message, warning, START)
    text = as_slack(told)["text"]
    assert "<" not in text and ">" not in text and len(text) < 15_000
    assert text.startswith(":warning: " if warning else "*chat/llama*")
    left = text
    for entity in ("&amp;", "&lt;", "&gt;"):
        left = left.replace(entity, "")
    assert "&" not in left
    json.dumps(as_json(told))


def test_receivers_are_read_from_words() -> None:
    found = receivers_in([f"slack={SECRET}", "json=http://ops.ml.svc:8080/events?team=a"])
    assert found == (SLACK, Receiver("json", "http://ops.ml.svc:8080/events?team=a"))


@pytest.mark.parametrize(
    "text",
    ["", SECRET, "slack", "slack=", f"teams={SECRET}", "slack=hooks.example.com/XXXX", "json=ftp://a/XXXX",
     "json=http:///XXXX", "json=http://[XXXX", "json=https://a:port/XXXX", "json=https://\u2100.com/XXXX",
     f"json={SECRET}\n"],
)  # fmt: skip
def test_what_is_no_receiver_is_refused_without_telling_it(text: str) -> None:
    with pytest.raises(ValueError, match="receiver 2 is neither json=URL nor slack=URL") as caught:
        receivers_in([f"slack={SECRET}", text])
    assert "XXXX" not in str(caught.value) and caught.value.__cause__ is caught.value.__context__ is None


async def test_all_of_it_opens_and_closes() -> None:
    """As the operator puts it together; nobody is called."""
    outward = Outward.to(
        ["*.svc"], [JSON], kube=Fake(), store=Store(accelerators(), runtimes()), add=lambda key, delay: None,
        now=lambda: START, counted=lambda form, result: None,
    )  # fmt: skip
    running = asyncio.create_task(outward.notifier.run())
    await asyncio.sleep(0)
    await asyncio.wait_for(outward.close(), 5)
    running.cancel()
    await asyncio.wait([running])
    assert outward.gates.views(LLAMA) == {}
