"""A component's process: its log, its end, and that it does not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane import BenchError
from controlplane.component import LOG_TAIL, TETHER, Component

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Component]]:
    components: list[Component] = []
    yield components
    for component in components:
        component.stop(0)


def start(started: list[Component], tmp_path: Path, *command: str) -> Component:
    component = Component("etcd", command, tmp_path / "etcd.log")
    component.start()
    started.append(component)
    return component


def wait_for_log(component: Component, text: str) -> None:
    for _ in range(1000):
        if text in component.log.read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"no {text!r} in {component.log}")


def test_it_stops_when_asked_and_can_start_again(started, tmp_path):
    component = start(started, tmp_path, "/bin/sh", "-c", "echo started; exec sleep 60")
    wait_for_log(component, "started")
    first = component.pid
    component.stop(grace=30)
    assert (component.running, component.pid) == (False, None)
    component.require_running()  # stopped by us: nothing to complain of
    component.start()
    assert component.running and component.pid != first
    wait_for_log(component, "started\nstarted")


def test_the_deaf_are_killed(started, tmp_path):
    component = start(started, tmp_path, sys.executable, "-c", STUBBORN)
    wait_for_log(component, "deaf")
    component.stop(grace=0.2)
    assert not component.running


def test_one_that_ends_of_itself_shows_the_end_of_its_log(started, tmp_path):
    component = start(started, tmp_path, "/bin/sh", "-c", "for i in $(seq 100); do echo line $i; done; exit 7")
    assert component.process is not None
    component.process.wait()
    with pytest.raises(BenchError) as ended:
        component.require_running()
    wanted = [f"line {number}" for number in range(101 - LOG_TAIL, 101)]
    assert str(ended.value).splitlines() == ["etcd ended with status 7:", *wanted, f"({component.log})"]


def test_twice_at_once_is_refused(started, tmp_path):
    component = start(started, tmp_path, "/bin/sleep", "60")
    with pytest.raises(BenchError, match="etcd runs already"):
        component.start()


def test_a_thread_that_may_end_may_not_start_one(tmp_path):
    refusals: list[BenchError] = []
    component = Component("etcd", ["/bin/sleep", "60"], tmp_path / "etcd.log")

    def elsewhere() -> None:
        try:
            component.start()
        except BenchError as error:
            refusals.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "from the main thread" in str(refusals[0])
    assert component.process is None


def test_it_dies_with_a_parent_that_is_killed():
    script = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, {str(TETHER)!r}, str(os.getpid()), '/bin/sleep', '600'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until_it_sleeps(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until_gone(child)


def test_it_does_not_start_for_a_parent_that_is_gone_already():
    command = [sys.executable, str(TETHER), str(os.getpid() + 1), "/bin/echo", "alive"]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")


def wait_until_it_sleeps(pid: int) -> None:
    for _ in range(1000):
        if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} has not become its command")


def wait_until_gone(pid: int) -> None:
    for _ in range(1000):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(") ")[2].startswith("Z"):
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} outlived its parent")
