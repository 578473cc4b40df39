"""Webhooks of gates, in virtual time: asked until they say something, as long as somebody wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from inferops.controller.gates import CALLS, CALLS_OF_ONE
from inferops.controller.store import Key
from inferops.controller.webhooks import Answer, NoAnswer
from unit.controller.gating import CANARY, LLAMA, QWEN, RUN, STABLE, Gated, hook, wanted
from unit.kube import virtualtime

HOST = "judge.ml.svc"


def answers(*given: Answer | Exception) -> Iterator[Answer | Exception]:
    yield from given[:-1]
    while True:
        yield given[-1]


def test_it_is_told_of_both_revisions_once_and_passes() -> None:
    async def main() -> None:
        gated, gate = Gated(), hook()
        gated.endpoint.takes = 2.0
        gated.endpoint.reply = lambda url: Answer(200, "fine")
        await gated.ask(gate)
        assert gated.said(gate) == ("Waiting", f"{HOST} was asked and has not answered")
        for _ in range(3):
            await asyncio.sleep(5)
            await gated.ask(gate)
        assert gated.said(gate) == ("Passed", f"{HOST} answers 200: fine")
        assert gated.asks == [(LLAMA, 0.0)]
        assert gated.endpoint.asked == [(0.0, f"http://{HOST}/canary")]
        assert gated.endpoint.bodies == [
            {
                "service": "llama",
                "namespace": "chat",
                "rollout": f"{CANARY}-{RUN}",
                "gate": "quality",
                "weight": 5,
                "canary": CANARY,
                "stable": STABLE,
                "canaryUrl": f"http://llama-{CANARY}.chat.svc:8000",
                "stableUrl": "",
                "model": "qwen3-8b",
            }
        ]
        await gated.gates.close()

    virtualtime.run(main())


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (Answer(503, "busy"), f"{HOST} answers 503: busy; it is asked again"),
        (Answer(429), f"{HOST} answers 429; it is asked again"),
        (Answer(408), f"{HOST} answers 408; it is asked again"),
        (Answer(425), f"{HOST} answers 425; it is asked again"),
        (NoAnswer("no answer within 10 s"), f"{HOST}: no answer within 10 s; it is asked again"),
        (RuntimeError("a bug"), f"{HOST}: the operator cannot ask it, as its log tells; it tries again"),
    ],
)
def test_what_is_no_verdict_is_asked_again(first: Answer | Exception, message: str) -> None:
    async def main() -> None:
        gated, gate = Gated(), hook()
        replies = answers(first, first, Answer(403, "worse by 3 points"))
        gated.endpoint.reply = lambda url: next(replies)
        await gated.ask(gate)
        await asyncio.sleep(0.1)
        assert gated.said(gate) == ("Waiting", message)
        await asyncio.sleep(60)
        assert gated.said(gate) == ("Failed", f"{HOST} answers 403: worse by 3 points")
        assert [at for at, _ in gated.endpoint.asked] == [0.0, 10.0, 20.0]
        assert gated.asks == [(LLAMA, 0.0)] * 2  # the same said twice is no news
        await gated.gates.close()

    virtualtime.run(main())


@pytest.mark.parametrize(("status", "more"), [(400, ""), (404, ""), (410, ""), (302, " (redirects are not followed)")])
def test_any_other_answer_fails(status: int, more: str) -> None:
    async def main() -> None:
        gated, gate = Gated(), hook()
        gated.endpoint.reply = lambda url: Answer(status)
        await gated.ask(gate)
        await asyncio.sleep(100)
        assert gated.said(gate) == ("Failed", f"{HOST} answers {status}{more}")
        assert len(gated.endpoint.asked) == 1
        await gated.gates.close()

    virtualtime.run(main())


@pytest.mark.parametrize(("asks_for", "waits"), [(None, 10.0), (0.0, 1.0), (30.0, 30.0), (86_400.0, 300.0)])
def test_it_says_itself_when_to_ask_again_within_bounds(asks_for: float | None, waits: float) -> None:
    async def main() -> None:
        gated, gate = Gated(), hook()
        replies = answers(Answer(503, retry_after=asks_for), Answer(200))
        gated.endpoint.reply = lambda url: next(replies)
        await gated.ask(gate)
        await asyncio.sleep(400)
        assert [at for at, _ in gated.endpoint.asked] == [0.0, waits]
        await gated.gates.close()

    virtualtime.run(main())


@pytest.mark.parametrize(("timeout", "seconds"), [("500ms", 0.5), ("30s", 30.0), ("90s", 30.0)])
def test_no_call_takes_longer_than_30_seconds(timeout: str, seconds: float) -> None:
    """Also where a resource is older than the rule that refuses more."""

    async def main() -> None:
        gated, gate = Gated(), hook()
        webhook = gate.gate.webhook
        assert webhook is not None
        older = gate.gate.model_copy(update={"webhook": webhook.model_copy(update={"timeout": timeout})})
        await gated.ask(replace(gate, gate=older))
        await asyncio.sleep(0.1)
        assert gated.endpoint.timeouts == [seconds]
        await gated.gates.close()

    virtualtime.run(main())


@pytest.mark.parametrize("host", ["hooks.example.com", "169.254.169.254", "localhost"])
def test_a_host_that_is_not_allowed_is_not_asked_and_nothing_is_judged(host: str) -> None:
    async def main() -> None:
        gated, gate = Gated(), hook(f"http://{host}/canary")
        for _ in range(3):
            await gated.ask(gate)
            await asyncio.sleep(60)
        said = f"{host} is not asked: an admin must allow it by the operator's option --webhook-hosts"
        assert gated.said(gate) == ("Waiting", said)
        assert gated.endpoint.asked == [] and gated.asks == [(LLAMA, 0.0)]
        await gated.gates.close()

    virtualtime.run(main())


def test_nobody_asks_for_a_gate_that_is_not_wanted_any_more() -> None:
    async def main() -> None:
        gated, gate, other = Gated(), hook(), hook(name="cost")
        gated.endpoint.reply = lambda url: Answer(503)
        await gated.ask(gate, other)
        await asyncio.sleep(15)
        assert len(gated.endpoint.asked) == 4
        await gated.ask(other)
        await asyncio.sleep(10)
        assert len(gated.endpoint.asked) == 5 and set(gated.gates.views(LLAMA)) == {other.name}
        gated.endpoint.takes = 5.0
        await asyncio.sleep(6)
        await gated.ask()  # in the middle of a call
        asked = len(gated.endpoint.asked)
        await asyncio.sleep(100)
        assert (gated.endpoint.open, len(gated.endpoint.asked)) == (0, asked)
        assert gated.gates.views(LLAMA) == {}

    virtualtime.run(main())


def test_a_verdict_is_kept_while_it_is_wanted_and_no_longer() -> None:
    async def main() -> None:
        gated, gate = Gated(), hook()
        await gated.ask(gate)
        await asyncio.sleep(1)
        gated.endpoint.reply = lambda url: Answer(403)
        await gated.ask(hook("http://other.ml.svc/"))  # the same gate, edited after it passed
        await asyncio.sleep(1)
        assert gated.said(gate)[0] == "Passed"
        await gated.ask()
        await gated.ask(gate)
        await asyncio.sleep(1)
        assert gated.said(gate)[0] == "Failed"
        await gated.gates.close()

    virtualtime.run(main())


def test_a_gate_that_is_edited_while_it_waits_is_asked_as_it_is_now() -> None:
    async def main() -> None:
        gated, typo, right = Gated(), hook("http://jugde.ml.svc/"), hook("http://judge.ml.svc/")
        assert typo.name == right.name
        gated.endpoint.reply = lambda url: Answer(200) if "judge" in url else NoAnswer("its name cannot be resolved")
        await gated.ask(typo)
        await asyncio.sleep(25)
        await gated.ask(right)
        await asyncio.sleep(25)
        assert gated.said(right)[0] == "Passed"
        assert [url for _, url in gated.endpoint.asked] == ["http://jugde.ml.svc/"] * 3 + ["http://judge.ml.svc/"]
        await gated.gates.close()

    virtualtime.run(main())


def test_services_are_apart_and_forgotten_apart() -> None:
    async def main() -> None:
        gated, gate = Gated(), hook()
        gated.endpoint.reply = lambda url: Answer(503)
        await gated.ask(gate)
        await gated.ask(gate, key=QWEN)
        await asyncio.sleep(1)
        gated.gates.forget(LLAMA)
        await asyncio.sleep(10)
        assert gated.gates.views(LLAMA) == {} and set(gated.gates.views(QWEN)) == {gate.name}
        assert len(gated.endpoint.asked) == 3
        await gated.gates.close()
        await asyncio.sleep(100)
        assert len(gated.endpoint.asked) == 3

    virtualtime.run(main())


def test_silent_endpoints_of_a_namespace_hold_up_no_other() -> None:
    async def main() -> None:
        gated = Gated()
        gated.endpoint.takes = 30.0
        loud = [Key("InferenceService", "loud", f"s{number}") for number in range(3 * CALLS)]
        for key in loud:
            await gated.ask(hook(), key=key)
        await asyncio.sleep(1)
        assert gated.endpoint.open == CALLS_OF_ONE
        await gated.ask(hook("http://quiet.svc/"))
        await asyncio.sleep(0.1)
        assert gated.endpoint.asked[-1] == (1.0, "http://quiet.svc/")
        for number in range(100):
            key = Key("InferenceService", f"n{number}", "llama")
            await gated.ask(hook(), key=key)
        await asyncio.sleep(300)
        assert gated.endpoint.most == CALLS
        for key in loud[: 2 * CALLS]:
            assert [view.verdict for view in gated.gates.views(key).values()] == ["Passed"]
        await gated.gates.close()

    virtualtime.run(main())


def test_manual_gates_ask_nobody() -> None:
    async def main() -> None:
        gated = Gated()
        await gated.ask(wanted({"manual": True}))
        assert gated.gates.views(LLAMA) == {} and gated.fake.requests == [] and gated.asks == []

    virtualtime.run(main())
