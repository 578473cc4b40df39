"""Follows a list of objects for as long as somebody listens: one list, then changes, then again after a break."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp

from nodeagent.client import ApiError, Client, Json

logger = logging.getLogger(__name__)

SERVER_CLOSES_AFTER = 300  # seconds; asks the server to end a watch that would otherwise go stale unnoticed
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0  # seconds between attempts while the server does not answer


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything there is. What is known and not in it is gone."""

    items: list[Json]


@dataclass(frozen=True, slots=True)
class Changed:
    """One object was added, modified or deleted since."""

    kind: str  # ADDED, MODIFIED, DELETED
    object: Json


class Expired(Exception):
    """The resource version is too old to go on from: list again."""


async def follow(client: Client, path: str, params: Mapping[str, str]) -> AsyncIterator[Listed | Changed]:
    """List `path`, then yield its changes; after an expired version list again. Ends only by cancellation."""
    pause = FIRST_PAUSE
    while True:
        try:
            answer = await client.get(path, **params)
            yield Listed(answer.get("items") or [])
            pause = FIRST_PAUSE
            async for change in _changes(client, path, params, answer["metadata"]["resourceVersion"]):
                yield change
        except Expired:
            logger.info("watching %s: the version expired, listing again", path)
        except (aiohttp.ClientError, TimeoutError, ApiError) as error:
            logger.warning("watching %s: %s; again in %.1f s", path, error, pause)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)


async def _changes(client: Client, path: str, params: Mapping[str, str], version: str) -> AsyncIterator[Changed]:
    while True:
        query = {
            **params,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(SERVER_CLOSES_AFTER),
        }
        try:
            async with client.stream(path, query) as response:
                async for line in _lines(response.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _failure(path, event["object"])
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield Changed(event["type"], event["object"])
        except aiohttp.ClientPayloadError:  # cut off: go on from the last version seen
            await asyncio.sleep(FIRST_PAUSE)
        except ApiError as error:
            if error.status == 410:
                raise Expired from error
            raise


def _failure(path: str, status: Json) -> Exception:
    if status.get("code") == 410:
        return Expired()
    return ApiError("WATCH", path, int(status.get("code") or 500), str(status.get("message")))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length; the reader's own iteration refuses those beyond its buffer."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
