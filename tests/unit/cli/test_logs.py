"""Logs: one form for people and one for machines, what is worked on in every line, and no secrets in either."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from inferops.cli.logs import HIDDEN, AsJson, AsText, Form, set_up
from inferops.kube.client import Client, KubeError
from inferops.kube.doing import doing, note
from inferops.kube.kinds import SECRET

CANARY = "canary-0123456789"
TOKEN = "eyJhbGciOi.eyJzdWIiOiJpbmZlcm9wcyJ9.c2lnbmF0dXJl"
HOOK = "https://hooks.example.com/services/T0/B0/canary-hook"
LOGGER = logging.getLogger("inferops.test")


class Told:
    """What is logged, as it stands in a process's log."""

    def __init__(self, streams: pytest.CaptureFixture[str]) -> None:
        self._streams, self._text = streams, ""

    @property
    def text(self) -> str:
        self._text += self._streams.readouterr().err
        return self._text

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(capsys)


def test_a_line_of_a_reconcile_says_whose_and_of_which_revision(told: Told) -> None:
    assert set_up("info", "json") == logging.INFO
    LOGGER.info("before")
    with doing(kind="InferenceService", namespace="chat", name="llama", reconcile="abc"):
        note(revision="69baa96584", generation="")
        LOGGER.warning("%s is slow", "it")
    LOGGER.debug("not said at this level")
    before, line = told.lines()
    assert set(before) == {"ts", "level", "logger", "msg"}
    about = {
        "kind": "InferenceService",
        "namespace": "chat",
        "name": "llama",
        "reconcile": "abc",
        "revision": "69baa96584",
    }
    ts = line.pop("ts")
    assert line == {"level": "warning", "logger": "inferops.test", "msg": "it is slow", **about}
    assert ts.endswith("Z") and len(ts) == len("2026-01-02T03:04:05.678Z")


async def test_tasks_that_a_reconcile_begins_say_the_same_and_others_nothing(told: Told) -> None:
    set_up("info", "json")

    async def speak() -> None:
        await asyncio.sleep(0)
        LOGGER.info("here")

    async def reconcile(name: str) -> None:
        with doing(name=name):
            await asyncio.gather(speak(), asyncio.create_task(speak()))

    await asyncio.gather(reconcile("llama"), reconcile("qwen"), speak())
    assert sorted(line.get("name", "") for line in told.lines()) == ["", "llama", "llama", "qwen", "qwen"]


def test_an_error_has_its_stack_in_the_same_line(told: Told) -> None:
    set_up("info", "json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        LOGGER.exception("it broke")
    [line] = told.lines()
    assert line["error"]["type"] == "ValueError" and line["error"]["message"] == "two\nlines"
    assert "test_logs.py" in line["error"]["stack"] and line["level"] == "error"


def test_kopfs_lines_take_the_form_and_name_their_object(told: Told) -> None:
    set_up("info", "json")
    about = {"kind": "Pod", "namespace": "chat", "name": "llama-1", "uid": "u"}
    logging.getLogger("kopf.objects").warning("slow", extra={"k8s_ref": about})
    [line] = told.lines()
    assert (line["logger"], line["kind"], line["name"]) == ("kopf.objects", "Pod", "llama-1") and "uid" not in line


def test_a_level_that_there_is_not_is_said(told: Told) -> None:
    assert set_up("loud") is None and "none of debug" in told.text


@pytest.mark.parametrize("form", [AsText, AsJson])
@pytest.mark.parametrize(
    "said",
    [
        f"Authorization: Bearer {CANARY}",
        f"basic {CANARY}=",
        f"token {TOKEN}",
        f"cannot reach https://user:{CANARY}@example.com/x",
        f"POST http://example.com/hook?token={CANARY}&a=b",
        f"POST {HOOK} failed",
    ],
)
def test_what_lets_somebody_in_is_hidden(form: type[AsText], said: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (said,), None)
    shown = form([HOOK, "a"]).format(record)
    assert HIDDEN in shown and not any(each in shown for each in (CANARY, TOKEN, HOOK))


@pytest.mark.parametrize("form", ["text", "json"])
async def test_neither_a_secrets_content_nor_a_token_is_said_at_debug(told: Told, form: Form) -> None:
    """A Secret is read and an answer refused, with all loggers of the process at their most talkative."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        if request.path.endswith("broken"):
            return web.Response(status=500, text=f"Bearer {CANARY} is not known")
        content = b64encode(CANARY.encode()).decode()
        return web.json_response({"metadata": {"name": "keys"}, "data": {"alice": content}})

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    configuration.api_key["BearerToken"] = f"Bearer {TOKEN}"
    set_up("debug", form, [HOOK])
    client = Client(configuration)
    with doing(name="llama"):
        assert await client.get(SECRET, "chat", "keys")
        with suppress(KubeError):
            await client.get(SECRET, "chat", "broken")
        try:
            await client.get(SECRET, "chat", "broken")
        except KubeError:
            LOGGER.exception("telling %s", HOOK)
    await client.close()
    await runner.cleanup()
    assert seen and "telling" in told.text
    for secret in (CANARY, b64encode(CANARY.encode()).decode(), TOKEN, HOOK):
        assert secret not in told.text
