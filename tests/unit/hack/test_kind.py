"""`make e2e-kind` without docker: its steps against commands that are played, and its files against our own models.

That kind, helm and a real kubelet do what is played here is shown where there is docker, and not by these.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from inferops.api.resources import InferenceService, ServingRuntime
from kind.steps import CLUSTER, HERE, IMAGE, Failed, Kind
from kind.traffic import Traffic


class Played:
    """docker, kind, helm and kubectl, and an operator that rolls out in so many looks."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.fails: str = ""
        self.clock, self.weights, self.latest, self.phase = 0.0, {"a": 100}, "a", "Idle"
        self.aborted = self.gone = self.stuck = False
        self.started = 0

    def run(self, *command: str, text: str = "") -> str:
        line = " ".join(command)
        self.commands.append(line)
        if self.fails and self.fails in line:
            raise Failed(f"{line}: as the test has it")
        words = command[3:] if command[0] == "kubectl" else command
        if words[:2] == ("get", "nodes"):
            return "node/one\nnode/two\n"
        if words[:3] == ("get", "infs", "qwen"):
            revisions = [{"hash": name, "weight": weight} for name, weight in self.weights.items()]
            status = {"latestRevision": self.latest, "revisions": revisions, "rollout": {"phase": self.phase}}
            return json.dumps({"status": status, "metadata": {"generation": 3}})
        if words[:2] == ("patch", "infs"):
            assert json.loads(words[-1])["spec"]["runtime"]["args"]
            self.latest = chr(ord(self.latest) + 1)
            self.phase = "Progressing"
        if words[:2] == ("annotate", "infs"):
            assert words[3] == f"inferops.dev/action=abort@{self.latest}"
            self.aborted = True
        if words[:2] == ("delete", "infs"):
            self.gone = True
        return "" if self.gone else "deployment/qwen-a\n"

    def start(self, *command: str) -> Callable[[], None]:
        self.started += 1

        def end() -> None:
            self.started -= 1

        return end

    def sleep(self, seconds: float) -> None:
        """A step of the rollout."""
        self.clock += seconds
        stable = next(iter(self.weights))
        if self.stuck or self.phase != "Progressing":
            return
        if self.aborted:
            self.weights, self.phase = {stable: 100}, "Idle"
        elif len(self.weights) == 1:
            self.weights = {stable: 50, self.latest: 50}
        elif self.latest == "b":  # the one that is to serve
            self.weights, self.phase = {self.latest: 100}, "Idle"

    def now(self) -> float:
        return self.clock


class Answered(Traffic):
    """Requests that are all answered in the same way."""

    status = 200

    def __enter__(self) -> Answered:
        self.seen = Counter({self.status: 3, 200: 7})
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def ask(self) -> int:
        return 200


def test_it_goes_through_all_steps_and_leaves_nothing_behind() -> None:
    shell, said = Played(), list[str]()
    Kind(shell, said.append, Answered).run()
    line = "\n".join(shell.commands)
    order = [
        f"docker build --tag {IMAGE}",
        "kind create",
        "kind load",
        "patch node/two",
        "helm",
        "apply -f",
        "delete infs",
    ]
    assert sorted(order, key=line.index) == order
    assert shell.commands[-1] == f"kind delete cluster --name {CLUSTER}" and not shell.started
    assert shell.weights == {"b": 100} and shell.aborted and "7 requests, none lost" in said


@pytest.mark.parametrize("step", ["kind load", "helm", "wait --for", "annotate", "delete infs"])
def test_wherever_it_fails_the_cluster_goes_and_the_failure_is_told(step: str) -> None:
    shell = Played()
    shell.fails = step
    with pytest.raises(Failed, match=step):
        Kind(shell, lambda line: None, Answered).run()
    assert shell.commands[-1] == f"kind delete cluster --name {CLUSTER}" and not shell.started


def test_a_lost_request_and_a_rollout_that_does_not_end_are_failures() -> None:
    class Lost(Answered):
        status = 503

    with pytest.raises(Failed, match=r"3 of 10 requests were lost"):
        Kind(Played(), lambda line: None, Lost).run()
    shell = Played()
    shell.stuck = True
    with pytest.raises(Failed, match="the new revision serves alone: not within 180 s"):
        Kind(shell, lambda line: None, Answered).run()


def test_its_files_are_what_the_api_takes() -> None:
    values = yaml.safe_load((HERE / "values.yaml").read_text())
    assert f"{values['image']['repository']}:{values['image']['tag']}" == IMAGE
    for name, spec in values["runtimes"].items():
        runtime = {"apiVersion": "serving.inferops.dev/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": name}}
        assert ServingRuntime.model_validate({**runtime, "spec": spec}).spec.image == IMAGE
    service = InferenceService.model_validate(yaml.safe_load((HERE / "service.yaml").read_text()))
    assert service.spec.runtime.name in values["runtimes"]
    nodes = yaml.safe_load((HERE / "cluster.yaml").read_text())["nodes"]
    assert [node["role"] for node in nodes].count("worker") == 2


def test_requests_are_counted_by_how_they_ended() -> None:
    statuses = iter([200, 503, 200])

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert json.loads(self.rfile.read(int(self.headers["Content-Length"])))["model"] == "qwen"
            self.send_response(next(statuses, 200))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        with Traffic(f"http://127.0.0.1:{server.server_port}", "qwen", pause=0.01) as traffic:
            ends = time.monotonic() + 60
            while traffic.seen.total() < 20:
                assert time.monotonic() < ends, traffic.seen
                time.sleep(0.01)
        server.shutdown()
    assert traffic.lost == traffic.seen[503] == 1
    assert Traffic(f"http://127.0.0.1:{server.server_port}", "qwen").ask() == 0
