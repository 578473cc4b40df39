"""The temporary folder of a cluster: in memory where there is room, and swept up even after a kill.

Each folder holds a file that its process keeps locked. A folder whose file nobody locks was left behind by a
process that was killed, and the next cluster removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

PREFIX = "controlplane-"
MEMORY = Path("/dev/shm")
ROOM = 1 << 30  # bytes that must be free in memory: etcd alone sets 128 MB aside


@dataclass(frozen=True, slots=True)
class Workdir:
    """A folder of this process alone, until `remove`."""

    path: Path
    lock: int  # descriptor

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def make_workdir(name: str) -> Workdir:
    """A fresh folder for the cluster `name`."""
    parent = MEMORY if _has_room(MEMORY) else Path(tempfile.gettempdir())
    sweep(parent)
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-", dir=parent))
    lock = os.open(path / "lock.new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    path.joinpath("lock.new").rename(path / "lock")  # nobody finds it before it is locked
    return Workdir(path, lock)


def sweep(parent: Path) -> list[Path]:
    """Remove the folders in `parent` whose process is gone; returns them."""
    left_behind = [folder for folder in parent.glob(f"{PREFIX}*") if _abandoned(folder)]
    for folder in left_behind:
        shutil.rmtree(folder, ignore_errors=True)
    return left_behind


def _abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except OSError:  # another user's, being made or being removed
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _has_room(folder: Path) -> bool:
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK) and room.f_bavail * room.f_frsize >= ROOM
