"""A line to an address, which fails as lines do: bytes pass, or come late, or connections seem to hang, or are reset.

`bites` counts what came of it, since a fault that hit nobody shows nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

CHUNK = 2**16
BEGIN = 10.0  # seconds
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: what closes is reset, and what it had to say is dropped

Bite = Literal["held", "slowed", "reset"]


class Link:
    """A relay on a port of the loopback interface, in a thread of its own; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.bites: Counter[Bite] = Counter()  # pieces that were held or slowed, connections that were reset
        self._to = (host, port)
        self._late = 0.0
        self._refuses = False
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(BEGIN):
            raise RuntimeError(f"the link to {self._to[0]}:{self._to[1]} did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(BEGIN)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """From now on nothing passes, in either direction; new connections are taken and hear nothing."""
        self._do(self._open.clear)

    def slow(self, seconds: float) -> None:
        """From now on each piece arrives so much later, in both directions."""

        def slow() -> None:
            self._late = seconds

        self._do(slow)

    def reset(self) -> None:
        """Reset the connections of now, whatever is on its way; new ones pass."""
        self._do(self._reset)

    def refuse(self) -> None:
        """Reset the connections of now, and from now on every new one."""

        def refuse() -> None:
            self._refuses = True
            self._reset()

        self._do(refuse)

    def mend(self) -> None:
        """Everything passes again, and at once. What was held is dropped, so that everybody connects anew."""

        def mend() -> None:
            self._refuses, self._late = False, 0.0
            if not self._open.is_set():
                for task in list(self._tasks):
                    task.cancel()
            self._open.set()

        self._do(mend)

    def _do(self, what: Callable[[], object]) -> None:
        """Have it done in the thread, and wait until it is."""
        done = threading.Event()

        def do() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(do)
        if not done.wait(BEGIN):
            raise RuntimeError(f"the link to {self._to[0]}:{self._to[1]} does not answer")

    def _reset(self) -> None:
        for task, writer in list(self._tasks.items()):
            self._end(writer)
            task.cancel()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self.bites["reset"] += 1
        end: socket.socket = writer.get_extra_info("socket")
        with suppress(OSError):  # it is closed by now
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        writer.transport.abort()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over, self._open = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._over.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            self._end(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        with suppress(OSError, asyncio.CancelledError):
            await self._pause()
            there, back = await asyncio.open_connection(*self._to)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass(reader, back))
                    group.create_task(self._pass(there, writer))
            except* OSError:
                pass
            finally:
                back.close()
        writer.close()
        del self._tasks[task]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(CHUNK):
            if self._late:
                self.bites["slowed"] += 1
                await asyncio.sleep(self._late)
            await self._pause()
            writer.write(content)
            await writer.drain()
        writer.close()
        raise ConnectionResetError  # the other direction ends too

    async def _pause(self) -> None:
        if not self._open.is_set():
            self.bites["held"] += 1
            await self._open.wait()
