"""The few requests that the bench itself makes of an API server, with the standard library alone."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

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
        # without the machine's proxies, which lead nowhere from inside the namespace
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def get(self, url: str, accept: str = "*/*") -> str:
        return self._send(urllib.request.Request(url, headers={"Accept": accept}))

    def post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(self._send(request))
        return answer

    def apply(self, url: str, body: dict[str, Any]) -> None:
        """Server-side, also where another manager set a field otherwise."""
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = "fieldManager=controlplane&force=true"
        self._send(urllib.request.Request(f"{url}?{query}", json.dumps(body).encode(), headers, method="PATCH"))

    def delete(self, url: str) -> None:
        self._send(urllib.request.Request(url, method="DELETE"))

    def answers(self, url: str) -> bool:
        """Whether a GET succeeds now."""
        try:
            self.get(url)
        except (ApiError, OSError):
            return False
        return True

    def _send(self, request: urllib.request.Request) -> str:
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                content: bytes = response.read()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            asked = f"{request.get_method()} {request.full_url}"
            raise ApiError(error.code, f"{asked}: {error.code} {_message(said)}") from None
        return content.decode()


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip()[:500]
