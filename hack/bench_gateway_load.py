"""The load of the gateway's benchmark: requests on kept connections, in a closed or an open loop, and streams.

Bare protocols on uvloop, so that what sends is not what limits.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from bench_gateway_backend import PACE

Address = tuple[str, int]
_TOKEN = re.compile(rb'"content":\s?"(\d+\.\d+) "')
_LONGEST_ANSWER = 60.0  # seconds: what takes longer hangs
Made = TypeVar("Made", bound=asyncio.BaseProtocol)


@dataclass(slots=True)
class Answers:
    """What came of requests."""

    seconds: float = 0.0  # that it took, all together
    times: list[float] = field(default_factory=list)  # seconds of each that went well
    failed: int = 0  # answered otherwise, or not at all


@dataclass(slots=True)
class Streams:
    """What came of streams."""

    asked: int
    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)  # seconds from the engine's sending to the arrival, each token
    whole: int = 0  # that had all their tokens and the end


class Connection(asyncio.Protocol):
    """Sends a request at a time and says when the answer is there, and its status; 0: the connection was lost."""

    def __init__(self, done: Callable[[Connection, int], None]) -> None:
        self.done = done
        self.sent = 0.0
        self.buffer = b""
        self.busy = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not derived from it

    def send(self, request: bytes, since: float) -> None:
        self.sent, self.busy = since, True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if complete(self.buffer):
            status, self.buffer, self.busy = int(self.buffer[9:12]), b"", False
            self.done(self, status)

    def connection_lost(self, error: Exception | None) -> None:
        if self.busy:
            self.busy = False
            self.done(self, 0)


def complete(answer: bytes) -> bool:
    """Whether an HTTP answer is all there."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = answer[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        return answer.endswith(b"\r\n0\r\n\r\n")
    return len(answer) >= end + 4 + int(head[at + 15 :].partition(b"\r\n")[0])


class Stream(asyncio.Protocol):
    """One streamed answer: how late its tokens are, and whether all of them came."""

    def __init__(self, request: bytes, tokens: int, told: Streams) -> None:
        self.request, self.missing, self.told = request, tokens, told
        self.ended = asyncio.get_running_loop().create_future()
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        text = self.rest + data
        for found in _TOKEN.finditer(text):
            self.told.delays.append(now - float(found[1]))
            self.missing -= 1
        self.rest = text[text.rfind(b"\n\n") + 1 :] if b"\n\n" in text else text
        if b"data: [DONE]" in text:
            self.told.whole += self.missing == 0
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def closed(address: Address, requests: Sequence[bytes], connections: int, seconds: float) -> Answers:
    """Each connection sends its next request when it has the answer to the last."""
    told, position, working = Answers(), 0, connections
    ended = asyncio.get_running_loop().create_future()

    def done(connection: Connection, status: int) -> None:
        nonlocal working
        now = time.monotonic()
        if status == 200:
            told.times.append(now - connection.sent)
        else:
            told.failed += 1
        if now < end and status:
            following(connection, now)
            return
        working -= 1
        if not working:
            ended.set_result(None)

    def following(connection: Connection, now: float) -> None:
        nonlocal position
        connection.send(requests[position], now)
        position = (position + 1) % len(requests)

    opened = await connect(address, connections, lambda: Connection(done))
    started = time.monotonic()
    end = started + seconds
    for connection in opened:
        following(connection, time.monotonic())
    await asyncio.wait_for(ended, seconds + _LONGEST_ANSWER)
    told.seconds = time.monotonic() - started
    for connection in opened:
        connection.transport.close()
    return told


async def steady(address: Address, requests: Sequence[bytes], connections: int, rate: float, seconds: float) -> Answers:
    """So many requests a second, whatever the answers take: one that finds no connection free waits, which counts."""
    told, position = Answers(), 0
    free: deque[Connection] = deque()
    due: deque[float] = deque()

    def done(connection: Connection, status: int) -> None:
        now = time.monotonic()
        if status == 200:
            told.times.append(now - connection.sent)
        else:
            told.failed += 1
        if status:
            free.append(connection)
            send()

    def send() -> None:
        nonlocal position
        while free and due:
            free.popleft().send(requests[position], due.popleft())
            position = (position + 1) % len(requests)

    free.extend(opened := await connect(address, connections, lambda: Connection(done)))
    started, asked = time.monotonic(), 0
    while asked < int(seconds * rate):  # all of them, however little time this process gets
        now = time.monotonic()
        for _ in range(int(min(now - started, seconds) * rate) - asked):
            due.append(now)
            asked += 1
        send()
        await asyncio.sleep(max(0.0005, started + (asked + 1) / rate - time.monotonic()))
    await drained(lambda: len(told.times) + told.failed >= asked)
    told.seconds = time.monotonic() - started
    told.failed += asked - len(told.times) - told.failed
    for connection in opened:
        connection.transport.close()
    return told


async def stream(address: Address, requests: Sequence[bytes], count: int, tokens: int) -> Streams:
    """So many streams at once, begun one after the other within a second, all to their ends."""
    told, running = Streams(count), []
    started = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / count - time.monotonic()))
        request = requests[number % len(requests)]
        running += await connect(address, 1, lambda request=request: Stream(request, tokens, told))  # type: ignore[misc]
    await asyncio.wait([each.ended for each in running], timeout=tokens * PACE + _LONGEST_ANSWER)
    told.seconds = time.monotonic() - started
    for each in running:
        each.transport.close()
    return told


async def connect(address: Address, count: int, make: Callable[[], Made]) -> list[Made]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(make, *address))[1] for _ in range(count)]


async def drained(done: Callable[[], bool]) -> None:
    """Until all is answered, or nothing will be."""
    for _ in range(int(_LONGEST_ANSWER / 0.05)):
        if done():
            return
        await asyncio.sleep(0.05)
