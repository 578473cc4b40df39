"""Connections to gateways of other clusters: TLS that is verified, and an end soon after the other side is cut off."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controlplane.certificates import Authority, make_authority
from inferops.gateway.proxy import upstream
from inferops.gateway.proxy.upstream import Unreached, Upstream
from unit.gateway.engines import Engine

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"), "clusters")


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system trusts the authority, and no other."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pair.certificate))
    monkeypatch.setenv("SSL_CERT_DIR", str(Path("/nowhere")))
    upstream._verified.cache_clear()
    yield
    upstream._verified.cache_clear()


@asynccontextmanager
async def serving(authority: Authority, host: str) -> AsyncIterator[str]:
    """An https server on loopback whose certificate is for a host."""
    pair = authority.serving(f"server-{host}", [host])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    engine = Engine()
    server = await asyncio.start_server(engine._serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def client() -> AsyncIterator[Upstream]:
    made = Upstream(time.monotonic)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.usefixtures("trusted")
async def test_certificates_are_verified_and_connections_kept(authority: Authority) -> None:
    async with serving(authority, "127.0.0.1") as url, client() as connections:
        for _ in range(2):
            answer = await connections.send(url, GET, b"")
            while await answer.piece():
                pass
            assert answer.status == 200
            answer.close()
            assert len(connections) == 1


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_another_host_is_refused(authority: Authority) -> None:
    async with serving(authority, "gateway.example.com") as url, client() as connections:
        with pytest.raises(Unreached, match="certificate") as caught:
            await connections.send(url, GET, b"")
    assert not caught.value.sent


async def test_a_certificate_that_nobody_trusts_is_refused(authority: Authority) -> None:
    async with serving(authority, "127.0.0.1") as url, client() as connections:
        with pytest.raises(Unreached, match="certificate") as caught:
            await connections.send(url, GET, b"")
    assert not caught.value.sent


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1", "http://127.0.0.1:0"])
async def test_an_address_that_is_none_is_not_reached(url: str) -> None:
    async with client() as connections:
        with pytest.raises(Unreached) as caught:
            await connections.send(url, GET, b"")
    assert not caught.value.sent


async def test_connections_are_kept_for_longer_than_those_to_engines() -> None:
    engine, now = Engine(), 100.0
    async with await engine.start():
        connections = Upstream(lambda: now)
        for address in (f"http://{engine.address}", engine.address):
            answer = await connections.send(address, GET, b"")
            while await answer.piece():
                pass
            answer.close()
        kept = []
        for passed in (2.9, 0.2, 26.8, 0.2):
            now += passed
            connections.sweep()
            kept.append(len(connections))
        assert kept == [2, 1, 1, 0]


async def test_silence_is_looked_into() -> None:
    """By the system: an answer may be long in coming, so the gateway itself cannot tell."""
    engine = Engine()
    async with await engine.start(), client() as connections:
        answer = await connections.send(f"http://{engine.address}", GET, b"")
        assert answer._protocol.transport is not None
        found = answer._protocol.transport.get_extra_info("socket")
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 11_000
        answer.close()
