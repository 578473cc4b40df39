"""The access log: one JSON line a request, without prompts, keys or anything else that a header holds.

Lines are put together many at a time, which is quicker and not on a request's way, and written every tenth of a second.
Where nobody reads what is written (a full pipe), lines are dropped and counted, and requests go on.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted  # escapes whatever could end a string or a line
from typing import Literal

from inferops.gateway.signals.meters import NOBODY
from inferops.gateway.signals.record import Record

Mode = Literal["all", "errors", "off"]
INTERVAL = 0.1  # seconds between two writes
ROOM = 4 * 1024 * 1024  # bytes that may wait to be written
PIECE = 4096  # bytes a write: a pipe that is ready takes as many without blocking, and in one piece
LONGEST = 512  # characters of what the client chose
TOGETHER = 64  # records that are made lines of at a time, some 0.2 ms


class AccessLog:
    """Writes records to a file descriptor, which stays the caller's to close."""

    def __init__(self, descriptor: int, mode: Mode, wall: Callable[[], float] = time.time) -> None:
        """`mode`: errors are answers of 400 and above and whatever else has an error. `wall`: now, in Unix time."""
        self.dropped = 0  # lines
        self._descriptor = descriptor
        self._mode = mode
        self._wall = wall
        self._records: list[tuple[Record, float]] = []  # with their ends
        self._waiting = bytearray()  # lines
        self._timer: asyncio.TimerHandle | None = None
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, record: Record) -> None:
        """Tell of a request that has ended, and whose record nobody changes any more. Needs a running loop."""
        if self._mode == "off" or (self._mode == "errors" and record.status < 400 and not record.error):
            return
        self._records.append((record, self._wall()))
        if len(self._records) >= TOGETHER:
            self._put_together()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._due)

    def flush(self) -> None:
        """Write what the descriptor takes without blocking. An error of it drops what waits."""
        self._put_together()
        data, at = bytes(self._waiting), 0
        try:
            while at < len(data) and self._writable():
                end = at + PIECE
                if end < len(data):  # whole lines, so that what others write does not come between
                    end = data.rfind(b"\n", at, end) + 1 or end
                at += os.write(self._descriptor, data[at:end])
        except BlockingIOError:
            pass
        except OSError:
            self.dropped += data.count(b"\n", at)
            at = len(data)
        del self._waiting[:at]

    def close(self) -> None:
        """The end: write what can be written; what cannot is dropped and counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()
        self.dropped += self._waiting.count(b"\n")
        self._waiting.clear()

    def _put_together(self) -> None:
        lines = [line(record, ended) for record, ended in self._records]
        self._records.clear()
        for number, each in enumerate(lines):
            if len(self._waiting) + len(each) > ROOM:
                self.dropped += len(lines) - number
                break
            self._waiting += each

    def _due(self) -> None:
        self._timer = None
        self.flush()
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._due)

    def _writable(self) -> bool:
        """Whether a write would not wait. One that fails at once does not wait either."""
        return bool(self._poll.poll(0))


def line(record: Record, now: float) -> bytes:
    """A record as JSON with its newline, `now` (Unix time) being its end. Times are told in milliseconds."""
    namespace, service = record.key or NOBODY
    first = "null" if record.first is None else f"{record.first * 1000:.2f}"
    tokens_in = "null" if record.tokens_in is None else record.tokens_in
    tokens_out = "null" if record.tokens_out is None else record.tokens_out
    whole = int(now)
    text = (
        f'{{"time":"{_seconds(whole)}.{int((now - whole) * 1000):03}Z",'
        f'"requestId":{quoted(record.request_id[:LONGEST])},"traceId":{quoted(record.trace[:LONGEST])},"client":{quoted(record.client[:LONGEST])},'
        f'"namespace":"{namespace}","service":"{service}","revision":"{record.revision}","replica":"{record.replica}",'
        f'"spilledTo":"{record.spilled}","spilled":{"true" if record.received else "false"},'
        f'"model":{quoted(record.model[:LONGEST])},"method":{quoted(record.method[:LONGEST])},'
        f'"path":{quoted(record.path[:LONGEST])},'
        f'"status":{record.status},"stream":{"true" if record.stream else "false"},'
        f'"queuedMs":{record.queued * 1000:.2f},"firstMs":{first},"durationMs":{record.duration * 1000:.2f},'
        f'"tokensIn":{tokens_in},"tokensOut":{tokens_out},"attempts":{record.attempts},"bytes":{record.sent},'
        f'"error":{quoted(record.error[:LONGEST])}}}\n'
    )
    return text.encode("ascii")


@lru_cache(maxsize=2)
def _seconds(whole: int) -> str:
    """A second of Unix time as RFC 3339 has it, without its zone. Thousands of lines share one."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
