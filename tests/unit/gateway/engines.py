"""Tiny engines on loopback that do as they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

CHAT = {"model": "llama", "messages": [{"role": "user", "content": "Hello"}]}
STREAMED = {**CHAT, "stream": True}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@dataclass(slots=True)
class Seen:
    """A request as the engine got it, and the way to answer."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    def header(self, name: str) -> str | None:
        return dict((key.lower(), value) for key, value in self.headers).get(name.lower())

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


def error(body: bytes) -> Any:
    """What an answer says went wrong."""
    return json.loads(body)["error"]


Does = Callable[[Seen], Awaitable[None]]


def says(status: int = 200, body: Any = None, **headers: str) -> Does:
    """Answers with JSON."""

    async def does(seen: Seen) -> None:
        content = (
            body
            if isinstance(body, bytes)
            else json.dumps({"id": "1", "usage": USAGE} if body is None else body).encode()
        )
        fields = {"content_type": "application/json", **headers}
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        await seen.send(f"HTTP/1.1 {status} X\r\n{lines}content-length: {len(content)}\r\n\r\n".encode() + content)

    return does


async def resets(seen: Seen) -> None:
    """Closes the connection without a word."""
    seen.writer.transport.abort()


async def breaks_off(seen: Seen) -> None:
    """Ends in the middle of a whole answer."""
    await seen.send(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"id":')
    seen.writer.close()


async def babbles(seen: Seen) -> None:
    """Answers in no protocol."""
    await seen.send(b"SSH-2.0-OpenSSH_9.6\r\n")


async def hangs(seen: Seen) -> None:
    """Says nothing for as long as the connection lives."""
    await seen.reader.read()


def in_turn(*script: Does) -> Does:
    """What several engines do together: one thing after the other, whoever is asked, and the last one for ever."""
    left = list(script)

    async def does(seen: Seen) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(seen)

    return does


def event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def token(text: str) -> bytes:
    return event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})


DONE = event(b"[DONE]")
COUNTS = event({"object": "chat.completion.chunk", "choices": [], "usage": USAGE})
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streams(*pieces: bytes, then: Does | None = None) -> Does:
    """Streams these pieces, a chunk each; then it ends well, or does something else."""

    async def does(seen: Seen) -> None:
        await seen.send(STREAM)
        for piece in pieces:
            await seen.send(chunk(piece))
        if then is not None:
            await then(seen)
        else:
            await seen.send(b"0\r\n\r\n")

    return does


class Engine:
    """Does one thing after the other, a request each, and the last one again and again."""

    def __init__(self, *script: Does, patient: bool = True) -> None:
        """`patient`: it reads a body before it answers."""
        self.seen: list[Seen] = []
        self.connections = 0
        self.left = asyncio.Event()  # somebody closed a connection
        self.address = ""
        self._script = list(script) or [says()]
        self._patient = patient

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.transport.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = [cast(tuple[str, str], tuple(line.split(": ", 1))) for line in head[1:] if line]
                sizes = [int(value) for name, value in headers if name.lower() == "content-length" and self._patient]
                seen = Seen(method, target, headers, await reader.readexactly(sum(sizes)), writer, reader)
                self.seen.append(seen)
                await self._script[min(len(self.seen), len(self._script)) - 1](seen)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()


@asynccontextmanager
async def engines(*all_: Engine) -> AsyncIterator[None]:
    """Run engines."""
    servers = [await each.start() for each in all_]
    try:
        yield
    finally:
        for server in servers:
            server.close()
