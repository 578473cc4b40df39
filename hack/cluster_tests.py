"""`make test-cluster`: the modules of tests/cluster, two and later three at a time, each with its own control plane.

Most of their time is spent waiting, so two of them use two cores well, beside lint and unit tests. What measures how
fast a leader is replaced runs alone; some short ones share a control plane, whose start is most of their time. Lines of
tests appear as they end; everything that a module printed, where one of its tests failed. After all of them the rights
that our accounts have are compared with those that were used (hack/rights.py).
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import rights
import statuscheck
from controlplane.cluster import AUDIT_LOGS
from fieldtools import find
from harness import ROOT, environ

FOLDER = ROOT / "tests" / "cluster"
ALONE = ("test_failover.py",)
# The longest first, so that none is left over at the end; others follow in the order of their names.
LONG = (
    *("test_autoscale.py",),  # which goes by the clock, while no more than two run
    *("test_placement.py", "test_faults.py", "test_crash.py", "test_rollout_strategies.py", "test_rollouts.py"),
    *("test_clusters.py", "test_operator.py", "test_scheduling.py", "test_zero.py", "test_gateway.py"),
    *("test_crds.py", "test_bench.py"),
)
# One after the other on the same control planes. test_crds.py wants one on which nothing was installed.
TOGETHER = (
    ("test_crds.py", "test_sizing.py", "test_runtimes.py", "test_devices.py"),
    ("test_placement.py", "test_placement_faults.py"),
    ("test_clusters.py", "test_ocm.py"),
    ("test_rollout_strategies.py", "test_rollouts.py", "test_gatejobs.py"),
    ("test_zero.py", "test_routes.py", "test_gateway.py"),  # the last one kills the API server
    ("test_observability.py", "test_operator.py", "test_scheduling.py", "test_plugin.py"),
    ("test_bench.py", "test_nodeagent.py", "test_namespaced.py"),
    ("test_fuzz.py", "test_security.py"),
)
LANES = 2
LEFT = 5  # modules; once no more wait one more runs at a time, as these are short and mostly wait themselves
IDLE = 0.25  # share of the processors' time; once so much is over, one more runs too: what ran beside has ended
WINDOW = 20.0  # seconds over which that is measured
ENDED = re.compile(r"::.* (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)")
SUMMARY = re.compile(r" in \d[\d.]*s")
# These tests kill processes in mid-sentence: sockets that the garbage collector then closes are shown, not judged.
PYTEST = ("-m", "pytest", "-v", "--durations=3", "-W", "default::pytest.PytestUnraisableExceptionWarning")
STOPPED = 130


@dataclass
class Module:
    """A module of tests, or several on one control plane, and how it went."""

    paths: tuple[Path, ...]
    code: int | None = None
    seconds: float = 0.0
    output: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return ", ".join(path.name for path in self.paths)

    @property
    def last(self) -> str:
        """What pytest said at its end, such as `3 passed in 7.21s`."""
        said = [line.strip("= \n") for line in reversed(self.output) if line.strip()]
        return next(filter(SUMMARY.search, said), said[0] if said else "")


class Processors(NamedTuple):
    """What the machine's processors have done so far, in hundredths of a second."""

    idle: int
    all: int


