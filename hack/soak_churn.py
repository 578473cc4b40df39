"""What happens in a soak: services come, change, sleep and go; pods, nodes, leaders, gateways and the API server fail.

Each thing has its own pace, and is done in the main thread, one after the other; what it does to requests is written
down as an excuse before it is done. What must not hurt a request (scaling, a good version, going to zero and back, a
gateway that is replaced, a leader that dies, an API server that is away) has no excuse.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import soak_probe
from controlplane import ApiError, Cluster
from harness import GATEWAY_ADDRESSES, GatewayProcess, OperatorProcess, begin_namespace, gpu_nodes, wait_until
from inferops.api import API_VERSION
from inferops.kube.kinds import INFERENCE_SERVICE, POD
from inferops.simulate.server.faults import VARIABLE
from soak_figures import Excuse
from soak_traffic import Traffic

Json = dict[str, Any]
HOME = "soak"
STEADY = ("steady-0", "steady-1", "steady-2")
SLEEPERS = ("sleeper-0", "sleeper-1")
STEADY_RATE, BRIEF_RATE, SLEEPER_RATE = 2.0, 0.4, 1.0  # requests a second
BRIEF = 45.0  # seconds that a service lives which does not stay
NODES, MORE_NODES = "3x8xnvidia-h100-80gb", "1x4xnvidia-h100-80gb"
# Pods come and go faster than in real life; engines are as fast as real ones, and load in two seconds.
PACE = ("--time-scale", "10", "--engine-time-scale", "1", "--load-seconds", "2")
DRAIN = ("--drain-delay", "3", "--access-log", "off")
OPERATORS = 2
ROLLOUT: Json = {
    "steps": [{"weight": 50, "minDuration": "3s"}],
    "analysis": {"metrics": ["errorRate"], "warmUp": "1s", "margin": 0.2},
    "keepWarm": "5s",
    "retainPrevious": "20s",
}
LONG = 300.0  # seconds; no request takes as long
FOREVER = float("inf")
# Seconds for which errors may be honest after something was broken: three times what it takes on an idle machine.
AFTER_KILL, AFTER_NODE, AFTER_CREATION = 20.0, 90.0, 10.0


def manifest(name: str, **spec: Any) -> Json:
    """A service of two replicas with one GPU each."""
    whole = {
        "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct"},
        "accelerators": [{"type": "nvidia-h100-80gb"}],
        "scaling": {"minReplicas": 2, "maxReplicas": 2},
        "rollout": ROLLOUT,
        "traffic": {"queueTimeout": "60s"},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {**whole, **spec},
    }


@dataclass(slots=True)
class Due:
    """Something that is done again and again; `at`: next, in seconds of the monotonic clock."""

    what: str
    every: float
    do: Callable[[], None]
    at: float


@dataclass(slots=True)
class Seen:
    """What was seen of rollouts."""

    faulty: set[str] = field(default_factory=set)  # revisions
    outcomes: Counter[str] = field(default_factory=Counter)
    told: set[tuple[str, str, str]] = field(default_factory=set)


class Churn:
    """The world and what is done to it. `tick` does what is due."""

    def __init__(self, cluster: Cluster, traffic: Traffic, stack: ExitStack, seconds: float, seed: int) -> None:
        self.cluster, self.traffic = cluster, traffic
        self.operators: list[OperatorProcess] = []
        self.gateways: list[GatewayProcess] = []
        self.excuses: list[Excuse] = []
        self.done: Counter[str] = Counter()
        self.seen = Seen()
        self._stack, self._chance, self._numbers = stack, random.Random(seed), count(1)
        self._specs: dict[str, Json] = {name: manifest(name)["spec"] for name in STEADY}
        self._brief: dict[tuple[str, str], float] = {}  # namespace and name of those that do not stay, and their end
        self._more: ExitStack | None = None
        self._awake = False
        self._slot, self._replicas = count(), count()
        self._leaving: list[GatewayProcess] = []
        self._due = self._schedule(time.monotonic(), seconds)

    def _schedule(self, now: float, seconds: float) -> list[Due]:
        """What happens often has a pace; what costs a process happens at a share of the run, or every half hour."""
        paced: Mapping[str, tuple[float, Callable[[], None]]] = {
            "service created": (15, self._create),
            "rollout": (30, self._change),
            "service scaled": (40, self._scale),
            "sleeper asked or left alone": (35, self._sleep_or_wake),
            "pod killed": (50, self._kill_pod),
            "pod deleted": (35, self._delete_pod),
            "node added or removed": (100, self._nodes),
            "namespace deleted": (120, self._namespace),
        }
        rare: Mapping[str, tuple[tuple[float, ...], Callable[[], None]]] = {
            "leader killed": ((0.12, 0.85), self._kill_leader),
            "gateways replaced": ((0.2, 0.92), self._replace_gateways),
            "API server restarted": ((0.4, 0.7), self._restart_api),
        }
        due = [
            Due(what, every, do, now + every * (0.3 + 0.7 * number / len(paced)))
            for number, (what, (every, do)) in enumerate(paced.items())
        ]
        for what, (shares, do) in rare.items():
            due += [Due(what, max(seconds, 1800.0), do, now + share * min(seconds, 1800.0)) for share in shares]
        return due

    # 1. The world

    def begin(self) -> None:
        """Operators, gateways, and the services that stay."""
        for _ in range(OPERATORS):
            self.operators.append(self._operator())
        wait_until("an operator leads", lambda: any(each.leads() for each in self.operators), 60)
        for _ in range(2):
            gateway = GatewayProcess(self.cluster, next(self._slot), DRAIN)
            self.gateways.append(self._stack.enter_context(gateway))
        self.traffic.through(self.gateways)
        begin_namespace(self.cluster, HOME)
        for name in STEADY:
            self._apply(HOME, manifest(name))
        for name in SLEEPERS:
            self._apply(HOME, manifest(name, scaling={"minReplicas": 0, "scaleToZeroAfter": "8s"}))

    def _operator(self) -> OperatorProcess:
        operator = OperatorProcess(self.cluster, f"operator-{next(self._replicas)}")
        self._stack.callback(operator.stop)
        return operator

    def tick(self) -> None:
        """Do what is due, one thing at a time. An API server that is away is met the next time."""
        now = time.monotonic()
        self._supervise()
        try:
            self._see_off()
            self._look()
            self._end_brief(now)
            late = [each for each in self._due if each.at <= now]
            if late:
                each = min(late, key=lambda due: due.at)
                each.at = now + each.every * self._chance.uniform(0.8, 1.2)
                each.do()
                self.done[each.what] += 1
        except OSError:
            self.done["API server did not answer"] += 1
        except ApiError as error:
            if error.status in (400, 403, 422):  # what we ask for is wrong; anything else, somebody was faster
                raise
        self._aim()

    def end(self) -> None:
        """No more churn; traffic goes on for those that stay, since rollouts want evidence."""
        if self._more is not None:
            self._nodes()
        self.traffic.aim({f"{HOME}/{name}": 2 * STEADY_RATE for name in STEADY})

    def settled(self) -> bool:
        """Whether all that is there is Ready, or asleep as it should be."""
        return not self.unsettled()

    def unsettled(self) -> list[str]:
        """What is not, and what it says of itself."""
        self._supervise()
        try:
            found = [each for each in soak_probe.services(self.cluster) if not soak_probe.serves(each)]
        except OSError:
            return ["the API server does not answer"]
        return [soak_probe.told(each) for each in found]

    def delete_all(self) -> None:
        for each in soak_probe.services(self.cluster):
            self._delete(each["metadata"]["namespace"], each["metadata"]["name"])

    # 2. What happens to services

    def _apply(self, namespace: str, body: Json) -> None:
        self.cluster.apply(INFERENCE_SERVICE.path(namespace, body["metadata"]["name"]), body)

    def _create(self) -> None:
        self._begin_brief(HOME)

    def _begin_brief(self, namespace: str) -> None:
        name, now = f"brief-{next(self._numbers)}", time.monotonic()
        self._apply(namespace, manifest(name, scaling={"minReplicas": 1, "maxReplicas": 1}))
        self._brief[namespace, name] = now + BRIEF
        # Until gateways have heard of it, it does not exist for them.
        self.excuses.append(Excuse(f"{namespace}/{name}", "created", now - 1, now + AFTER_CREATION))

    def _end_brief(self, now: float) -> None:
        for (namespace, name), ends in list(self._brief.items()):
            if ends <= now:
                self._delete(namespace, name)
                del self._brief[namespace, name]
                self.done["service deleted"] += 1

    def _delete(self, namespace: str, name: str) -> None:
        """Its clients are not told before."""
        self.excuses.append(Excuse(f"{namespace}/{name}", "deleted", time.monotonic() - 1, time.monotonic() + LONG))
        self.cluster.delete(INFERENCE_SERVICE.path(namespace, name))

    def _namespace(self) -> None:
        """One with services in it goes as a whole, and another one comes."""
        number = next(self._numbers)
        for namespace in {at[0] for at in self._brief if at[0] != HOME}:
            for at in [at for at in self._brief if at[0] == namespace]:
                self.excuses.append(Excuse("/".join(at), "deleted", time.monotonic() - 1, time.monotonic() + LONG))
                del self._brief[at]
            self.cluster.delete(f"/api/v1/namespaces/{namespace}")
        namespace = f"soak-{number}"
        begin_namespace(self.cluster, namespace)
        for _ in range(2):
            self._begin_brief(namespace)
        self._brief |= {at: FOREVER for at in self._brief if at[0] == namespace}

    def _change(self) -> None:
        """Every third version is bad: six of ten answers are errors. A service whose rollout is under way is left."""
        name, number = self._resting(), next(self._numbers)
        if name is None:
            return
        bad = (self.done["good version"] + self.done["bad version"]) % 3 == 2
        env = [{"name": VARIABLE, "value": "errors=0.6"}] if bad else []
        self._specs[name]["runtime"] = {"args": [f"--max-num-seqs={32 + number % 200}"], "env": env}
        self._put(name)
        self.done["bad version" if bad else "good version"] += 1

    def _scale(self) -> None:
        if name := self._resting():
            replicas = self._chance.randint(2, 4)
            self._specs[name]["scaling"] = {"minReplicas": replicas, "maxReplicas": replicas}
            self._put(name)

    def _resting(self) -> str | None:
        """A service whose newest spec was seen to, so that no version is passed over unseen."""
        here = {each["metadata"]["name"]: each for each in soak_probe.services(self.cluster)}
        resting = [name for name in STEADY if name in here and _rests(here[name])]
        return self._chance.choice(resting) if resting else None

    def _put(self, name: str) -> None:
        self._apply(HOME, {**manifest(name), "spec": self._specs[name]})

    def _sleep_or_wake(self) -> None:
        self._awake = not self._awake

    # 3. What fails

    def _pod(self) -> Json | None:
        """One that serves, of a service that has others."""
        found = [
            pod
            for pod in soak_probe.pods(self.cluster)
            if pod["metadata"]["labels"][soak_probe.LABEL] in STEADY and not pod["metadata"].get("deletionTimestamp")
        ]
        return self._chance.choice(found) if found else None

    def _kill_pod(self) -> None:
        if (pod := self._pod()) is not None:
            self._excuse(pod, "pod killed", AFTER_KILL)
            self.cluster.delete(f"{POD.path(HOME, pod['metadata']['name'])}?gracePeriodSeconds=0")

    def _delete_pod(self) -> None:
        """In good order, as a drain of its node does: its requests are finished."""
        if (pod := self._pod()) is not None:
            self.cluster.delete(POD.path(HOME, pod["metadata"]["name"]))

    def _excuse(self, pod: Json, cause: str, seconds: float) -> None:
        meta, now = pod["metadata"], time.monotonic()
        service = f"{meta['namespace']}/{meta['labels'][soak_probe.LABEL]}"
        self.excuses.append(Excuse(service, cause, now - 1, now + seconds))

    def _nodes(self) -> None:
        """A node comes; or it goes without a word, and its pods with it."""
        if self._more is None:
            self._more = ExitStack()
            prefix = f"more-{next(self._numbers)}-"
            self._more.enter_context(gpu_nodes(self.cluster, MORE_NODES, "--name-prefix", prefix, *PACE, timeout=90))
            self._stack.callback(self._without_more)
            return
        for pod in soak_probe.pods(self.cluster):
            if str(pod["spec"].get("nodeName", "")).startswith("more-"):
                self._excuse(pod, "node gone", AFTER_NODE)
        self._without_more()

    def _without_more(self) -> None:
        more, self._more = self._more, None
        if more is not None:
            more.close()

    def _kill_leader(self) -> None:
        for operator in self.operators:
            if operator.process.poll() is None and operator.leads():
                operator.kill()
                return

    def _supervise(self) -> None:
        """Start operators anew that ended, as kubelet would."""
        for operator in list(self.operators):
            if (code := operator.process.poll()) is not None:
                self.operators.remove(operator)
                self.done[f"operator ended with {code}"] += 1
        while len(self.operators) < OPERATORS:
            self.operators.append(self._operator())

    def _see_off(self) -> None:
        """Take gateways that have drained out of their Service, as Kubernetes does with pods that are gone."""
        for gateway in list(self._leaving):
            if gateway.process.poll() is not None:
                code = gateway.stop()
                self._leaving.remove(gateway)
                self.done[f"gateway ended with {code}"] += 1

    def _replace_gateways(self) -> None:
        """A rolling update: one more, ready, then one less, which drains."""
        for old in list(self.gateways):
            new = GatewayProcess(self.cluster, next(self._slot) % GATEWAY_ADDRESSES, DRAIN)
            self._stack.callback(new.stop)
            new.wait_ready(60)
            self.gateways = [each for each in self.gateways if each is not old] + [new]
            self.traffic.through(self.gateways)
            old.terminate()
            self._leaving.append(old)

    def _restart_api(self) -> None:
        self.cluster.stop_component("kube-apiserver", kill=bool(self.done["API server restarted"] % 2))
        self.cluster.start_component("kube-apiserver")

    # 4. What is seen

    def _look(self) -> None:
        """Which revisions are faulty, and how rollouts ended."""
        for each in soak_probe.services(self.cluster):
            name, status = each["metadata"]["name"], each.get("status") or {}
            if name not in STEADY or not status.get("latestRevision"):
                continue
            newest = status.get("observedGeneration") == each["metadata"]["generation"]
            if newest and each["spec"].get("runtime", {}).get("env"):
                self.seen.faulty.add(status["latestRevision"])
            for ended in (status.get("rollout") or {}).get("history") or ():
                what = (name, ended["revision"], ended["outcome"])
                if what not in self.seen.told:
                    self.seen.told.add(what)
                    kind = "bad" if ended["revision"] in self.seen.faulty else "good"
                    self.seen.outcomes[f"{kind} version: {ended['outcome']} {ended.get('reason', '')}".strip()] += 1

    def _aim(self) -> None:
        rates = {f"{HOME}/{name}": STEADY_RATE for name in STEADY}
        if self._awake:
            rates |= {f"{HOME}/{name}": SLEEPER_RATE for name in SLEEPERS}
        rates |= {"/".join(at): BRIEF_RATE for at in self._brief}
        self.traffic.aim(rates)


def _rests(service: Json) -> bool:
    phase = ((service.get("status") or {}).get("rollout") or {}).get("phase", "")
    return soak_probe.serves(service) and phase in ("", "Idle", "Retaining", "Succeeded", "RolledBack")
