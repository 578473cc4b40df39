"""The few requests that the bench itself makes of an API server, over connections that are kept.

Tests ask again and again until something is so, and a handshake with certificates on both sides costs more than the
answer does.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3

from controlplane.certificates import Pair
from controlplane.errors import BenchError

TIMEOUT = 30.0  # seconds


class ApiError(BenchError):
    """The API server answered with an error; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Requests as one user, whose client certificate is `user`."""

    def __init__(self, ca: Path, user: Pair) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(user.certificate, user.key)
        # Nothing is tried twice: that a server is away is what some ask for. Proxies of the machine are not used.
        self._pool = urllib3.PoolManager(ssl_context=context, timeout=TIMEOUT, retries=False)

    def get(self, url: str, accept: str = "*/*") -> str:
        return self._send("GET", url, {"Accept": accept})

    def post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._send("POST", url, {"Content-Type": "application/json"}, body))
        return answer

    def apply(self, url: str, body: dict[str, Any]) -> None:
        """Server-side, also where another manager set a field otherwise."""
        query = "fieldManager=controlplane&force=true"
        self._send("PATCH", f"{url}?{query}", {"Content-Type": "application/apply-patch+yaml"}, body)

    def delete(self, url: str) -> None:
        self._send("DELETE", url, {})

    def close(self) -> None:
        """End the connections that are kept; a request after it makes a new one."""
        self._pool.clear()

    def answers(self, url: str) -> bool:
        """Whether a GET succeeds now."""
        try:
            self.get(url)
        except (ApiError, OSError):
            return False
        return True

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: dict[str, Any] | None = None) -> str:
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = self._pool.request(method, url, body=content, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"{method} {url}: {error}") from error
        said = answer.data.decode(errors="replace")
        if answer.status >= 400:
            raise ApiError(answer.status, f"{method} {url}: {answer.status} {_message(said)}")
        return said


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip()[:500]
