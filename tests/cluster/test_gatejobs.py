"""Jobs of gates on a real API server with its own Job controller: how they are admitted, stopped, and end.

No kubelet is about: the test plays it, so that a container ends as it says.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.services import eventually, manifest
from controlplane import Cluster
from harness import ACCOUNT, NAMESPACE, install
from inferops.api.resources import InferenceService
from inferops.catalogue import accelerators, runtimes
from inferops.controller.gates import Gates
from inferops.controller.store import Key, Store
from inferops.controller.watch import selector
from inferops.controller.webhookhosts import Hosts
from inferops.controller.webhooks import Poster
from inferops.core.observation import GateView
from inferops.core.rollout.view import GateWanted
from inferops.kube.client import Client
from inferops.kube.kinds import INFERENCE_SERVICE, JOB, POD
from inferops.kube.session import load_configuration
from inferops.render.gatejob import CONTAINER, job_name
from unit.controller.gating import job

Json = dict[str, Any]
NAME = "judged"


class Judged:
    """One service, and the gates of the operator's leader, which looks at the Jobs whenever it is asked."""

    def __init__(self, api: Client, cluster: Cluster, namespace: str, service: InferenceService) -> None:
        self.api, self.cluster, self.key, self.service = api, cluster, Key("InferenceService", namespace, NAME), service
        self.again()

    def again(self) -> None:
        """Another process takes over."""
        self.store = Store(accelerators(), runtimes())
        self.gates = Gates(self.api, self.store, lambda key, delay: None, Poster(), Hosts())

    async def look(self) -> None:
        """As the watches would."""
        for kind in (INFERENCE_SERVICE, JOB):
            there = set()
            async for found, _ in self.api.pages(kind, selector(kind), namespace=self.key.namespace):
                for each in found:
                    there.add((self.key.namespace, each["metadata"]["name"]))
                    self.store.put(kind, each)
            for namespace, name in set(self.store.names(kind)) - there:
                self.store.remove(kind, namespace, name)

    async def ask(self, *wanted: GateWanted) -> dict[str, GateView]:
        await self.look()
        await self.gates.ask(self.key, self.service, wanted)
        return dict(self.gates.views(self.key))

    async def says(self, wanted: GateWanted, verdict: str, words: str) -> None:
        """Wait until the gate says so."""

        async def so() -> bool:
            said = (await self.ask(wanted)).get(wanted.name)
            return said is not None and said.verdict == verdict and words in said.message

        await eventually(f"{verdict}: {words}", so)

    async def job(self, wanted: GateWanted) -> Json | None:
        """The gate's Job, out of a list: the operator has no right to get one by its name."""
        pages = self.api.pages(JOB, selector(JOB), namespace=self.key.namespace)
        found = {each["metadata"]["name"]: each async for page, _ in pages for each in page}
        return found.get(job_name(NAME, wanted))

    async def pods(self, wanted: GateWanted) -> list[Json]:
        label = f"batch.kubernetes.io/job-name={job_name(NAME, wanted)}"
        found = [each async for page, _ in self.api.pages(POD, label, namespace=self.key.namespace) for each in page]
        return [each for each in found if (each.get("status") or {}).get("phase") == "Pending"]

    async def pod(self, wanted: GateWanted) -> Json:
        """The Job's pod that runs, once there is one."""
        found: list[Json] = []

        async def so() -> bool:
            found[:] = await self.pods(wanted)
            return len(found) == 1

        await eventually("the Job has a pod", so)
        return found[0]

    def end(self, pod: Json, code: int, said: str = "", *conditions: Json) -> None:
        """Its container ends."""
        ended = {"name": CONTAINER, "image": "eval", "imageID": "", "ready": False, "restartCount": 0,
                 "state": {"terminated": {"exitCode": code, "message": said}}}  # fmt: skip
        phase = "Failed" if code else "Succeeded"
        patch = {"status": {"phase": phase, "containerStatuses": [ended], "conditions": [*conditions]}}
        where = ("-n", self.key.namespace, "--subresource=status", "--type=merge", "-p", json.dumps(patch))
        self.cluster.kubectl("patch", "pod", pod["metadata"]["name"], *where)


@pytest.fixture
async def judged(cluster: Cluster, namespace: str) -> AsyncIterator[Judged]:
    """A service in a namespace that enforces `restricted`, with no operator about."""
    install(cluster)
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    made = cluster.kubectl("create", "-n", namespace, "-f", "-", "-o", "json", input=json.dumps(manifest(NAME)))
    api = Client(await load_configuration(str(cluster.kubeconfig_for(NAMESPACE, ACCOUNT))))
    found = Judged(api, cluster, namespace, InferenceService.model_validate(json.loads(made)))
    yield found
    await found.gates.close()
    await api.close()


def _asked(found: Any) -> tuple[object, ...]:
    """What is asked of it and which one it is. How far it is changes by itself."""
    meta = found["metadata"]
    return meta["uid"], meta["generation"], meta["labels"], found["spec"]


async def test_exit_code_0_passes_and_another_process_says_the_same(judged: Judged) -> None:
    gate = job(args=["--suite", "smoke"], env=[{"name": "SUITE", "value": ""}], resources={"cpu": "1000m"})
    await judged.ask(gate)
    pod = await judged.pod(gate)
    assert "app.kubernetes.io/managed-by" not in pod["metadata"]["labels"]
    assert not pod["spec"].get("volumes")  # no token
    before = await judged.job(gate)
    judged.again()
    await judged.ask(gate)
    after = await judged.job(gate)
    assert before is not None and _asked(before) == _asked(after)
    judged.end(pod, 0, "accuracy 0.83")
    await judged.says(gate, "Passed", "succeeded: accuracy 0.83")
    judged.again()
    await judged.says(gate, "Passed", "succeeded: accuracy 0.83")


async def test_any_other_exit_code_fails_at_once(judged: Judged) -> None:
    gate = job()
    await judged.ask(gate)
    judged.end(await judged.pod(gate), 3, "accuracy 0.71")
    await judged.says(gate, "Failed", "failed: exit code 3: accuracy 0.71")


async def test_a_pod_that_is_evicted_is_replaced_and_judges(judged: Judged) -> None:
    gate = job()
    await judged.ask(gate)
    first = await judged.pod(gate)
    evicted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    judged.end(first, 137, "", evicted)
    second = await judged.pod(gate)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    await judged.says(gate, "Waiting", "has not ended")
    judged.end(second, 0)
    await judged.says(gate, "Passed", "succeeded")


async def test_one_that_takes_too_long_has_judged_nothing(judged: Judged) -> None:
    gate = job(wait="1s")
    await judged.ask(gate)
    await judged.says(gate, "Waiting", "did not end within the gate's wait")


async def test_an_abort_stops_it_with_its_pod(judged: Judged) -> None:
    gate = job()
    await judged.ask(gate)
    await judged.pod(gate)
    await judged.ask()

    async def so() -> bool:
        return not await judged.pods(gate) and await judged.job(gate) is None

    await eventually("Job and pod are gone", so)
