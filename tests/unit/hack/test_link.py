"""A line that fails as lines do, and says that it did."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from link import Link

LATE = 0.05


class Echo:
    """Says what it hears."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while heard := connection.recv(100):
                    connection.sendall(heard)
            except OSError:
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def line() -> Iterator[Link]:
    echo = Echo()
    with Link("127.0.0.1", echo.port) as link:
        yield link
    echo.close()


def call(line: Link) -> socket.socket:
    """A connection on which something was said and heard."""
    connection = socket.create_connection(("127.0.0.1", line.port), timeout=1.0)
    assert say(connection) == b"hello"
    return connection


def say(connection: socket.socket) -> bytes:
    connection.sendall(b"hello")
    return connection.recv(100)


def test_a_line_that_is_whole_bites_nobody(line: Link) -> None:
    with call(line):
        assert not line.bites


def test_a_line_that_is_cut_seems_to_hang_and_drops_what_it_held(line: Link) -> None:
    with call(line) as old:
        line.cut()
        old.settimeout(LATE)
        with pytest.raises(TimeoutError):
            say(old)
        with socket.create_connection(("127.0.0.1", line.port), timeout=LATE) as new, pytest.raises(TimeoutError):
            say(new)
        assert line.bites == {"held": 2}
        line.mend()
        old.settimeout(1.0)
        assert old.recv(100) == b""
        call(line).close()


def test_a_line_that_is_slow_is_so_both_ways(line: Link) -> None:
    with call(line) as connection:
        line.slow(LATE)
        began = time.monotonic()
        assert say(connection) == b"hello"
        assert time.monotonic() - began >= 2 * LATE
        assert line.bites == {"slowed": 2}
        line.mend()
        assert say(connection) == b"hello"
        assert line.bites == {"slowed": 2}


def test_connections_are_reset_once_or_until_it_is_mended(line: Link) -> None:
    with call(line) as connection:
        line.reset()
        with pytest.raises(ConnectionResetError):
            say(connection)
    with call(line) as connection:
        line.refuse()
        with pytest.raises(ConnectionResetError):
            say(connection)
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", line.port), timeout=1.0) as new:
        say(new)
    assert line.bites == {"reset": 3}
    line.mend()
    call(line).close()
