"""Keeps a namespace and its clusters running for people, in a process of its own that outlives the terminal.

There is one such process for a user. It locks a file as long as it lives and writes its process id into it; once its
clusters serve, it writes a second file that says how to use them.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

from controlplane.binaries import SOURCE, Binaries, cache_folder, find_binaries
from controlplane.cluster import Cluster
from controlplane.environment import environment_for
from controlplane.errors import BenchError
from controlplane.namespace import enter

UP_DEADLINE = 180.0  # seconds
DOWN_DEADLINE = 60.0  # seconds
TRIES = 40  # for the lock, in two seconds

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Held:
    """A holder whose clusters serve."""

    pid: int
    clusters: list[str]  # their names, which are contexts in the kubeconfigs
    kubeconfigs: list[str]
    binaries: str
    workdir: str

    def environment(self) -> dict[str, str]:
        files = [Path(file) for file in self.kubeconfigs]
        return environment_for(Binaries(Path(self.binaries)), Path(self.workdir), files)


def held() -> Held | None:
    """The holder of this user that is ready now, if there is one."""
    pid = _holder()
    if pid is None or not _state_file().exists():
        return None
    state = Held(**json.loads(_state_file().read_text()))
    return state if state.pid == pid else None


def up(count: int, say: Say) -> Held:
    """Start a holder of `count` clusters, hub, member-1 and so on, unless one runs; returns when they serve.

    Raises `BenchError` with the end of the holder's log when it does not come up.
    """
    find_binaries(say)  # here, where the network and a terminal are
    if _holder() is None:
        say(f"starting {count} cluster{'s' if count > 1 else ''}")
        started = _spawn(count)
    else:
        started = None
    deadline = time.monotonic() + UP_DEADLINE
    while (ready := held()) is None:
        ended = started is not None and started.poll() is not None
        if ended or time.monotonic() > deadline:
            raise BenchError(f"the clusters did not come up:\n{_log_tail()}")
        time.sleep(0.1)
    return ready


def down() -> bool:
    """End the holder and its clusters; returns whether there was one.

    Raises `BenchError` when it has not ended after a minute.
    """
    pid = _holder()
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_DEADLINE
    while _holder() == pid:
        if time.monotonic() > deadline:
            raise BenchError(f"process {pid}, which holds the clusters, does not end: see {_log_file()}")
        time.sleep(0.1)
    return True


def hold(count: int) -> None:
    """Be the holder: start `count` clusters and keep them until SIGTERM."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    with holding(count):
        while True:
            signal.pause()


@contextmanager
def holding(count: int) -> Iterator[list[Cluster]]:
    """Start `count` clusters in this process, which `shell` and `kubectl` join for as long as the context lasts."""
    with _lock_file().open("a+") as lock:
        _take(lock)
        _state_file().unlink(missing_ok=True)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        binaries = find_binaries()
        enter()
        with ExitStack() as running:
            names = ["hub", *(f"member-{number}" for number in range(1, count))]
            made = [running.enter_context(Cluster(name, i, binaries=binaries)) for i, name in enumerate(names)]
            running.callback(_state_file().unlink)
            kubeconfigs = [str(cluster.kubeconfig) for cluster in made]
            _publish(Held(os.getpid(), names, kubeconfigs, str(binaries.folder), str(made[0].workdir)))
            yield made


def _leave(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the way out is not to be interrupted
    sys.exit(0)


def _take(lock: TextIO) -> None:
    for _ in range(TRIES):
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)  # somebody may only be looking
    raise BenchError("another process holds clusters already: `down` ends it")


def _holder() -> int | None:
    """The process that holds the lock, if one does."""
    with _lock_file().open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            written = lock.read()
            return int(written) if written else None
    return None


def _spawn(count: int) -> subprocess.Popen[bytes]:
    search = os.pathsep.join(filter(None, [str(SOURCE.parent), os.environ.get("PYTHONPATH")]))
    with _log_file().open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "controlplane", "hold", "--clusters", str(count)],
            env={**os.environ, "PYTHONPATH": search},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _publish(state: Held) -> None:
    partial = _state_file().with_suffix(".new")
    partial.write_text(json.dumps(asdict(state)))
    partial.rename(_state_file())


def _log_tail() -> str:
    lines = _log_file().read_text(errors="replace").splitlines() if _log_file().exists() else []
    return "\n".join([*lines[-30:], f"({_log_file()})"])


def _run_folder() -> Path:
    folder = cache_folder() / "run"
    folder.mkdir(exist_ok=True)
    return folder


def _lock_file() -> Path:
    return _run_folder() / "holder.lock"


def _state_file() -> Path:
    return _run_folder() / "holder.json"


def _log_file() -> Path:
    return _run_folder() / "holder.log"
