"""Reads the bodies of requests, each up to a limit, and of all that are held at a time no more than memory allows."""

from __future__ import annotations

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from inferops.gateway.proxy.errors import INVALID, UNAVAILABLE, ApiError, bad_request

LARGEST = 32 << 20  # bytes
MOST = 256 << 20  # bytes of all bodies
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Bodies:
    """Those of one gateway. They are held while their requests go on, since another replica may need them."""

    def __init__(self, largest: int = LARGEST, most: int = MOST) -> None:
        self.largest = largest
        self.most = most
        self.held = 0  # bytes

    async def read(self, request: web.BaseRequest) -> bytes:
        """The whole body, to be released. Raises `ApiError`, and ConnectionError where the client went away."""
        content = request.content
        if content.is_eof():  # it is here already
            body = content.read_nowait()
            self._take(len(body), len(body))
            return body
        declared = request.headers.get("Content-Length", "")
        if declared.isdigit():
            self._check(int(declared), int(declared))
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(CONTINUE)
        pieces, size = [], 0
        try:
            while piece := await content.readany():
                self._take(len(piece), size + len(piece))
                size += len(piece)
                pieces.append(piece)
        except (RequestPayloadError, HttpProcessingError) as error:
            self.release(size)
            raise bad_request(f"the body is not as its headers say: {error}", code="invalid_body") from None
        except BaseException:
            self.release(size)
            raise
        return b"".join(pieces)

    def release(self, size: int) -> None:
        """A body of so many bytes is not needed any more."""
        self.held -= size

    def _take(self, more: int, size: int) -> None:
        self._check(more, size)
        self.held += more

    def _check(self, more: int, size: int) -> None:
        """Whether a body of `size` bytes may be, and `more` of it may be held. Raises `ApiError`."""
        if size > self.largest:
            message = f"the body is larger than {self.largest >> 20} MiB; shorten the prompt"
            raise ApiError(413, INVALID, message, code="request_too_large")
        if self.held + more > self.most:
            message = "the gateway holds as much of other requests as it may; send it again"
            raise ApiError(503, UNAVAILABLE, message, code="gateway_full", retry_after=1)
