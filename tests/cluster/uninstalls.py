"""The product taken away step by step, in any order: what must be gone is, and nothing is stuck."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from itertools import count, permutations
from typing import Any

from cluster.services import Say, condition, manifest
from controlplane import ApiError, Cluster
from harness import NAMESPACE, ROOT, OperatorProcess, begin_namespace, install, wait_until
from inferops.api import API_VERSION
from inferops.controller.operator import LEASE_NAME
from inferops.controller.parents import FINALIZER
from inferops.controller.views import SERVICE_LABEL
from inferops.kube.kinds import (
    DEPLOYMENT,
    INFERENCE_CLUSTER,
    INFERENCE_SERVICE,
    LEASE,
    POD,
    RECORD,
    Kind,
)

Json = dict[str, Any]
STEPS = ("services", "clusters", "operator", "rights", "namespace", "crds")
GROUP = ".serving.inferops.dev"
# Long enough for what is deleted to be under way, and too short for it to be over.
BETWEEN = 0.5
PATIENCE = 60.0
BEGINS = 40.0
_count = count(1)


def orders(number: int, seed: int = 1) -> list[tuple[str, ...]]:
    """So many orders by chance, each with its reverse: between two of these every step came before every other."""
    chosen = random.Random(seed).sample([*permutations(STEPS)], number)
    return [order for each in chosen for order in (each, each[::-1])]


class Installed:
    """The product with two services on a cluster: one plain, and one that is placed in the cluster itself."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = f"uninstall-{next(_count)}"
        self.operator: OperatorProcess | None = None

    def begin(self) -> None:
        """Install it, and wait until both services are Ready."""
        install(self.cluster)
        self._delete(LEASE.path(NAMESPACE, LEASE_NAME))
        self.operator = OperatorProcess(self.cluster)
        here = {"metadata": {"name": "here", "labels": {"it": "here"}}, "spec": {"access": {"hub": True}}}
        self._apply(INFERENCE_CLUSTER, NAMESPACE, here)
        begin_namespace(self.cluster, self.namespace)
        placed = manifest("placed")
        placed["spec"]["placement"] = {"clusters": {"matchLabels": {"it": "here"}}}
        self._apply(INFERENCE_SERVICE, self.namespace, manifest("plain"))
        self._apply(INFERENCE_SERVICE, self.namespace, placed)
        wait_until("both Ready", self._ready, BEGINS, 0.2)

    def take(self, step: str) -> None:
        """Begin a step, without waiting for its end."""
        steps: dict[str, Callable[[], None]] = {
            "services": lambda: self._kubectl("delete", "infs", "--all", "-n", self.namespace),
            "clusters": lambda: self._kubectl("delete", "inferenceclusters", "--all", "-A"),
            "operator": self._stop,
            "rights": lambda: self._kubectl("delete", "-f", str(ROOT / "manifests" / "install" / "rbac.yaml")),
            "namespace": lambda: self._delete(f"/api/v1/namespaces/{self.namespace}"),
            "crds": lambda: self._kubectl("delete", "-k", str(ROOT / "crds")),
        }
        steps[step]()

    def over(self) -> bool:
        """Whether nothing is left of it: no kind, no namespace, no child, no pod."""
        return not self.left()

    def left(self) -> list[str]:
        """What is still there, and what it waits for."""
        found = [f"{kind.kind} {_name(each)}" for kind in (RECORD, DEPLOYMENT, POD) for each in self._ours(kind)]
        found += [f"InferenceService {_name(each)} {each['metadata'].get('finalizers')}" for each in self._services()]
        found += [f"CRD {_name(each)}" for each in self._crds()]
        namespaces = self._items("/api/v1/namespaces")
        return found + [f"namespace {_name(each)}" for each in namespaces if _name(each) == self.namespace]

    def kept(self) -> list[str]:
        """Services that wait for an operator to be gone from clusters."""
        return [_name(each) for each in self._services() if FINALIZER in each["metadata"].get("finalizers", ())]

    def stuck(self) -> bool:
        """Whether nobody is there any more who could have such a service go: no operator, or none with rights."""
        return bool(self.kept()) and not (self.operator and self.operator.leads() and self._may())

    def _may(self) -> bool:
        bindings = self._items("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings")
        return any(_name(each) == "inferops-operator" for each in bindings)

    def way_out(self) -> None:
        """As the docs have it for who has no operator any more (docs/reliability.md)."""
        for name in self.kept():
            patch = '{"metadata":{"finalizers":null}}'
            self.cluster.kubectl("patch", "infs", name, "-n", self.namespace, "--type=merge", "-p", patch, check=False)
        self._kubectl("delete", "infs", "-n", self.namespace, "-l", "inferops.dev/hub")

    def end(self) -> None:
        self._stop()

    def _stop(self) -> None:
        operator, self.operator = self.operator, None
        if operator is not None:
            code = operator.stop()
            # Without its rights it cannot renew its lease, and ends as one must that may not write any more.
            assert code == 0 or (code == 1 and "lease" in operator.tail()), (code, operator.tail())
            assert "result=bug" not in operator.tail(400)

    def _ready(self) -> bool:
        return len(self._services()) >= 2 and all(
            condition(each, "Ready").get("status") == "True" for each in self._services()
        )

    def _services(self) -> list[Json]:
        return self._items(INFERENCE_SERVICE.path(self.namespace))

    def _ours(self, kind: Kind) -> list[Json]:
        return self._items(f"{kind.path()}?labelSelector={SERVICE_LABEL.replace('/', '%2F')}")

    def _crds(self) -> list[Json]:
        found = self._items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        return [each for each in found if _name(each).endswith(GROUP)]

    def _items(self, path: str) -> list[Json]:
        try:
            return list(json.loads(self.cluster.get(path))["items"] or ())
        except ApiError as error:
            if error.status == 404:
                return []
            raise

    def _kubectl(self, *arguments: str) -> None:
        """What is not there any more is gone."""
        self.cluster.kubectl(*arguments, "--wait=false", "--ignore-not-found", check=False)

    def _apply(self, kind: Kind, namespace: str, body: Json) -> None:
        whole = {"apiVersion": API_VERSION, "kind": kind.kind, **body}
        self.cluster.apply(kind.path(namespace, body["metadata"]["name"]), whole)

    def _delete(self, path: str) -> None:
        try:
            self.cluster.delete(path)
        except ApiError as error:
            if error.status != 404:
                raise


def uninstall(installed: Installed, order: Sequence[str], say: Say) -> None:
    """Take it away in this order. Asserts that it is gone, by the documented way out where an operator is missed."""
    installed.begin()
    began = time.monotonic()
    for step in order:
        installed.take(step)
        time.sleep(BETWEEN)
    try:
        wait_until("gone", lambda: installed.over() or installed.stuck(), PATIENCE, 0.3)
        if not installed.over():
            raise TimeoutError
        by = "by itself"
    except TimeoutError:
        assert installed.kept(), f"{' → '.join(order)}: {installed.left()}"
        assert order.index("operator") < len(order) - 1 or order.index("rights") < len(order) - 1, installed.left()
        installed.way_out()
        by = "by the way out"
        try:
            wait_until("gone", installed.over, PATIENCE, 0.3)
        except TimeoutError:
            raise AssertionError(f"{' → '.join(order)}: {installed.left()}") from None
    finally:
        installed.end()
    say(f"{' → '.join(order)}: gone {by} after {time.monotonic() - began:.1f} s")


def _name(found: Json) -> str:
    return str(found["metadata"]["name"])
