"""The demo's part on rollouts: under traffic a good version is promoted, and a bad one is rolled back by itself."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.console import Console

from controlplane import Cluster
from harness import GatewayProcess

CLIENTS = 8
LONGEST = 180.0  # seconds of traffic, whatever happens
PAUSE = 0.1  # seconds of a client between two requests
ROLLOUT = {
    "steps": [{"weight": 20, "minDuration": "3s"}, {"weight": 50, "minDuration": "3s"}],
    "analysis": {"warmUp": "1s"},
    "keepWarm": "1m",
}
GOOD = {"runtime": {"args": ["--max-num-seqs=64"]}}
BAD = {"runtime": {"args": ["--max-num-seqs=32"], "env": [{"name": "INFEROPS_SIMULATED_FAULT", "value": "errors=0.3"}]}}
ENDS = ("Retaining", "Succeeded", "RolledBack")

console = Console(highlight=False, soft_wrap=True)


class Traffic:
    """Clients who ask without pause, for as long as this is open. They count what they get."""

    def __init__(self, gateway: GatewayProcess, model: str, longest: float = LONGEST, *, stream: bool = False) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "stream": stream}
        self._url, self._body = f"{gateway.url}/v1/chat/completions", json.dumps(body).encode()
        self.answers: Counter[int] = Counter()
        self._over = threading.Event()
        self._ends = time.monotonic() + longest
        self._clients = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]

    def __enter__(self) -> Traffic:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for client in self._clients:
            client.join(timeout=30)

    def _ask(self) -> None:
        while not self._over.wait(PAUSE) and time.monotonic() < self._ends:
            request = urllib.request.Request(self._url, self._body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer.read()
                    self.answers[answer.status] += 1
            except urllib.error.HTTPError as error:
                self.answers[error.code] += 1
            except OSError:
                self.answers[0] += 1


def rollouts(
    cluster: Cluster, gateway: GatewayProcess, name: str, show: Callable[..., str], inferops: Callable[..., None]
) -> None:
    """Change the service twice under traffic."""
    with Traffic(gateway, name) as traffic:
        time.sleep(1)
        for title, change in (("a good version", GOOD), ("a version that answers 3 of 10 requests with 500", BAD)):
            console.print(f"\n[bold]{title}[/]")
            traffic.answers.clear()
            show(
                cluster,
                "patch",
                "infs",
                name,
                "--type=merge",
                "-p",
                json.dumps({"spec": {**change, "rollout": ROLLOUT}}),
            )
            _follow(cluster, name)
            console.print(f"clients got {dict(traffic.answers)}", markup=False)
            inferops(cluster, "rollout", "status", name)
    inferops(cluster, "rollout", "history", name)


def _follow(cluster: Cluster, name: str) -> None:
    """Print the rollout's line whenever it changes, until it has ended. Raises TimeoutError."""
    last, started = ("", ""), time.monotonic()
    generation = _told(cluster, name)["metadata"]["generation"]
    while time.monotonic() - started < LONGEST:
        service = _told(cluster, name)
        status = service["status"]
        rollout = status.get("rollout", {})
        weights = {each["hash"]: each["weight"] for each in status.get("revisions", ()) if each.get("weight")}
        now = (rollout.get("phase", ""), str(weights))
        begun = status.get("observedGeneration", 0) >= generation and rollout.get("canary") == status["latestRevision"]
        if begun and now != last:
            line = f"  {time.monotonic() - started:5.1f} s  {now[0]:<18}  {weights}  {rollout.get('message', '')}"
            console.print(line, markup=False)
            last = now
        if begun and rollout.get("phase") in ENDS:
            return
        time.sleep(0.2)
    raise TimeoutError(f"the rollout of {name} has not ended within {LONGEST:.0f} s")


def _told(cluster: Cluster, name: str) -> dict[str, Any]:
    return dict(json.loads(cluster.kubectl("get", "infs", name, "-o", "json")))
