"""The metrics that pods tell themselves, over HTTP. What they answer is untrusted: its size and time are bounded, it is
never unpacked, only the lines that are wanted are parsed, and what is broken reads as not told."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Hashable, Iterator, Mapping
from ipaddress import ip_address
from typing import TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from inferops.signals.reading import Reading, Readout, Sample, Target, names_of, read, readout

BODY = 4 * 2**20  # bytes of an answer
LINES = 5000  # that are parsed of it
LINE = 4096  # bytes
ANSWER = 3.0  # seconds that one pod may take
ROUND = 10.0  # seconds that all together may take; whoever is not asked by then is asked next time
AT_ONCE = 16
ACCEPT = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}

# The usual line, without escapes and time; the library reads all others, twenty times as slowly.
USUAL = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*=\"[^\"\\]*\",?)*)\})?"
    rb" ([-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|\+Inf|NaN)"
)
LABEL = re.compile(r'([^=,]+)="([^"]*)"')

K = TypeVar("K", bound=Hashable)


class Unreadable(Exception):
    """A pod does not tell its metrics. The message is for people."""


class Pods:
    """Asks pods. To be closed."""

    def __init__(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER)
        connector = aiohttp.TCPConnector(limit=AT_ONCE, keepalive_timeout=15)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)

    async def close(self) -> None:
        await self._session.close()

    async def read(self, targets: Mapping[K, Target]) -> dict[K, Reading | str]:
        """What each service's pods tell, or why none of them tells anything. Never raises."""
        found: dict[K, dict[str, Readout]] = {key: {} for key in targets}
        why: dict[K, str] = {}
        turns = asyncio.Semaphore(AT_ONCE)

        async def ask(key: K, pod: str, address: str) -> None:
            target = targets[key]
            async with turns:
                try:
                    found[key][pod] = await self._pod(target, address)
                except Unreadable as error:
                    why.setdefault(key, f"{pod} {error}")

        wanted = [(key, pod, address) for key, target in targets.items() for pod, address in target.pods.items()]
        random.shuffle(wanted)  # nobody's pods that hang keep those of others from being asked for ever
        asked = [asyncio.create_task(ask(*each)) for each in wanted]
        try:
            if asked:
                await asyncio.wait(asked, timeout=ROUND)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        answers: dict[K, Reading | str] = {}
        for key, target in targets.items():
            told = found[key]
            said = why.get(key, "none could be asked in time")
            answers[key] = read(told, target.metrics, target.ttft, target.tpot) if told else f"no pod tells: {said}"
        return answers

    async def _pod(self, target: Target, address: str) -> Readout:
        """What one pod tells. Raises Unreadable."""
        try:
            host = ip_address(address)
            at = f"[{host}]" if host.version == 6 else str(host)
            url = f"http://{at}:{target.port}{target.metrics.endpoint.path}"
            async with self._session.get(url, headers=ACCEPT, allow_redirects=False) as response:
                if response.status != 200:
                    raise Unreadable(f"answers {response.status}")
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise Unreadable("answers compressed, though nobody asked for that")
                body = await _body(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreadable(f"does not answer: {type(error).__name__}") from error
        return readout(samples(body, names_of(target)), target.metrics)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY:
            raise Unreadable(f"answers more than {BODY // 2**20} MiB")
    return bytes(body)


def samples(body: bytes, wanted: frozenset[str]) -> Iterator[Sample]:
    """The samples of these names. Lines of others are never parsed, and those that cannot be are passed over."""
    starts = tuple(name.encode() + after for name in wanted for after in (b"{", b" "))
    lines = 0
    for line in body.split(b"\n"):
        if not line.startswith(starts) or len(line) > LINE:
            continue
        lines += 1
        if lines > LINES:
            return
        yield from parsed(line)


def parsed(line: bytes) -> list[Sample]:
    """The samples of a line; none where it cannot be read."""
    try:
        usual = USUAL.fullmatch(line)
        if usual is not None:
            name, labels, value = usual.groups()
            return [(name.decode(), dict(LABEL.findall(labels.decode())) if labels else {}, float(value))]
        families = list(text_string_to_metric_families(line.decode() + "\n"))
    except Exception:  # the library raises whatever its string functions do
        return []
    return [(each.name, each.labels, each.value) for family in families for each in family.samples]
