"""What `make e2e-kind` does, step by step: each ends well, or raises with what the command said."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kind.traffic import Traffic

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLUSTER, IMAGE, NAMESPACE, SERVICE = "inferops-e2e", "inferops:e2e", "inferops-system", "qwen"
CONTEXT = f"kind-{CLUSTER}"
PORT = 18080
GPUS = "4"
LABELS = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.present": "true"}
COMMAND = 600.0  # seconds that one command may take
ROLLOUT = 180.0  # seconds that a rollout may take


class Failed(Exception):
    """A step did not end as it should."""


class Shell(Protocol):
    """Who runs commands. `run` returns what one prints, and raises Failed with what it says when it fails."""

    def run(self, *command: str, text: str = "") -> str: ...

    def start(self, *command: str) -> Callable[[], None]:
        """Begin a command that stays. Returns what ends it."""

    def sleep(self, seconds: float) -> None: ...

    def now(self) -> float: ...


class Real:
    """The commands of this machine: docker, kind, kubectl and helm must be there."""

    def run(self, *command: str, text: str = "") -> str:
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMMAND, check=False)
        except FileNotFoundError:
            raise Failed(f"{command[0]} is not installed, and is needed") from None
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(command)}: no end within {COMMAND:.0f} s") from None
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout

    def start(self, *command: str) -> Callable[[], None]:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end() -> None:
            process.terminate()
            process.wait(10)

        return end

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def now(self) -> float:
        return time.monotonic()


@dataclass(slots=True)
class Kind:
    """One run on a kind cluster of its own."""

    shell: Shell
    say: Callable[[str], None] = print
    traffic: Callable[[str, str], Traffic] = Traffic

    def kubectl(self, *command: str, text: str = "") -> str:
        return self.shell.run("kubectl", "--context", CONTEXT, *command, text=text)

    @contextmanager
    def cluster(self) -> Iterator[None]:
        """A cluster with the image in it and nodes that say they have GPUs; gone at the end."""
        self.say(f"building {IMAGE}")
        self.shell.run("docker", "build", "--tag", IMAGE, str(ROOT))
        with suppress(Failed):  # that of a run before, which was killed
            self.shell.run("kind", "delete", "cluster", "--name", CLUSTER)
        self.say(f"creating kind cluster {CLUSTER}")
        config = str(HERE / "cluster.yaml")
        try:
            self.shell.run("kind", "create", "cluster", "--name", CLUSTER, "--config", config, "--wait", "180s")
            self.shell.run("kind", "load", "docker-image", IMAGE, "--name", CLUSTER)
            self.give_gpus()
            yield
        finally:
            self.say(f"deleting kind cluster {CLUSTER}")
            self.shell.run("kind", "delete", "cluster", "--name", CLUSTER)

    def give_gpus(self) -> None:
        """Have the workers advertise GPUs: an extended resource that a node's status has is kept by its kubelet."""
        workers = self.kubectl("get", "nodes", "-l", "!node-role.kubernetes.io/control-plane", "-o", "name").split()
        if not workers:
            raise Failed("the cluster has no workers")
        patch = [{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": GPUS}]
        for worker in workers:
            self.kubectl("label", worker, *(f"{name}={value}" for name, value in LABELS.items()))
            self.kubectl("patch", worker, "--subresource=status", "--type=json", "-p", json.dumps(patch))

    def install(self) -> None:
        """The chart, until operator and gateway are ready."""
        self.say("installing the chart")
        chart, values = str(ROOT / "charts" / "inferops"), str(HERE / "values.yaml")
        head = "helm", "--kube-context", CONTEXT, "upgrade", "--install", "inferops", chart, "--namespace", NAMESPACE
        self.shell.run(*head, "--create-namespace", "--values", values, "--wait", "--timeout", "180s")

    def serve(self) -> None:
        """The sample, until it is Ready."""
        self.say("applying the sample")
        self.kubectl("apply", "-f", str(HERE / "service.yaml"))
        self.kubectl("wait", "--for=condition=Ready", f"infs/{SERVICE}", "--timeout=180s")

    @contextmanager
    def requests(self) -> Iterator[Traffic]:
        """Requests through the gateway, none of which may be lost."""
        ports = f"{PORT}:80"
        end = self.shell.start(
            "kubectl", "--context", CONTEXT, "-n", NAMESPACE, "port-forward", "svc/inferops-gateway", ports
        )
        try:
            traffic = self.traffic(f"http://127.0.0.1:{PORT}", SERVICE)
            self.until("the gateway answers", lambda: traffic.ask() == 200, 60)
            with traffic:
                yield traffic
        finally:
            end()
        if traffic.lost:
            raise Failed(f"{traffic.lost} of {traffic.seen.total()} requests were lost: {dict(traffic.seen)}")
        self.say(f"{traffic.seen.total()} requests, none lost")

    def canary(self) -> None:
        """A new revision, until it has replaced the old one."""
        before = self.status()["latestRevision"]
        self.say(f"rolling out another revision than {before}")
        self.change("--max-num-seqs=64")
        self.until("a canary", lambda: self.status()["rollout"]["phase"] not in ("Idle", "Complete"), 60)
        self.until("the new revision serves alone", lambda: self.serves_alone() not in ("", before), ROLLOUT)

    def roll_back(self) -> None:
        """Another revision, which somebody aborts while it gets requests; what was there stays."""
        before = self.serves_alone()
        self.say(f"rolling out one more, and back to {before}")
        self.change("--max-num-seqs=32")
        self.until("the canary has requests", self.split, ROLLOUT)
        canary = self.status()["latestRevision"]
        self.kubectl("annotate", "infs", SERVICE, f"inferops.dev/action=abort@{canary}", "--overwrite")
        self.until("the old revision serves alone", lambda: self.serves_alone() == before, ROLLOUT)

    def leave(self) -> None:
        """Delete the service, and see that nothing of it stays."""
        self.say("deleting the sample")
        self.kubectl("delete", "infs", SERVICE, "--timeout=120s")
        kinds = "deployments,services,pods,controllerrevisions,poddisruptionbudgets"
        label = f"inferops.dev/service={SERVICE}"
        self.until("nothing is left", lambda: not self.kubectl("get", kinds, "-l", label, "-o", "name").strip(), 120)

    def run(self) -> None:
        """All of it."""
        with self.cluster():
            self.install()
            self.serve()
            with self.requests():
                self.canary()
                self.roll_back()
            self.leave()

    def change(self, *args: str) -> None:
        patch = {"spec": {"runtime": {"args": list(args)}}}
        self.kubectl("patch", "infs", SERVICE, "--type=merge", "-p", json.dumps(patch))

    def status(self) -> Any:
        return json.loads(self.kubectl("get", "infs", SERVICE, "-o", "json"))["status"]

    def split(self) -> bool:
        """Whether two revisions get requests."""
        return len([each for each in self.status()["revisions"] if each["weight"] > 0]) > 1

    def serves_alone(self) -> str:
        """The revision that gets all requests; empty: they are split."""
        return next((each["hash"] for each in self.status()["revisions"] if each["weight"] == 100), "")

    def until(self, what: str, true: Callable[[], bool], seconds: float) -> None:
        """Wait until `true()`. Raises Failed that names `what`."""
        ends = self.shell.now() + seconds
        while not true():
            if self.shell.now() > ends:
                raise Failed(f"{what}: not within {seconds:.0f} s")
            self.shell.sleep(1.0)
