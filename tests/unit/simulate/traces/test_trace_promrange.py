"""A range query of Prometheus becomes rates, in as many queries as it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from inferops.simulate.traces import promrange
from inferops.simulate.traces.lines import BadTrace
from inferops.simulate.traces.rates import Step


class Server:
    """Answers a rate of 1 + the number of the point at every point, as Prometheus does: both ends included."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []

    def custom_query_range(self, query: str, start_time: datetime, end_time: datetime, step: str) -> Any:
        begin, end, each = start_time.timestamp(), end_time.timestamp(), float(step)
        self.asked.append((begin, end))
        count = int((end - begin) / each) + 1
        return [{"metric": {}, "values": [[begin + at * each, str((begin + at * each) / each)] for at in range(count)]}]


def test_every_point_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promrange, "POINTS", 10)
    server = Server()
    found = promrange.ask(server, "q", 60.0, 60.0 * 36, 60.0)
    assert found == [Step(60.0, float(at)) for at in range(1, 37)]
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("start", "end", "step", "told"),
    [
        (100, 50, 60, "the end must come after the start"),
        (0, 1e9, 1, "choose a longer step"),
    ],
)
def test_a_range_that_cannot_be_is_told(start: float, end: float, step: float, told: str) -> None:
    with pytest.raises(BadTrace, match=told):
        promrange.ask(Server(), "q", start, end, step)


class Answering(BaseHTTPRequestHandler):
    """A Prometheus on a port, for the real client."""

    def do_GET(self) -> None:
        asked = {name: found[0] for name, found in parse_qs(urlsplit(self.path).query).items()}
        if asked["query"] == "broken(":
            return self._send(400, {"status": "error", "errorType": "bad_data", "error": "unclosed parenthesis"})
        if asked["query"] == "none":
            return self._send(200, {"status": "success", "data": {"resultType": "matrix", "result": []}})
        if asked["query"] == "another":
            return self._send(200, ["hello"])
        series = [{"metric": {}, "values": [[float(asked["start"]), "3"], [float(asked["end"]), "5"]]}]
        return self._send(200, {"status": "success", "data": {"resultType": "matrix", "result": series}})

    def _send(self, code: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_real_client_asks(url: str) -> None:
    found = promrange.ask(promrange.connected(url), "up", 1000.0, 1180.0, 60.0)
    assert found == [Step(60.0, rate) for rate in (3.0, 0.0, 0.0, 5.0)]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("broken(", "Prometheus refuses it: .*unclosed parenthesis"),
        ("none", "no requests in the answer"),
        ("another", "what answers there is no Prometheus"),
    ],
)
def test_what_prometheus_does_not_answer_is_told(url: str, query: str, told: str) -> None:
    with pytest.raises(BadTrace, match=told):
        promrange.ask(promrange.connected(url), query, 0.0, 60.0, 60.0)


def test_a_server_that_is_not_there_is_told_without_its_url() -> None:
    with pytest.raises(BadTrace, match="asking it failed") as raised:
        promrange.ask(promrange.connected("http://user:secret@127.0.0.1:9"), "up", 0.0, 60.0, 60.0)
    assert "secret" not in str(raised.value)
