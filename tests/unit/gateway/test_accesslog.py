"""The access log: a line says what happened and nothing that is secret; nobody waits for a reader."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.gateway.signals.accesslog import INTERVAL, ROOM, AccessLog, line
from inferops.gateway.signals.record import Record
from inferops.gateway.table import ServiceKey
from unit.kube.virtualtime import run

NOW = 1_700_000_000.0625  # 2023-11-14T22:13:20.0625Z
WHOLE = Record(
    5.0,
    request_id="req-1",
    trace="4bf92f3577b34da6a3ce929d0e0e4736",
    client="team-a",
    method="POST",
    path="/v1/chat/completions",
    key=ServiceKey("chat", "llama"),
    model="llama",
    revision="v1",
    replica="llama-v1-0",
    stream=True,
    queued=0.25,
    attempts=2,
    status=200,
    first=0.5,
    duration=2.0,
    tokens_in=30,
    tokens_out=100,
    sent=900,
)


@dataclass
class Pipe:
    """A pipe of one page, whose reader reads when told to."""

    reader: int
    writer: int

    def lines(self) -> list[dict[str, Any]]:
        """What is in it now, whole lines."""
        os.set_blocking(self.reader, False)
        text = b""
        try:
            while piece := os.read(self.reader, 65536):
                text += piece
        except BlockingIOError:
            pass
        assert not text or text.endswith(b"\n")
        return [json.loads(each) for each in text.splitlines()]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    made = Pipe(reader, writer)
    yield made
    os.close(writer)
    os.close(made.reader)


def test_a_line_says_what_happened() -> None:
    assert json.loads(line(WHOLE, NOW)) == {
        "time": "2023-11-14T22:13:20.062Z",
        "requestId": "req-1",
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "client": "team-a",
        "namespace": "chat",
        "service": "llama",
        "revision": "v1",
        "replica": "llama-v1-0",
        "spilledTo": "",
        "spilled": False,
        "model": "llama",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "stream": True,
        "queuedMs": 250.0,
        "firstMs": 500.0,
        "durationMs": 2000.0,
        "tokensIn": 30,
        "tokensOut": 100,
        "attempts": 2,
        "bytes": 900,
        "error": "",
    }


def test_what_is_not_known_is_null() -> None:
    told = json.loads(line(Record(5.0, model="guess", status=404, error="model_not_found"), NOW))
    assert (told["namespace"], told["service"], told["model"], told["error"]) == ("", "", "guess", "model_not_found")
    assert told["firstMs"] is told["tokensIn"] is told["tokensOut"] is None
    assert told["stream"] is False


texts = st.text(st.characters(), max_size=600)


@given(
    st.fixed_dictionaries(
        {name: texts for name in ("request_id", "trace", "client", "method", "path", "model", "error")}
    )
)
def test_nothing_that_clients_send_ends_a_line_or_a_field(sent: dict[str, str]) -> None:
    text = line(Record(5.0, **sent), NOW)
    assert text.count(b"\n") == 1 and text.endswith(b"\n")
    told = json.loads(text)
    assert len(told) == 23
    names = {"request_id": "requestId", "trace": "traceId"}
    for name, value in sent.items():
        assert told[names.get(name, name)] == value[:512]
    assert all(32 <= byte < 127 for byte in text[:-1]), "no escape sequences for a terminal"


def test_a_record_has_no_place_for_prompts_and_keys() -> None:
    names = {field.name for field in fields(Record)}
    assert not names & {"prompt", "body", "messages", "headers", "authorization", "api_key", "query", "answer"}


@pytest.mark.parametrize(
    ("mode", "told"), [("all", ["ok", "refused", "broken"]), ("errors", ["refused", "broken"]), ("off", [])]
)
def test_modes(pipe: Pipe, mode: Any, told: list[str]) -> None:
    async def main() -> None:
        log = AccessLog(pipe.writer, mode)
        log.write(Record(5.0, "ok", status=200))
        log.write(Record(5.0, "refused", status=429))
        log.write(Record(5.0, "broken", status=200, error="upstream_error", broken=True))
        log.close()

    run(main())
    assert [each["requestId"] for each in pipe.lines()] == told


def test_lines_are_written_together_every_tenth_of_a_second(pipe: Pipe) -> None:
    async def main() -> None:
        log = AccessLog(pipe.writer, "all")
        for _ in range(3):
            for _ in range(4):
                log.write(WHOLE)
            await asyncio.sleep(INTERVAL * 0.9)
            assert not pipe.lines()
            await asyncio.sleep(INTERVAL * 0.2)
            assert len(pipe.lines()) == 4
        log.close()

    run(main())


def test_the_end_writes_the_rest_without_its_timer(pipe: Pipe) -> None:
    async def main() -> None:
        log = AccessLog(pipe.writer, "all")
        log.write(WHOLE)
        log.close()
        assert len(pipe.lines()) == 1
        await asyncio.sleep(10 * INTERVAL)
        assert not pipe.lines() and not log.dropped

    run(main())


def test_a_reader_that_stops_holds_nobody_up_and_loses_only_what_does_not_fit(pipe: Pipe) -> None:
    wanted = ROOM // len(line(WHOLE, NOW)) + 100

    async def main() -> None:
        log = AccessLog(pipe.writer, "all")
        for number in range(wanted):
            log.write(replace(WHOLE, attempts=number))
        await asyncio.sleep(60)
        assert 0 < log.dropped < 200
        told = pipe.lines()
        for _ in range(wanted):
            await asyncio.sleep(INTERVAL)
            told += pipe.lines()
        assert [each["attempts"] for each in told] == list(range(wanted - log.dropped))
        dropped = log.dropped
        log.write(WHOLE)
        await asyncio.sleep(2 * INTERVAL)
        assert len(pipe.lines()) == 1 and log.dropped == dropped, "and goes on"
        log.close()

    run(main())


def test_the_end_waits_for_no_reader_and_counts_what_is_lost(pipe: Pipe) -> None:
    async def main() -> None:
        log = AccessLog(pipe.writer, "all")
        for _ in range(100):
            log.write(WHOLE)
        log.close()
        told = len(pipe.lines())
        assert told and told + log.dropped == 100

    run(main())


def test_a_reader_that_is_gone_is_no_error_of_a_request(pipe: Pipe) -> None:
    async def main() -> None:
        log = AccessLog(pipe.writer, "all")
        os.close(pipe.reader)
        for _ in range(10):
            log.write(WHOLE)
        await asyncio.sleep(2 * INTERVAL)
        assert log.dropped == 10
        log.close()
        pipe.reader = os.open(os.devnull, os.O_RDONLY)

    run(main())


def test_a_descriptor_that_does_not_block_keeps_lines_whole(pipe: Pipe) -> None:
    async def main() -> None:
        os.set_blocking(pipe.writer, False)
        log = AccessLog(pipe.writer, "all")
        for _ in range(50):
            log.write(WHOLE)
        told = 0
        for _ in range(50):
            await asyncio.sleep(INTERVAL)
            told += len(pipe.lines())
        assert (told, log.dropped) == (50, 0)
        log.close()

    run(main())


def test_a_file_takes_all(tmp_path: Path) -> None:
    async def main() -> None:
        with (tmp_path / "access.log").open("ab") as file:
            log = AccessLog(file.fileno(), "all")
            for _ in range(1000):
                log.write(WHOLE)
            log.close()
            assert not log.dropped

    run(main())
    assert len([json.loads(each) for each in (tmp_path / "access.log").read_text().splitlines()]) == 1000
