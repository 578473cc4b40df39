"""HTTP/1.1 to replicas: connections that are kept, one request written in one piece, and the answer as it comes.

This uses the client's protocol and parser of aiohttp without its session, which would spend three times as long on a
request as all that is done here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit

from aiohttp import ClientError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

CONNECT = 5.0  # seconds for a connection
CONNECT_FAR = 2.0  # likewise, TLS included, to another cluster, while a request has its place here
ALIVE = (5, 2, 3)  # seconds without a byte until the other side is asked, then between askings, and how many are missed
UNSENT = 11_000  # milliseconds that bytes may go unacknowledged: as long as these take together
KEEP = 3.0  # seconds that an unused one is kept: engines close theirs after 5
KEEP_FAR = 30.0  # likewise to another cluster, where a new one takes several ways there and back
FIELD = 65536  # bytes of a header line
TOGETHER = 65536  # bytes of a body that are copied to go out with the head
SWITCHING = 101


class Unreached(Exception):
    """No answer came. `sent`: whether the replica may have the request."""

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Broken(Exception):
    """What came was no HTTP, or ended early."""


class Answer:
    """A replica's answer: its head, and the body while it comes. It must be closed."""

    __slots__ = ("_body", "_protocol", "_upstream", "address", "headers", "raw_headers", "status")

    def __init__(
        self, upstream: Upstream, address: str, protocol: ResponseHandler, head: RawResponseMessage, body: StreamReader
    ) -> None:
        self.status = head.code
        self.headers = head.headers
        self.raw_headers = head.raw_headers
        self.address = address  # of the replica
        self._upstream, self._protocol, self._body = upstream, protocol, body

    def at_hand(self) -> bytes | None:
        """The whole body, where it has arrived already."""
        return self._body.read_nowait() if self._body.is_eof() and self._body.exception() is None else None

    async def piece(self) -> bytes:
        """Bytes of the body as soon as there are some; none: it has ended. Raises Broken."""
        try:
            return await self._body.readany()
        except (ClientError, OSError, HttpProcessingError) as error:
            raise Broken("its connection was lost") from error

    def close(self) -> None:
        """Keep the connection where the answer was read to its end, else close it at once."""
        self._upstream.give_back(self.address, self._protocol)


class Upstream:
    """The connections to all replicas, by address."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells monotonic seconds."""
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._unused: dict[str, list[tuple[ResponseHandler, float]]] = {}  # with the time of their last use

    def __len__(self) -> int:
        """Connections that are kept and not used."""
        return sum(map(len, self._unused.values()))

    async def send(self, address: str, head: bytes, body: bytes, bodiless: bool = False) -> Answer:
        """Send a request, whose head lacks nothing, to host:port, or to the http(s)://host:port of another cluster's
        gateways. Raises Unreached and Broken.

        `bodiless`: the answer has no body, whatever its head says.
        """
        protocol = self._take(address)
        if protocol is None:
            protocol = await self._connect(address)
        try:
            protocol.set_response_params(skip_payload=bodiless, auto_decompress=False, max_field_size=FIELD)
            self._write(protocol, head, body)
            message, payload = await protocol.read()
            while message.code < 200 and message.code != SWITCHING:  # it only says that it is there
                message, payload = await protocol.read()
        except HttpProcessingError as error:
            protocol.close()
            raise Broken(error.message) from error
        except (ClientError, OSError) as error:
            protocol.close()
            raise Unreached(str(error) or type(error).__name__, sent=True) from error
        except BaseException:
            protocol.close()
            raise
        if message.code == SWITCHING:
            protocol.close()
            raise Broken("it changed the protocol unasked")
        return Answer(self, address, protocol, message, payload)

    def give_back(self, address: str, protocol: ResponseHandler) -> None:
        """Keep a connection that is ready for another request; close any other."""
        transport = protocol.transport
        if transport is None or protocol.should_close or transport.get_write_buffer_size():
            protocol.close()
        else:
            self._unused.setdefault(address, []).append((protocol, self._clock()))

    def sweep(self) -> None:
        """Close what was not used for a while. To be called about every second."""
        now = self._clock()
        for address, unused in list(self._unused.items()):
            oldest = now - _keep(address)
            kept = [one for one in unused if one[1] > oldest and one[0].is_connected()]
            for protocol, used in unused:
                if used <= oldest:
                    protocol.close()
            if kept:
                self._unused[address] = kept
            else:
                del self._unused[address]

    def close(self) -> None:
        """Close all unused connections."""
        for unused in self._unused.values():
            for protocol, _ in unused:
                protocol.close()
        self._unused.clear()

    def _take(self, address: str) -> ResponseHandler | None:
        """The connection that was used last, if it is still good."""
        unused = self._unused.get(address)
        while unused:
            protocol, used = unused.pop()
            if self._clock() - used < _keep(address) and protocol.is_connected() and not protocol.should_close:
                return protocol
            protocol.close()
        return None

    async def _connect(self, address: str) -> ResponseHandler:
        host, _, port = address.rpartition(":")
        far = "://" in address
        limit, tls = CONNECT_FAR if far else CONNECT, None
        try:
            if far:
                host, port, tls = _far(address)
            async with asyncio.timeout(limit):
                transport, protocol = await self._loop.create_connection(
                    lambda: ResponseHandler(self._loop), host.strip("[]"), int(port), ssl=tls
                )
        except TimeoutError:
            raise Unreached(f"no connection in {limit:.0f} s", sent=False) from None
        except (OSError, ValueError, OverflowError) as error:
            raise Unreached(str(error) or type(error).__name__, sent=False) from error
        if far:
            _keep_alive(transport)
        return protocol

    def _write(self, protocol: ResponseHandler, head: bytes, body: bytes) -> None:
        transport = protocol.transport
        if transport is None:
            raise ConnectionResetError("the connection was closed")
        if len(body) <= TOGETHER:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)


def _keep(address: str) -> float:
    return KEEP_FAR if "://" in address else KEEP


def _far(url: str) -> tuple[str, str, ssl.SSLContext | None]:
    """Host, port and TLS of another cluster's gateways. Raises ValueError."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    return parts.hostname or "", str(parts.port or (443 if secure else 80)), _verified() if secure else None


@cache
def _verified() -> ssl.SSLContext:
    """TLS with certificates that the system trusts."""
    return ssl.create_default_context()


def _keep_alive(transport: asyncio.Transport) -> None:
    """Have the connection end soon after the other side is cut off: its answers may be long in coming, and its silence
    tells nothing."""
    found = transport.get_extra_info("socket")
    if found is None:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    for name, value in zip(names, (*ALIVE, UNSENT), strict=True):
        if (option := getattr(socket, name, None)) is not None:  # not every system has them
            found.setsockopt(socket.IPPROTO_TCP, option, value)
