"""What is said where the namespace cannot be entered. That it can be is shown by tests/cluster/test_bench.py."""

from __future__ import annotations

import errno
import os
import shutil
import threading

import pytest

from controlplane import BenchError, enter, namespace


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has entered nothing, and must not: each test is refused before."""
    monkeypatch.setattr(namespace, "_entered", None)


def refusing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def call(function: str, *arguments: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(namespace, "_call", call)


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EPERM, "kernel.apparmor_restrict_unprivileged_userns=0"),
        (errno.ENOSPC, "user.max_user_namespaces"),
        (errno.EINVAL, "the kernel refuses them"),
    ],
)
def test_no_namespaces_names_the_cause_and_kind(monkeypatch: pytest.MonkeyPatch, user: int, number: int, cause: str):
    refusing(monkeypatch, number)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(namespace, "_ip_command", lambda: "/sbin/ip")
    with pytest.raises(BenchError, match="no namespace can be made here") as refused:
        enter()
    assert cause in str(refused.value)
    assert "use kind instead" in str(refused.value)


def test_no_ip_names_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda command, path=None: None)
    with pytest.raises(BenchError, match=r"no command ip.*install the package iproute2"):
        enter()


def test_a_second_thread_is_named():
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="the-culprit")
    thread.start()
    try:
        with pytest.raises(BenchError, match="the-culprit"):
            enter()
    finally:
        done.set()
        thread.join()


def test_what_is_not_local_asks_to_enter_first():
    with pytest.raises(BenchError, match=r"192\.0\.2\.1 cannot be bound: call controlplane\.enter\(\)"):
        namespace.require_local("192.0.2.1")


def test_the_namespace_of_a_process_that_is_gone_cannot_be_joined():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(BenchError, match=f"the namespace of process {child} cannot be joined"):
        namespace.join(child)
