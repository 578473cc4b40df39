"""Reads a model's facts from a hub over HTTP: small files, within one time-out, from hosts that may be asked.

No credentials are sent: the operator reads no Secret. What a hub answers is somebody else's: its size is capped and
every part of it is checked.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from inferops.core.config_json import BadConfig, facts_of
from inferops.core.facts import ModelFacts
from inferops.kube.session import user_agent

HUB = "https://huggingface.co"
TIMEOUT = 5.0  # seconds for all that is asked of a model
LARGEST = 5_000_000  # bytes of a file
HEAD = 65_536  # bytes of the index of weights, which begins with their sum and may be larger than all else
REDIRECTS = 5
REMEDY = "put its config.json into a ConfigMap and name that in spec.model.config"
TOTAL = re.compile(rb'"total_size"\s*:\s*([0-9]{1,18})\b')
# Files that are so much smaller or larger than their shape says are not what engines load: the sum of an unquantized
# original, or of 32 bits where 16 are loaded.
PLAUSIBLE = (0.6, 1.6)


class HubError(Exception):
    """A hub does not tell what a model is. The message says why and what to do."""

    def __init__(self, message: str, *, passing: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.passing = passing  # whether the same question may soon be answered
        self.retry_after = retry_after  # seconds


class Hub:
    """A model hub with Hugging Face's paths. One session, without cookies; close it when done."""

    def __init__(self, endpoint: str = HUB, *, plain_redirects: bool = False, timeout: float = TIMEOUT) -> None:
        """`plain_redirects`: whether another host may be asked without TLS, as in a mirror of one's own.

        Raises ValueError where `endpoint` is no http(s) URL.
        """
        self.endpoint = URL(endpoint.rstrip("/"))
        if self.endpoint.scheme not in ("http", "https") or not self.endpoint.host or self.endpoint.user:
            raise ValueError(f"hub: {endpoint!r} must be a URL such as {HUB}, without user and password")
        self._plain_redirects = plain_redirects
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def facts(self, repository: str, revision: str | None = None) -> ModelFacts:
        """The facts of ORG/MODEL at a commit, branch or tag; None: its main branch. Raises HubError."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._facts(repository, revision or "main")
        except TimeoutError:
            raise HubError(f"{self.endpoint} did not answer in {self._timeout:g} s", passing=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise HubError(f"{self.endpoint} cannot be asked: {error or type(error).__name__}", passing=True) from error
        except BadConfig as error:
            raise HubError(f"{error} (or {REMEDY})", passing=False) from error

    async def _facts(self, repository: str, revision: str) -> ModelFacts:
        root = URL(f"{self.endpoint}/{quote(repository)}/resolve/{quote(revision, safe='')}/", encoded=True)
        content = await self._file(root, "config.json", LARGEST)
        if content is None:
            raise HubError(
                f"{self.endpoint} has no config.json of {repository} at {revision}; correct spec.model.uri and "
                f"spec.model.revision, or {REMEDY}",
                passing=False,
            )
        config = _object(content, repository, "config.json")
        sidecar = None
        if not config.get("quantization_config"):
            beside = await self._file(root, "hf_quant_config.json", LARGEST)
            sidecar = _object(beside, repository, "hf_quant_config.json") if beside is not None else None
        known = facts_of(config, repository, quantization_config=sidecar)
        total = TOTAL.search(await self._file(root, "model.safetensors.index.json", HEAD, whole=False) or b"")
        size = float(total[1]) if total else 0.0
        low, high = (factor * known.weight_bytes() for factor in PLAUSIBLE)
        if not low <= size <= high:
            return known
        return facts_of(config, repository, quantization_config=sidecar, checkpoint_bytes=size)

    async def _file(self, root: URL, name: str, most: int, *, whole: bool = True) -> bytes | None:
        """A file of a repository, or its first `most` bytes; None where there is none."""
        url = root.join(URL(name))
        for _ in range(REDIRECTS + 1):
            session = self._session or self._open()
            async with session.get(url, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = self._redirected(url, response.headers.get("Location", ""))
                    continue
                if response.status in (404, 410):
                    return None
                if response.status != 200:
                    raise self._refused(response, name)
                return await self._body(response, name, most, whole=whole)
        raise HubError(f"{self.endpoint} sends {name} round in circles; {REMEDY}", passing=False)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            # Compressed, a few bytes may become more than there is memory for.
            headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=16),
        )
        return self._session

    def _redirected(self, url: URL, location: str) -> URL:
        """Where a redirect leads. On another host only TLS is trusted."""
        try:
            target = url.join(URL(location, encoded=True))
        except ValueError:
            target = URL()
        same = target.scheme == url.scheme and target.authority == url.authority
        if same or target.scheme == "https" or (self._plain_redirects and target.scheme == "http"):
            return target.with_user(None)
        raise HubError(
            f"{self.endpoint} redirects to {str(target)[:100]!r}, which is not https; {REMEDY}", passing=False
        )

    def _refused(self, response: aiohttp.ClientResponse, name: str) -> HubError:
        status = f"{self.endpoint} answers {response.status} for {name}"
        if response.status in (401, 403):
            return HubError(
                f"{status}: the model is gated or private, or not there, and the operator sends no credentials; "
                f"{REMEDY}",
                passing=False,
            )
        wait = response.headers.get("Retry-After", "")
        passing = response.status == 429 or response.status >= 500
        return HubError(
            status if passing else f"{status}; {REMEDY}",
            passing=passing,
            retry_after=min(float(wait), 3600.0) if wait.isdecimal() and len(wait) < 9 else None,
        )

    async def _body(self, response: aiohttp.ClientResponse, name: str, most: int, *, whole: bool) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > most:
                if whole:
                    raise HubError(f"{name} at {self.endpoint} is larger than {most:,} bytes; {REMEDY}", passing=False)
                break
        return bytes(content[:most])


def _object(content: bytes, repository: str, file: str) -> Mapping[str, Any]:
    return parsed(content, f"{file} of {repository}")


def parsed(content: bytes | str, what: str) -> Mapping[str, Any]:
    """The JSON object in `content`. Raises BadConfig that names `what`."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
        raise BadConfig(f"{what}: is no JSON ({reason}); give the file as the repository has it") from error
    if not isinstance(found, dict):
        raise BadConfig(f"{what}: is no JSON object; give the file as the repository has it")
    return found
