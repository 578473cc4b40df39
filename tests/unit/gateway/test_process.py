"""The process from start to end: what its ports answer, and that SIGTERM loses nothing that was begun."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from inferops.cli.gateway import gateway as run_gateway
from inferops.gateway.process import Gateway, Options
from inferops.gateway.sources.files import BadFile
from unit.gateway import resources
from unit.gateway.engines import (
    CHAT,
    DONE,
    STREAMED,
    Engine,
    chunk,
    engines,
    streams,
    token,
)
from unit.waiting import SECONDS, until


def configuration(tmp_path, engine, documents=None):
    """A service that an engine serves, or others, as a file."""
    host, _, port = engine.address.partition(":")
    endpoint = {**resources.pods("llama-1")[0], "addresses": [host]}
    documents = documents or [
        resources.service(revisions={"aaa": 100}),
        resources.endpoint_slice("llama-1", [endpoint], ports=[{"name": "http", "port": int(port)}]),
    ]
    path = tmp_path / "configuration.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


class Running:
    """A gateway's process without the process."""

    def __init__(self, process, session, task):
        self.process, self.session, self.task = process, session, task

    def post(self, body):
        return self.session.post(f"http://127.0.0.1:{self.process.port}/v1/chat/completions", json=body)

    def get(self, path):
        return self.session.get(f"http://127.0.0.1:{self.process.metrics_port}{path}")

    async def status(self, path):
        async with self.get(path) as answer:
            return answer.status

    async def listens(self):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.process.port)
        except ConnectionError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def running(tmp_path, *script, documents=None, **options):
    engine = Engine(*script)
    async with engines(engine), aiohttp.ClientSession() as session:
        files = (configuration(tmp_path, engine, documents),)
        given = {"drain_delay": 0.0, "access_log": "off", **options}
        process = Gateway(Options(address="127.0.0.1", port=0, metrics_port=0, files=files, **given))
        task = asyncio.create_task(process.run())
        await until(lambda: process.port or task.done())
        try:
            yield Running(process, session, task)
        finally:
            process.stop()
            process.stop()
            await task


async def test_its_ports(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        async with gateway.post(CHAT) as answer:
            assert answer.status == 200
        assert [await gateway.status(path) for path in ("/healthz", "/readyz")] == [200, 200]
        async with gateway.get("/metrics") as answer:
            text = await answer.text()
        assert 'inferops_gateway_arrivals_total{namespace="chat",service="llama"} 1\n' in text
        async with gateway.get("/demand") as answer:
            told = json.loads(await answer.content.readline())
        assert told["services"]["chat/llama"]["waiting"] == 0


async def test_requests_for_a_stopped_service_go_where_its_spec_says(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    async with running(tmp_path / "far") as far:
        there = {"name": "eu", "url": f"http://127.0.0.1:{far.process.port}"}
        stopped = resources.service(scaling={"replicas": 0}, traffic={"spillover": [there]})
        async with running(tmp_path, documents=[stopped]) as near:
            async with near.post(CHAT) as answer:
                assert (answer.status, answer.headers["Inferops-Cluster"]) == (200, "eu")
            async with near.get("/metrics") as answer:
                text = await answer.text()
    told = 'spilled_requests_total{namespace="chat",service="llama",cluster="eu",result="answered"} 1\n'
    assert f"inferops_gateway_{told}" in text


async def test_it_is_not_ready_before_it_knows_where_requests_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferops.gateway.sources.files.Files._take_in", lambda *_: None)
    async with running(tmp_path) as gateway:
        assert [await gateway.status(path) for path in ("/healthz", "/readyz")] == [200, 503]
        async with gateway.post(CHAT) as answer:
            assert answer.status == 503


async def test_for_a_while_after_sigterm_requests_are_taken(tmp_path: Path) -> None:
    async with running(tmp_path, drain_delay=3600.0) as gateway:
        gateway.process.stop()
        while await gateway.status("/readyz") == 200:
            pass
        async with gateway.post(CHAT) as answer:
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert await gateway.status("/healthz") == 200
        assert not gateway.task.done()


async def begun(gateway):
    """A stream that has begun and does not end."""
    answer = await gateway.post(STREAMED)
    assert await answer.content.readany() == token("a")
    return answer


async def test_streams_are_finished(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def then(seen):
        await go_on.wait()
        await seen.send(chunk(token("b")) + chunk(DONE) + b"0\r\n\r\n")

    async with running(tmp_path, streams(token("a"), then=then)) as gateway:
        answer = await begun(gateway)
        gateway.process.stop()
        async with asyncio.timeout(SECONDS):
            while await gateway.listens():
                await asyncio.sleep(0)
        assert not gateway.task.done()
        assert await gateway.status("/metrics") == 200
        go_on.set()
        assert await answer.content.read() == token("b") + DONE
        await gateway.task


@pytest.mark.parametrize(
    ("case", "options", "stops"),
    [
        ("their time is over", {"drain_timeout": 0.0}, 1),
        ("it was told twice", {"drain_delay": 3600.0, "drain_timeout": 3600.0}, 2),
    ],
)
async def test_streams_that_do_not_end_are_told(tmp_path: Path, case: str, options: Any, stops: Any) -> None:
    async with running(tmp_path, streams(token("a"), then=_never), **options) as gateway:
        answer = await begun(gateway)
        for _ in range(stops):
            gateway.process.stop()
        last = (await answer.content.read()).removeprefix(b"data: ")
        await gateway.task
    assert json.loads(last)["error"]["code"] == "request_ending"


async def _never(seen):
    with suppress(ConnectionError):
        await seen.reader.read()


async def test_a_part_that_fails_does_not_take_the_others_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(_):
        raise RuntimeError("no more")

    monkeypatch.setattr("inferops.gateway.sources.files.Files.run", fails)
    async with running(tmp_path) as gateway:
        async with gateway.post(CHAT) as answer:
            assert answer.status == 200
        assert "configuration failed" in caplog.text


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        taken = Options(
            address="127.0.0.1", port=gateway.process.port, metrics_port=0, files=gateway.process.options.files
        )
        with pytest.raises(OSError, match="address already in use"):
            await Gateway(taken).run()


async def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="nowhere"):
        await Gateway(Options(files=(tmp_path / "nowhere.yaml",), access_log="off")).run()


def test_bad_options_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_gateway(Options(files=(tmp_path / "nowhere.yaml",), access_log="off"), "info") == 2
    assert "nowhere.yaml" in capfd.readouterr().err
    assert run_gateway(Options(), "loud") == 2
    assert "--log-level: 'loud' is none of" in capfd.readouterr().err
