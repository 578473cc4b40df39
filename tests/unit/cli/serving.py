"""An API server on loopback with one service and its pods, and how commands are typed at it."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import yaml
from typer.testing import Result

from inferops.api.rollout import ACTION
from inferops.kube.owned import Object
from unit.cli.scenes import NEW, OBSERVING, OLD, pod, service

SERVICES = "/apis/serving.inferops.dev/v1alpha1/namespaces/chat/inferenceservices"
PODS = "/api/v1/namespaces/chat/pods"


class Request(NamedTuple):
    verb: str
    path: str
    query: dict[str, list[str]]
    type: str
    body: Any


class Server(ThreadingHTTPServer):
    """An API server with one service and its pods, whose operator acts at once where it is there."""

    daemon_threads = True

    def __init__(self) -> None:
        self.service: Object | None = service(OBSERVING)
        self.pods = [pod("llama-a91-1", NEW), pod("llama-5f0-1", OLD)]
        self.refuses: dict[str, tuple[int, Any]] = {}  # by verb or path
        self.operator = True
        self.requests: list[Request] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked may be gone: that is no output of the command."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.verb != "GET"]

    def answer(self, request: Request) -> tuple[int, Any]:
        self.requests.append(request)
        if found := self.refuses.get(request.verb) or self.refuses.get(request.path):
            return found
        if request.path == PODS:
            assert request.query["labelSelector"] == ["inferops.dev/service=llama"]
            return 200, {"metadata": {"resourceVersion": "7"}, "items": self.pods}
        if request.path != f"{SERVICES}/llama" or self.service is None:
            return 404, {"reason": "NotFound", "message": "not found"}
        if request.verb == "PATCH":
            self.merge(request.body)
        return 200, self.service

    def merge(self, patch: Object) -> None:
        assert self.service is not None and patch["metadata"]["uid"] == self.service["metadata"]["uid"]
        meta = {**self.service["metadata"], "annotations": patch["metadata"]["annotations"]}
        status = self.service["status"]
        if self.operator:
            handled = [patch["metadata"]["annotations"][ACTION]]
            status = {**status, "rollout": {**status["rollout"], "handled": handled}}
        self.service = {**self.service, "metadata": meta, "status": status}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        type_ = self.headers.get("Content-Type", "")
        status, told = self.server.answer(Request(self.command, url.path, parse_qs(url.query), type_, body))
        content = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_PATCH = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def kubeconfig(folder: Path, port: int) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file


def said(result: Result) -> str:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output
