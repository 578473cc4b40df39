"""`make upgrade FROM=REF`: from an earlier version to this one and back, under traffic, while a canary runs.

The earlier tree is taken out of git; its CRDs, rights, operator and gateways are installed and serve. Then today's
take their place one after the other as a rolling update does, and the earlier ones take theirs again. Meanwhile no pod
may be touched, no revision may come or go, no request be lost, and both read the status that the other wrote.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

import soak_probe
from controlplane import BenchError, Cluster, enter, find_binaries
from harness import (
    ACCOUNT,
    GATEWAY_ADDRESSES,
    ROOT,
    GatewayProcess,
    OperatorProcess,
    begin_namespace,
    environ,
    gpu_nodes,
    install,
    install_gateway,
    wait_until,
)
from harness import NAMESPACE as HOME
from inferops.kube.kinds import DEPLOYMENT, INFERENCE_SERVICE, POD, RECORD, Kind
from soak_churn import PACE, manifest
from soak_figures import Requests
from soak_traffic import Traffic

EARLIER = "4f7ccdc"  # where there is no tag yet
NAMESPACE = "upgrade"
STEADY, SLEEPER, CANARY = "steady", "sleeper", "canary"
NODES = "2x8xnvidia-h100-80gb"
RATE = 3.0  # requests a second to each of them
CALM = 5.0  # seconds without a write that count as rest
DRAIN = ("--drain-delay", "2", "--access-log", "off")
LONG: Mapping[str, Any] = {
    "steps": [{"weight": 20, "minDuration": "30m"}],
    "analysis": {"metrics": ["errorRate"], "warmUp": "1s", "margin": 0.2},
}
Json = dict[str, Any]

console = Console(highlight=False, soft_wrap=True)


class NoSuchVersion(Exception):
    """The earlier version cannot be had here. The message says why and what helps."""


def earlier_version(ref: str = "") -> str:
    """`ref`, else the newest tag, else a commit that is known to be good. Raises `NoSuchVersion`."""
    wanted = ref or _git("describe", "--tags", "--abbrev=0") or EARLIER
    if not _git("rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}"):
        shallow = _git("rev-parse", "--is-shallow-repository") == "true"
        remedy = "fetch the history: git fetch --unshallow --tags" if shallow else "name a commit of this history"
        raise NoSuchVersion(f"there is no {wanted} in this clone; {remedy}")
    return wanted


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@contextmanager
def tree_of(ref: str) -> Iterator[Path]:
    """A folder with the files of a version."""
    packed = subprocess.run(
        ["git", "archive", "--format=tar", ref, "crds", "manifests", "operator"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="inferops-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
            tar.extractall(folder, filter="data")
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class World:
    """What must not change when versions do."""

    pods: frozenset[tuple[str, str, int]]  # name, uid, restarts
    workloads: frozenset[tuple[str, str, int]]  # name, uid, generation: another one would replace pods
    records: frozenset[tuple[str, str]]  # the revisions
    rollouts: frozenset[tuple[str, str, str, str, str]]  # service, stable, latest, canary, phase

    def changes(self, later: World) -> list[str]:
        """What is not as it was."""
        found = []
        for name in ("pods", "workloads", "records", "rollouts"):
            before, after = getattr(self, name), getattr(later, name)
            found += [f"{name}: {each} is gone" for each in sorted(before - after)]
            found += [f"{name}: {each} is new" for each in sorted(after - before)]
        return found


class Stage:
    """A cluster in which versions take turns."""

    def __init__(self, cluster: Cluster, stack: ExitStack, nodes: str = NODES) -> None:
        """`nodes`: none where the cluster has some whose pods serve."""
        self.cluster, self._stack = cluster, stack
        if nodes:
            stack.enter_context(gpu_nodes(cluster, nodes, "--name-prefix", "upgrade-", *PACE, timeout=60))
        self.traffic = Traffic((), seed=1)
        self.requests = Requests()
        self.gateways: list[GatewayProcess] = []
        self.operator: OperatorProcess | None = None
        self._slots = count()

    def begin(self, tree: Path, gateways: int = 2) -> None:
        """Install a version, and have it serve."""
        install(self.cluster, tree)
        install_gateway(self.cluster, tree)
        self._replace_operator(tree)
        for _ in range(gateways):
            self._replace_gateway(tree, None)
        begin_namespace(self.cluster, NAMESPACE)
        self._apply(STEADY)
        self._apply(SLEEPER, scaling={"minReplicas": 0, "scaleToZeroAfter": "5m"})
        self._apply(CANARY, rollout=LONG)
        self.settle(soak_probe.serves)
        self._stack.enter_context(self.traffic)
        self.traffic.aim({f"{NAMESPACE}/{name}": RATE for name in (STEADY, SLEEPER, CANARY)})
        self._apply(CANARY, rollout=LONG, runtime={"args": ["--max-num-seqs=64"]})
        self.settle(lambda each: each["metadata"]["name"] != CANARY or _phase(each) == "Observing", "a canary")

    def move_to(self, tree: Path, *, crds: bool = True, gateways: bool = True) -> None:
        """A rolling update to the version of a tree, its CRDs and rights first."""
        install(self.cluster, tree, crds=crds)
        install_gateway(self.cluster, tree)
        self._replace_operator(tree)
        for old in list(self.gateways) if gateways else ():
            self._replace_gateway(tree, old)
        self.rest()

    def world(self) -> World:
        services = self._all(INFERENCE_SERVICE)
        return World(
            frozenset((_name(each), _uid(each), _restarts(each)) for each in self._all(POD)),
            frozenset((_name(each), _uid(each), each["metadata"]["generation"]) for each in self._all(DEPLOYMENT)),
            frozenset((_name(each), _uid(each)) for each in self._all(RECORD)),
            frozenset(_rollout(each) for each in services),
        )

    def settle(self, true: Any, what: str = "serving", timeout: float = 90) -> None:
        wait_until(what, lambda: all(map(true, self._all(INFERENCE_SERVICE))), timeout, every=0.5)

    def rest(self, timeout: float = 60) -> None:
        """Until no service was written for a while."""
        last, since = "", time.monotonic()

        def calm() -> bool:
            nonlocal last, since
            now = str([each["metadata"]["resourceVersion"] for each in self._all(INFERENCE_SERVICE)])
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since >= CALM

        wait_until("rest", calm, timeout, every=0.5)

    def readable(self, tree: Path) -> list[str]:
        """What the command line of a tree cannot read of the services' status."""
        wrong = []
        for name in (STEADY, SLEEPER, CANARY):
            options = ["--namespace", NAMESPACE, "--kubeconfig", str(self.cluster.kubeconfig)]
            command = [sys.executable, "-m", "inferops", "status", name, *options]
            done = subprocess.run(command, env=environ(tree), capture_output=True, text=True, timeout=60, check=False)
            if done.returncode == 2 or "Traceback" in done.stderr:
                wrong.append(f"status {name}: {done.stdout[-300:]}{done.stderr[-300:]}")
        return wrong

    def promote(self) -> None:
        """Have the canary promoted: the rollout goes on whoever began it."""
        canary = next(_rollout(each)[3] for each in self._all(INFERENCE_SERVICE) if _name(each) == CANARY)
        body = {"metadata": {"annotations": {"inferops.dev/action": f"promote@{canary}"}}}
        self.cluster.kubectl("patch", "infs", CANARY, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(body))
        self.settle(lambda each: _name(each) != CANARY or _rollout(each)[1] == canary, "the promotion")

    def end(self) -> Requests:
        """No more traffic; the account of all of it."""
        self.traffic.aim({})
        self.traffic.stop()
        for answer in self.traffic.take():
            self.requests.count(answer, ())
        return self.requests

    def supervise(self) -> bool:
        """Start the operator anew where it has ended, as kubelet would. Returns whether it had."""
        if self.operator is None or self.operator.process.poll() is None:
            return False
        # With the login that it has: the API server may be away.
        kubeconfig = self.cluster.workdir / f"{HOME}.{ACCOUNT}.kubeconfig"
        self.operator = OperatorProcess(self.cluster, "operator-again", kubeconfig)
        self._stack.callback(self.operator.stop)
        return True

    def leads(self) -> bool:
        self.supervise()
        return self.operator is not None and self.operator.leads()

    def bugs(self) -> float:
        return soak_probe.bugs(self.operator) if self.operator is not None else 0.0

    def apply(self, name: str, spec: Mapping[str, Any]) -> None:
        """One more service, with fields as they come."""
        body = {**manifest(name), "spec": {**manifest(name)["spec"], **spec}}
        self.cluster.apply(INFERENCE_SERVICE.path(NAMESPACE, name), body)

    def get(self, name: str) -> Json:
        return dict(json.loads(self.cluster.get(INFERENCE_SERVICE.path(NAMESPACE, name))))

    def delete(self, name: str) -> None:
        self.cluster.delete(INFERENCE_SERVICE.path(NAMESPACE, name))

    def _apply(self, name: str, **spec: Any) -> None:
        self.apply(name, spec)

    def _all(self, kind: Kind) -> list[Json]:
        return list(json.loads(self.cluster.get(kind.path(NAMESPACE)))["items"] or ())

    def _replace_operator(self, tree: Path) -> None:
        """The new one is ready before the old one is told to end, as in a rolling update."""
        new = OperatorProcess(self.cluster, f"operator-of-{tree.name}", root=tree)
        self._stack.callback(new.stop)
        new.wait_ready(60)
        old, self.operator = self.operator, new
        if old is not None and (code := old.stop()) != 0:
            raise RuntimeError(f"{old.name} ended with {code}:\n{old.tail()}")
        wait_until("the operator leads", new.leads, 60)

    def _replace_gateway(self, tree: Path, old: GatewayProcess | None) -> None:
        new = GatewayProcess(self.cluster, next(self._slots) % GATEWAY_ADDRESSES, DRAIN, root=tree)
        self._stack.callback(new.stop)
        new.wait_ready(60)
        self.gateways = [each for each in self.gateways if each is not old] + [new]
        self.traffic.through(self.gateways)
        if old is not None:
            old.stop(60)


