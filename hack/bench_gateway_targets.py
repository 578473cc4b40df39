"""What the gateway's benchmark measures side by side: processes pinned to a core, all before the same engine.

Engine and load share one core, what is measured has the other. Everything listens on the loopback interface only.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import venv
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench_gateway_backend import MODEL
from bench_gateway_load import Address
from harness import cpu_seconds, environ, free_port, wait_until

HERE = Path(__file__).parent
ROUTER = "sglang-router==0.3.2"
HOST = "127.0.0.1"
KEY = "sk-bench-0123456789abcdef0123456789abcdef"
NAMESPACE, SERVICE = "bench", "llama"
PROMPTS = 64  # different ones


@dataclass(slots=True)
class Target:
    """One way to the engine."""

    name: str
    address: Address
    process: subprocess.Popen[bytes] | None = None  # None: nothing is in between

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid) if self.process is not None else 0.0

    def rss(self) -> int:
        """Resident memory in bytes."""
        if self.process is None:
            return 0
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024


def requests(**more: object) -> list[bytes]:
    """Chat completions as they go over the wire, each with a prompt of its own; `more` are further parameters."""
    made = []
    for number in range(PROMPTS):
        messages = [{"role": "user", "content": f"Question {number}: how are you?"}]
        body = json.dumps({"model": MODEL, "messages": messages, "max_tokens": 16, **more}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {KEY}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


@contextmanager
def targets(
    folder: Path, engine_core: int, core: int, replicas: int, only: Collection[str], profile: Path | None
) -> Iterator[list[Target]]:
    """The engine and then the ways to it, ready; ended with the block. `folder` takes logs and configuration.

    `only`: by name; none: all. With `profile`, a file to write it to, only our gateway, under cProfile.
    """
    ports = [free_port() for _ in range(replicas)]
    addresses = [f"{HOST}:{port}" for port in ports]
    with ExitStack() as stack:

        def start(name: str, command: Sequence[object], pinned: int = core) -> subprocess.Popen[bytes]:
            return stack.enter_context(running(folder / f"{name}.log", [str(each) for each in command], pinned))

        engine = start("engine", [sys.executable, HERE / "bench_gateway_backend.py", *ports], engine_core)
        found = [Target("engine", (HOST, ports[0]), engine), Target("direct", (HOST, ports[0]))]
        for name, command in COMMANDS.items():
            if name in only or not only:
                port = free_port()
                process = start(log_name(name), command(folder, addresses, port, profile))
                found.append(Target(name, (HOST, port), process))
        for target in found:
            answering(target, folder)
        yield found


def answering(target: Target, folder: Path) -> None:
    """Wait until it does what it is there for. Exits with the end of its log where it does not."""
    asked = requests()[0]

    def answers() -> bool:
        if target.process is not None and target.process.poll() is not None:
            raise TimeoutError(f"{target.name} ended")
        try:
            with socket.create_connection(target.address, 5) as connection:
                connection.sendall(asked)
                return connection.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    try:
        wait_until(f"an answer from {target.name}", answers, 60, every=0.2)
    except TimeoutError as error:
        log = (folder / f"{log_name(target.name)}.log").read_text(errors="replace")
        sys.exit(f"{error}; its log ends with:\n{log[-3000:]}")


def log_name(target: str) -> str:
    return target.replace(",", "").replace(" ", "-")


@contextmanager
def running(log: Path, command: list[str], core: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core, ended with the block."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environ(),
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def gateway(folder: Path, engines: Sequence[str], port: int, profile: Path | None) -> list[object]:
    """Our gateway with everything on: API keys, limits, prefix affinity, concurrency limits and the access log."""
    files = folder / "resources"
    files.mkdir()
    (files / "resources.yaml").write_text(yaml.safe_dump_all(resources(engines)))
    inferops = [HERE / "bench_gateway_profile.py", profile] if profile is not None else ["-m", "inferops"]
    command = [sys.executable, *inferops, "gateway", "--from-files", files, "--access-log", "all"]
    command += ["--drain-delay", 0, "--drain-timeout", 1]
    return [*command, "--address", HOST, "--port", port, "--metrics-port", free_port()]


def router(folder: Path, engines: Sequence[str], port: int, profile: Path | None) -> list[object]:
    """The peer as it comes: its log has a line a request, as ours."""
    command = [installed(), "-m", "sglang_router.launch_router", "--host", HOST, "--port", port]
    urls = [f"http://{each}" for each in engines]
    return [*command, "--prometheus-port", free_port(), "--worker-urls", *urls]


def silent_router(folder: Path, engines: Sequence[str], port: int, profile: Path | None) -> list[object]:
    """The peer without a log of requests, which is much of its work."""
    return [*router(folder, engines, port, profile), "--log-level", "warn"]


def bare(folder: Path, engines: Sequence[str], port: int, profile: Path | None) -> list[object]:
    """A proxy with none of our functions."""
    return [sys.executable, HERE / "bench_gateway_bare.py", port, *engines]


def installed() -> Path:
    """The Python of the peer's environment, made if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inferops" / "bench-gateway"
    folder = cache / ROUTER.replace("==", "-")
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        print(f"==> installing {ROUTER} into {folder} (some 150 MB, once)", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q", ROUTER]
        if subprocess.run(pip).returncode:
            sys.exit(f"{ROUTER} cannot be installed: pip says why above.")
        ready.touch()
    return python


def resources(engines: Sequence[str]) -> list[dict[str, Any]]:
    """What the gateway reads of a service with one revision and a replica at each address."""
    revision = "0123abcd"
    service: dict[str, Any] = {
        "apiVersion": "serving.inferops.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct", "name": MODEL},
            "slo": {"ttft": "800ms", "tpot": "50ms"},
            "traffic": {
                "sessionHeader": "X-Session-Id",
                "maxConcurrency": 1000,
                "access": {
                    "apiKeysSecret": "keys",
                    "requestsPerMinute": 10_000_000,
                    "tokensPerMinute": 10_000_000_000,
                },
            },
        },
        "status": {"revisions": [{"hash": revision, "weight": 100, "usdPerHour": "2.50"}]},
    }
    keys: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": NAMESPACE}}
    found = [service, {**keys, "stringData": {"bench": KEY}}]
    for number, address in enumerate(engines):
        host, _, port = address.partition(":")
        name = f"{SERVICE}-{revision}-{number}"
        labels = {
            "kubernetes.io/service-name": f"{SERVICE}-{revision}",
            "inferops.dev/service": SERVICE,
            "inferops.dev/revision": revision,
        }
        found.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": int(port)}],
                "endpoints": [
                    {
                        "addresses": [host],
                        "conditions": {"ready": True, "serving": True, "terminating": False},
                        "targetRef": {"kind": "Pod", "name": name, "namespace": NAMESPACE},
                    }
                ],
            }
        )
    return found


COMMANDS: dict[str, Callable[[Path, Sequence[str], int, Path | None], list[object]]] = {
    "inferops": gateway,
    "sglang-router": router,
    "sglang-router, no log": silent_router,
    "bare aiohttp": bare,
}