def processors() -> Processors:
    """As of now."""
    spent = [int(each) for each in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return Processors(spent[3] + spent[4], sum(spent))


class Runner:
    """Runs modules in lanes."""

    def __init__(self, options: Sequence[str]) -> None:
        self.done: list[Module] = []
        self._options = options
        self._printing = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(self, modules: Sequence[Module], lanes: int) -> None:
        """Run them all, so many at a time."""
        waiting: queue.SimpleQueue[Module] = queue.SimpleQueue()
        for module in modules:
            waiting.put(module)
        threads = [threading.Thread(target=self._lane, args=(waiting,), daemon=True) for _ in range(lanes)]
        if lanes > 1 and len(modules) > LEFT:
            threads.append(threading.Thread(target=self._last_lane, args=(waiting,), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # Ctrl-C is seen between

    def stop(self) -> None:
        """End what runs, in order: each stops its control plane."""
        self._stopped = True
        for process in list(self._running):
            process.send_signal(signal.SIGINT)  # as pytest wants it
        for process in list(self._running):
            process.wait(60)

    def _lane(self, waiting: queue.SimpleQueue[Module]) -> None:
        while not self._stopped:
            try:
                module = waiting.get_nowait()
            except queue.Empty:
                return
            self._module(module)

    def _last_lane(self, waiting: queue.SimpleQueue[Module]) -> None:
        since, before = time.monotonic(), processors()
        while not self._stopped and waiting.qsize() > LEFT:
            time.sleep(1.0)
            if time.monotonic() - since >= WINDOW:
                now = processors()
                if now.idle - before.idle > IDLE * (now.all - before.all):
                    break
                since, before = time.monotonic(), now
        self._lane(waiting)

    def _module(self, module: Module) -> None:
        began = time.monotonic()
        logs = Path(tempfile.mkdtemp(prefix=f"{module.paths[0].stem}-", dir=os.environ[AUDIT_LOGS]))
        module.code = self._tested(module, logs)
        sound, statuses = statuscheck.report(logs)
        module.seconds = time.monotonic() - began
        self.done.append(module)
        if module.code:
            self._say("".join(module.output).rstrip())
        self._say(f"==> {module.name}: {module.last}; {statuses}")
        module.code = module.code or int(not sound)

    def _tested(self, module: Module, logs: Path) -> int:
        """pytest's exit code; `logs` is where the API servers' audit logs are left."""
        command = [sys.executable, *PYTEST, *map(str, module.paths), *self._options]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environ(), AUDIT_LOGS: str(logs)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, and we end them in order
        )
        self._running.add(process)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                module.output.append(line)
                if ENDED.search(line) or line.startswith("controlplane:"):
                    self._say(line.rstrip())
        code = process.wait()
        self._running.discard(process)
        return code

    def _say(self, text: str) -> None:
        with self._printing:
            print(text, flush=True)


def chosen(names: Sequence[str]) -> list[Module]:
    """The modules of these names, or all of them, the longest first."""
    found = sorted(FOLDER.glob("test_*.py"), key=lambda path: (path.name not in LONG, path.name))
    found.sort(key=lambda path: LONG.index(path.name) if path.name in LONG else len(LONG))
    if unknown := set(names) - {path.name for path in found}:
        raise SystemExit(f"no module of tests/cluster: {', '.join(sorted(unknown))}")
    return grouped([path for path in found if not names or path.name in names])


def grouped(paths: Sequence[Path]) -> list[Module]:
    """Modules in this order, those that share a control plane where the first of them stands."""
    left = {path.name: path for path in paths}
    found = []
    for path in paths:
        if path.name in left:
            names = next((names for names in TOGETHER if path.name in names), (path.name,))
            found.append(Module(tuple(left.pop(name) for name in names if name in left)))
    return found


@contextmanager
def audit_logs() -> Iterator[Path]:
    """The folder of the audit logs of all clusters: the one that the environment names, or one that is then gone."""
    if named := os.environ.get(AUDIT_LOGS):
        yield Path(named)
        return
    with tempfile.TemporaryDirectory(prefix="inferops-audit-") as made:
        os.environ[AUDIT_LOGS] = made
        yield Path(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="for example test_crash.py; left out: all")
    parser.add_argument("--lanes", type=int, default=LANES, help="modules at a time")
    given, options = parser.parse_known_args()
    modules, began = chosen(given.modules), time.monotonic()
    for tool in statuscheck.NEEDS:
        find(tool)  # now, and not when the first module has ended
    runner = Runner(options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with audit_logs() as logs:
        try:
            runner.run([module for module in modules if module.name in ALONE], 1)
            runner.run([module for module in modules if module.name not in ALONE], given.lanes)
        except KeyboardInterrupt:
            runner.stop()
            return STOPPED
        # Of a run of some modules, or with one that failed, it is not known which rights nothing uses.
        whole = not given.modules and not options and not any(module.code for module in runner.done)
        wrong = rights.judge(logs, whole=whole)
    failed = [module for module in runner.done if module.code]
    for module in sorted(runner.done, key=lambda module: -module.seconds):
        print(f"  {module.seconds:6.1f} s  {module.name}: {module.last}")
    print(f"{len(runner.done) - len(failed)} of {len(modules)} modules passed in {time.monotonic() - began:.0f} s")
    print("\n".join(wrong) or f"rights: {'every one that is given was used' if whole else 'none used but those given'}")
    return 1 if failed or wrong or len(runner.done) < len(modules) else 0


if __name__ == "__main__":
    sys.exit(main())
