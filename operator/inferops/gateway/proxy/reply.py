"""An answer that is here as a whole, written in one piece.

aiohttp's own response takes three times as long to put together, and most requests have one of these.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter


class Whole(web.StreamResponse):
    """Head and body as bytes, for HTTP/1.1."""

    def __init__(self, status: int, head: bytes, body: bytes, last: bool) -> None:
        """`head`: with the empty line at its end. `last`: the connection is closed after it, and the head says so."""
        super().__init__(status=status)
        self._head = head
        self._whole = body
        self._close = last
        self._request: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing is written before `write_eof`."""
        self._request = request
        self._keep_alive = request.keep_alive and not self._close
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write it all. Raises ConnectionError."""
        request, self._request = self._request, None
        if request is None:  # it was written before
            return
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client went away")
        transport.write(self._head + self._whole)
        self._eof_sent = True
        if transport.get_write_buffer_size():
            await request.writer.drain()
