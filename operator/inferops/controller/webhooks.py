"""Sends JSON to an HTTP endpoint, and takes no more from it than its status and a sentence.

No redirect is followed, no cookie kept, no credential and no proxy of the environment used, and no connection kept:
the next call looks its host up anew. What is answered is somebody else's: its size and its time are bounded.
"""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver

from inferops.controller.webhookhosts import Forbidden
from inferops.kube.session import user_agent

BODY = 1024  # bytes that are read of an answer
BODY_PATIENCE = 2.0  # seconds for them; the status is known by then
SENTENCE = 400  # characters
PASSING = (408, 425, 429)  # statuses after which the same call may be answered otherwise, beside those of 500 and more


class NoAnswer(Exception):
    """Nobody answered. The message says why, and does not tell the URL."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered."""

    status: int
    said: str = ""  # for people; empty: nothing that they could read
    retry_after: float | None = None  # seconds

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def passing(self) -> bool:
        """Whether the same call may soon be answered otherwise."""
        return self.status in PASSING or self.status >= 500


class Posting(Protocol):
    """Who sends JSON."""

    async def post(self, url: str, body: Mapping[str, Any], timeout: float) -> Answer: ...


class Poster:
    """`Posting` over HTTP. Close it when done."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        """`resolver`: who looks up hosts; None: the machine, wherever they lead."""
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._resolver is not None:
            await self._resolver.close()

    async def post(self, url: str, body: Mapping[str, Any], timeout: float) -> Answer:
        """Send `body`, and wait at most `timeout` seconds for a status. Raises NoAnswer."""
        session = self._session or self._open()
        try:
            async with asyncio.timeout(timeout):
                response = await session.post(url, json=body, allow_redirects=False)
        except TimeoutError:
            raise NoAnswer(f"no answer within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(_why(error)) from None
        try:
            wait = response.headers.get("Retry-After", "")
            after = float(wait) if wait.isdecimal() and len(wait) < 9 else None
            return Answer(response.status, await _said(response), after)
        finally:
            response.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            headers={
                "User-Agent": user_agent(),
                "Accept": "application/json, text/plain",
                "Accept-Encoding": "identity",
            },
            auto_decompress=False,  # compressed, a few bytes may become more than there is memory for
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),  # each call has its own
            connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False, force_close=True, resolver=self._resolver),
        )
        return self._session


def plain(text: str, limit: int = SENTENCE) -> str:
    """`text` on one line, without what moves a terminal's cursor or turns its letters around, and not too long."""
    shown = "".join(letter if unicodedata.category(letter)[0] not in "CZ" else " " for letter in text[: 4 * limit])
    words = " ".join(shown.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


async def _said(response: aiohttp.ClientResponse) -> str:
    """The sentence in the first part of an answer: its plain text, or the `message` of its JSON."""
    kind = response.content_type
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return ""
    if kind != "text/plain" and kind != "application/json" and not kind.endswith("+json"):
        return ""
    body = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(BODY_PATIENCE):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) >= BODY:
                    break
    text = bytes(body[:BODY]).decode(errors="replace")
    if kind == "text/plain":
        return plain(text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    message = found.get("message") if isinstance(found, dict) else None
    return plain(message) if isinstance(message, str) else ""


def _why(error: Exception) -> str:
    """What kept it from an answer, without the address, which may be a secret."""
    cause = getattr(error, "os_error", None)
    if isinstance(cause, Forbidden):
        return str(cause)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS connection can be made, or its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"it cannot be reached ({error.os_error.strerror or type(error.os_error).__name__})"
    return f"no HTTP answer ({type(error).__name__})"
