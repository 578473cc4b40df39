"""A network namespace of the bench's own, which needs no root: in it, and only in it, pod addresses can be bound.

The process that enters keeps its files and its user; what it starts from then on is inside too. Nothing inside
reaches the machine's network, and nothing outside reaches the bench.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from controlplane.addresses import LOCAL_RANGE
from controlplane.errors import BenchError

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_entered: str | None = None  # the namespace that this process, or the one it was forked from, entered


def enter() -> None:
    """Move this process into a fresh namespace, in which 10.244.0.0/14 is local. Again: does nothing.

    Raises `BenchError` when the process has more than one thread, when namespaces are not permitted here, or when
    the command `ip` is not there.
    """
    global _entered
    if _entered is not None and _entered == current():
        return
    ip = _ip_command()
    _refuse_threads("enter a namespace")
    _rehearse(ip)
    _move(ip)
    _entered = current()


def join(pid: int) -> None:
    """Move this process into the namespace of the process `pid`, which entered one.

    Raises `BenchError` when the process is gone, is another user's, or this one has more than one thread.
    """
    global _entered
    _refuse_threads("join a namespace")
    try:
        for kind in ("user", "net"):  # the user namespace first: it gives the right to join the other
            theirs = Path(f"/proc/{pid}/ns/{kind}")
            if os.readlink(theirs) == os.readlink(f"/proc/self/ns/{kind}"):
                continue
            descriptor = os.open(theirs, os.O_RDONLY)
            try:
                _call("setns", descriptor, 0)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise BenchError(f"the namespace of process {pid} cannot be joined: {error}; start a new one") from error
    _entered = current()


def current() -> str:
    """The network namespace of this process, such as net:[4026531840]."""
    return os.readlink("/proc/self/ns/net")


def require_local(address: str) -> None:
    """Raises `BenchError` unless `address` can be bound here, which says that this is the inside of a namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise BenchError(
                f"{address} cannot be bound: call controlplane.enter() before a cluster is started, "
                "or work in the shell of `python -m controlplane shell`"
            ) from error


def _rehearse(ip: str) -> None:
    """Do it in a child first: a process that is refused halfway cannot go back to where it was."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _move(ip)
        except BaseException as error:
            os.write(write, (str(error) or repr(error)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        refusal = answer.read()
    os.waitpid(child, 0)
    if refusal:
        raise BenchError(refusal)


def _move(ip: str) -> None:
    _unshare_user_and_network()
    _run(ip, "link", "set", "lo", "up")
    _run(ip, "route", "add", "local", str(LOCAL_RANGE), "dev", "lo")


def _unshare_user_and_network() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        _call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    except OSError as error:
        if uid != 0:
            raise BenchError(_not_permitted(error)) from error
        _unshare_network_as_root()
        return
    try:
        Path("/proc/self/setgroups").write_text("deny")  # without this the kernel refuses the group map
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:  # AppArmor lets the namespace be made, and takes every right in it away
        raise BenchError(_not_permitted(error)) from error


def _unshare_network_as_root() -> None:
    """Root can do without a user namespace where those are turned off."""
    try:
        _call("unshare", CLONE_NEWNET)
    except OSError as error:
        raise BenchError(_not_permitted(error)) from error


def _not_permitted(error: OSError) -> str:
    causes = {
        errno.ENOSPC: "sysctl user.max_user_namespaces or user.max_net_namespaces is 0 or used up",
        errno.EPERM: "the kernel, a container's seccomp profile or AppArmor forbids them "
        "(sysctl kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0 allows them)",
    }
    cause = causes.get(error.errno or 0, "the kernel refuses them")
    return (
        f"no namespace can be made here: {error.strerror}: {cause}. Allow user namespaces, "
        "or use kind instead: point KUBECONFIG at a kind cluster and run `make e2e-kind`"
    )


def _refuse_threads(what: str) -> None:
    tasks = len(os.listdir("/proc/self/task"))
    if tasks > 1:
        known = ", ".join(thread.name for thread in threading.enumerate())
        raise BenchError(
            f"cannot {what} from a process with {tasks} threads (those of Python: {known}): the kernel takes only a "
            "process with one; do it before anything starts a thread"
        )


def _ip_command() -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])  # users may lack the latter
    found = shutil.which("ip", path=path)
    if found is None:
        raise BenchError("there is no command ip, which sets up the bench's addresses: install the package iproute2")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(command)}` failed in the new namespace: {done.stderr.strip()}")


def _call(function: str, *arguments: int) -> None:
    """unshare and setns of libc, which Python has only from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