def unknown_fields(earlier: Path, later: Path) -> list[str]:
    """Fields of an InferenceService's spec that the later version has and the earlier one has not."""
    return sorted(_fields(later) - _fields(earlier))


def _fields(tree: Path) -> set[str]:
    crd = yaml.safe_load((tree / "crds" / "inferenceservices.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return set(_walk(schema, ""))


def _walk(schema: Json, path: str) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}{name}"
        yield from _walk(inner, f"{path}{name}.")
    if "items" in schema:
        yield from _walk(schema["items"], path)


# A value for fields that came lately, by which it is seen what the earlier version makes of them.
LATELY: Mapping[str, Json] = {
    "traffic.export": {"traffic": {"export": True}},
    "traffic.spillover": {"traffic": {"spillover": [{"name": "eu-2", "url": "https://gateway.example.com"}]}},
    "scaling.queueDepth": {"scaling": {"minReplicas": 1, "queueDepth": 7}},
    "rollout.keepWarm": {"rollout": {"keepWarm": "3m"}},
}


def play(stage: Stage, earlier: Path, later: Path = ROOT) -> Iterator[str]:
    """There and back. Yields what is not as promised."""
    stage.begin(earlier)
    stage.rest()
    before = stage.world()
    console.print(f"the earlier version serves: {len(before.pods)} pods, a canary runs", markup=False)
    stage.move_to(later)
    yield from (f"upgraded: {each}" for each in before.changes(stage.world()))
    yield from (f"upgraded: {each}" for tree in (later, earlier) for each in stage.readable(tree))
    yield from _bugs(stage, "upgraded")
    console.print("upgraded", markup=False)
    lately = _lately(earlier, later)
    if lately:
        stage.apply("lately", LATELY[lately])
        stage.settle(lambda each: _name(each) != "lately" or soak_probe.answers(each), "a new field")
        stage.rest()
        before = stage.world()
    stage.move_to(earlier, crds=False)
    yield from (f"back: {each}" for each in before.changes(stage.world()))
    yield from (f"back: {each}" for tree in (earlier, later) for each in stage.readable(tree))
    yield from _bugs(stage, "back")
    if lately:
        yield from _kept(stage, lately)
        stage.delete("lately")
    console.print("and back", markup=False)
    stage.promote()
    yield from _bugs(stage, "promoted by the earlier version")
    requests = stage.end()
    if requests.number("lost") or requests.number("answered") != requests.sent:
        yield f"requests: {dict(requests.by)}, for example {requests.examples[:3]}"
    console.print(f"{requests.sent} requests, {requests.number('lost')} lost", markup=False)


def _bugs(stage: Stage, when: str) -> Iterator[str]:
    if stage.bugs():
        yield f'{when}: result="bug"\n{stage.operator.tail() if stage.operator else ""}'


def _lately(earlier: Path, later: Path) -> str:
    fields = unknown_fields(earlier, later)
    found = next((field for field in LATELY if field in fields), "")
    console.print(
        f"{len(fields)} fields that the earlier version does not know; tried: {found or 'none'}", markup=False
    )
    return found


def _kept(stage: Stage, field: str) -> Iterator[str]:
    """As today's CRDs stay, a field that the earlier operator does not know is not lost."""
    service = stage.get("lately")
    value: Any = service["spec"]
    for part in field.split("."):
        value = (value or {}).get(part)
    if value is None:
        yield f"{field} is lost on the way back"
    told = {each["type"]: each for each in (service.get("status") or {}).get("conditions") or ()}
    console.print(f"of {field} the earlier version says: {json.dumps(told.get('Ready', {}))}", markup=False)


def _name(found: Json) -> str:
    return str(found["metadata"]["name"])


def _uid(found: Json) -> str:
    return str(found["metadata"]["uid"])


def _restarts(pod: Json) -> int:
    return sum(each["restartCount"] for each in pod.get("status", {}).get("containerStatuses") or ())


def _phase(service: Json) -> str:
    return str(((service.get("status") or {}).get("rollout") or {}).get("phase", ""))


def _rollout(service: Json) -> tuple[str, str, str, str, str]:
    status = service.get("status") or {}
    canary = (status.get("rollout") or {}).get("canary", "")
    return _name(service), status.get("stableRevision", ""), status.get("latestRevision", ""), canary, _phase(service)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="ref", default="", help="a tag or commit; left out: the newest tag")
    given = parser.parse_args()
    try:
        ref = earlier_version(given.ref)
        binaries = find_binaries()
        enter()
        began = time.monotonic()
        with tree_of(ref) as earlier, Cluster("upgrade", binaries=binaries) as cluster, ExitStack() as stack:
            console.print(
                f"from {ref} ({_git('show', '-s', '--format=%cd %s', ref)}) to this tree and back", markup=False
            )
            broken = [*play(Stage(cluster, stack), earlier)]
    except (BenchError, TimeoutError, RuntimeError, NoSuchVersion) as error:
        console.print(f"[bold red]{error}[/]", markup=True)
        return 1
    for line in broken:
        console.print(f"not as promised: {line}", style="red", markup=False)
    console.print(f"in {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
