"""Headers on their way to an engine and back: what is passed on, what is added, and what stays with the gateway."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from multidict import CIMultiDict

from inferops.gateway.proxy.errors import bad_request
from inferops.gateway.proxy.hop import HEADER
from inferops.gateway.proxy.upstream import Answer, Broken
from inferops.gateway.signals.record import Record

HOP_BY_HOP = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
OWN = ("host", "content-length", "expect", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
       HEADER.lower())  # fmt: skip
NOT_SENT = frozenset(name.encode() for name in (*HOP_BY_HOP, *OWN))  # to engines; OWN are written anew
KEYS = frozenset((b"authorization", b"x-api-key"))  # which stay here where they were checked here
NOT_RETURNED = frozenset((*HOP_BY_HOP, "content-length", "server", "x-request-id"))
NOT_RETURNED_RAW = frozenset(name.encode() for name in NOT_RETURNED)
REASON_PHRASES = {status.value: status.phrase for status in HTTPStatus}
ID_LENGTH = 128
ID_CHARACTERS = string.ascii_letters + string.digits + "._-"
TRACEPARENT = b"traceparent"


def identify(request: web.BaseRequest, record: Record) -> None:
    """Put the ids of a request into its record: its own where it is fit for logs, else a new one; and its trace."""
    given = request.headers.get("X-Request-Id", "")
    fit = 0 < len(given) <= ID_LENGTH and not given.strip(ID_CHARACTERS)
    record.request_id = given if fit else f"{random.getrandbits(128):032x}"
    parts = request.headers.get("Traceparent", "").split("-")
    if len(parts) >= 4 and len(parts[1]) == 32 and not parts[1].strip("0123456789abcdef"):
        record.trace = parts[1]


def sent(request: web.BaseRequest, record: Record, size: int, *, keys_checked: bool, plain: bool) -> bytes:
    """The head of the request to an engine after its Host, with the empty line.

    `size`: bytes of the body. `plain`: the answer must not be compressed, since it is looked into.
    """
    named = _named_by_connection(request)
    lines = []
    for name, value in request.raw_headers:
        lower = name.lower()
        if lower in NOT_SENT or lower in named or (keys_checked and lower in KEYS):
            continue
        if plain and lower == b"accept-encoding":
            continue
        lines.append(b"%b: %b\r\n" % (name, value))
    known = request.headers
    way = ", ".join([*known.getall("X-Forwarded-For", ()), request.remote or ""])
    lines.append(
        f"X-Request-Id: {record.request_id}\r\n"
        f"X-Forwarded-For: {way}\r\n"
        f"X-Forwarded-Proto: {known.get('X-Forwarded-Proto', 'http')}\r\n"
        f"X-Forwarded-Host: {known.get('X-Forwarded-Host') or known.get('Host', '')}\r\n".encode(
            "utf-8", "surrogateescape"
        )
    )
    if size or request.method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
        lines.append(b"Content-Length: %d\r\n" % size)
    lines.append(b"\r\n")
    head = b"".join(lines)
    if _broken(head, len(lines) + 3):
        raise bad_request("a header holds a line break", code="invalid_header")
    return head


def returned(answer: Answer, record: Record, extra: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers for the client, none of which tells the replica's address."""
    headers = CIMultiDict([each for each in answer.headers.items() if each[0].lower() not in NOT_RETURNED])
    if 300 <= answer.status < 400 and (location := headers.get("Location")):
        headers["Location"] = location.removeprefix(f"http://{answer.address}")
    if record.spilled:
        headers["Inferops-Cluster"] = record.spilled
    else:
        headers["Inferops-Revision"] = record.revision
    return own(record, extra, headers)


def returned_head(answer: Answer, record: Record, extra: Mapping[str, str], size: int, last: bool) -> bytes:
    """The head of a whole answer of `size` bytes, with the empty line. `last`: on this connection. Raises Broken."""
    # Of another cluster's answer the revision stands in it, and limits do that are told by ours.
    who = f"Inferops-Cluster: {record.spilled}" if record.spilled else f"Inferops-Revision: {record.revision}"
    left_out = NOT_RETURNED_RAW.union([name.lower().encode() for name in extra]) if record.spilled else NOT_RETURNED_RAW
    lines = [
        f"HTTP/1.1 {answer.status} {REASON_PHRASES.get(answer.status, '')}\r\nContent-Length: {size}\r\n"
        f"X-Request-Id: {record.request_id}\r\nServer: inferops\r\n{who}\r\n".encode()
    ]
    for name, value in answer.raw_headers:
        if name.lower() not in left_out:
            lines.append(b"%b: %b\r\n" % (name, value))
    if extra:
        lines.append("".join([f"{name}: {value}\r\n" for name, value in extra.items()]).encode())
    if last:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    head = b"".join(lines)
    if _broken(head, len(lines) + 4 + max(0, len(extra) - 1)):
        raise Broken("a header holds a line break")
    return head


def own(record: Record, extra: Mapping[str, str], headers: CIMultiDict[str] | None = None) -> CIMultiDict[str]:
    """What every answer carries."""
    headers = CIMultiDict() if headers is None else headers
    headers["X-Request-Id"] = record.request_id
    headers["Server"] = "inferops"
    if extra:
        headers.update(extra)
    return headers


def _broken(head: bytes, lines: int) -> bool:
    """Parsers let no line break into a header; if one ever did, it must not become two headers here."""
    return head.count(b"\n") != lines or head.count(b"\r") != lines


def _named_by_connection(request: web.BaseRequest) -> frozenset[bytes]:
    """Further headers that are for the next hop only, as the header Connection says."""
    named = request.headers.get("Connection")
    if named is None or named.lower() in ("keep-alive", "close"):
        return frozenset()
    every = ",".join(request.headers.getall("Connection")).lower()
    return frozenset(name.strip().encode("utf-8", "surrogateescape") for name in every.split(","))
