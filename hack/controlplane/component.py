"""One component of a cluster as a child process: started, watched, stopped, its log in a file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.errors import BenchError

TETHER = Path(__file__).with_name("tether.py")
LOG_TAIL = 15  # lines
GARBAGE_PERCENT = "300"  # memory is at hand and processor time is not: collecting was a sixth of it
# One does for them, and less is spent on waking a second one: a sixth of what etcd takes.
ONE_PROCESSOR = frozenset({"etcd", "kube-controller-manager", "kube-scheduler"})


@dataclass
class Component:
    """A component and the process that runs it, if one does."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.running and self.process else None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process, which will be killed with this one.

        Raises `BenchError` when it runs already, or when called from another than the main thread: the kernel kills
        a child with the very thread that started it.
        """
        if self.running:
            raise BenchError(f"{self.name} runs already")
        if threading.current_thread() is not threading.main_thread():
            raise BenchError(f"{self.name}: start it from the main thread: it dies with the thread that starts it")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,  # an interrupt in the terminal is for us, and we stop it in order
            )

    def _environment(self) -> dict[str, str]:
        processors = {"GOMAXPROCS": "1"} if self.name in ONE_PROCESSOR else {}
        return {**os.environ, "GOGC": GARBAGE_PERCENT, **processors}

    def stop(self, grace: float) -> None:
        """Ask it to end, and kill it when it has not within `grace` seconds; 0 kills at once."""
        if self.process is None:
            return
        if grace > 0 and self.running:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        if self.running:
            self.process.kill()
        self.process.wait()
        self.process = None

    def require_running(self) -> None:
        """Raises `BenchError` with the end of its log when it has ended of itself."""
        if self.process is not None and not self.running:
            raise BenchError(f"{self.name} ended with status {self.process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of its log, and where the rest is."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join([*lines[-LOG_TAIL:], f"({self.log})"])
