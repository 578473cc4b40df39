"""The user's cache: where builds are kept by what they were built of, by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from controlplane.golang import Say

WAIT = 5.0  # seconds between two looks at whether another process has built


def folder_of(part: str) -> Path:
    """$XDG_CACHE_HOME/inferops/PART, made if it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "inferops" / part
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(options: str, files: Iterable[Path]) -> str:
    """Of a build's options and of the names and contents of its sources."""
    found = hashlib.sha256(options.encode())
    for file in files:
        content = file.read_bytes()
        found.update(f"{file.name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


@contextmanager
def held(file: Path, what: str, say: Say) -> Iterator[None]:
    """Let one process build at a time; the others wait and find what it built."""
    with file.open("w") as lock:
        started = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                say(f"another process is building {what}; waiting for it ({time.monotonic() - started:.0f} s)")
                time.sleep(WAIT)
        yield
