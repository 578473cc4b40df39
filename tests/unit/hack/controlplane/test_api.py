"""The bench's own requests: over one connection, a new one where the server began anew, errors as they were told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from controlplane.api import Api, ApiError
from controlplane.certificates import make_authority


class Handler(BaseHTTPRequestHandler):
    """Answers with what was asked, and 404 beneath /none; after /last it ends the connection."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        asked = {"method": self.command, "path": self.path, "body": self.rfile.read(length).decode()}
        missing = self.path.startswith("/none")
        content = json.dumps({"message": "there is none"} if missing else asked).encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.path == "/last"

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


class Server(ThreadingHTTPServer):
    connections = 0

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        self.connections += 1
        super().process_request(request, client_address)


@contextmanager
def serving() -> Iterator[tuple[Server, str]]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    authority = make_authority(tmp_path, "ca")
    made = Api(authority.pair.certificate, authority.client("admin", "kubernetes-admin"))
    yield made
    made.close()


def test_requests_share_a_connection(api: Api) -> None:
    with serving() as (server, url):
        assert api.post(f"{url}/a", {"b": 1}) == {"method": "POST", "path": "/a", "body": '{"b": 1}'}
        assert json.loads(api.get(f"{url}/c"))["method"] == "GET"
        api.apply(f"{url}/d", {})
        api.delete(f"{url}/e")
        assert server.connections == 1
        api.close()


def test_an_error_is_told_with_what_was_asked(api: Api) -> None:
    with serving() as (server, url):
        with pytest.raises(ApiError, match=r"GET http://.*/none: 404 there is none") as told:
            api.get(f"{url}/none")
        assert told.value.status == 404 and not api.answers(f"{url}/none")
        assert server.connections == 1
        api.close()


def test_a_connection_that_ended_is_made_anew(api: Api) -> None:
    with serving() as (server, url):
        api.get(f"{url}/last")
        while not _ended(api, url):
            pass
        api.post(f"{url}/a", {})  # what must not be sent twice
        assert server.connections == 2
        api.close()


def _ended(api: Api, url: str) -> bool:
    """Whether the end of the kept connection has come here."""
    pool = api._pool.connection_from_url(url)
    kept = pool._get_conn()
    ended = not kept.is_connected
    pool._put_conn(kept)
    return ended


def test_a_server_that_is_away_is_an_oserror(api: Api) -> None:
    with serving() as (_, url):
        assert api.answers(url)
        api.close()
    with pytest.raises(OSError, match=f"GET {url}"):
        api.get(url)
    assert not api.answers(url)
