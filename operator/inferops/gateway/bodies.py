"""Reads the body of a request, up to a limit."""

from __future__ import annotations

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from inferops.gateway.errors import INVALID, ApiError, bad_request

LARGEST = 32 << 20  # bytes
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read(request: web.BaseRequest, largest: int = LARGEST) -> bytes:
    """The whole body. Raises `ApiError`, and ConnectionError where the client went away."""
    content = request.content
    if content.is_eof():  # it is here already
        body = content.read_nowait()
        if len(body) > largest:
            raise _too_large(largest)
        return body
    declared = request.headers.get("Content-Length", "")
    if declared.isdigit() and int(declared) > largest:
        raise _too_large(largest)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(CONTINUE)
    pieces, size = [], 0
    try:
        while piece := await content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > largest:
                raise _too_large(largest)
    except (RequestPayloadError, HttpProcessingError) as error:
        raise bad_request(f"the body is not as its headers say: {error}", code="invalid_body") from None
    return b"".join(pieces)


def _too_large(largest: int) -> ApiError:
    return ApiError(
        413, INVALID, f"the body is larger than {largest >> 20} MiB; shorten the prompt", code="request_too_large"
    )
