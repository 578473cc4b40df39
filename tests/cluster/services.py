"""InferenceServices in a namespace of a bench cluster: made, changed, read, and judged whether they are whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import harness
from controlplane import Cluster
from inferops.api import API_VERSION
from inferops.controller.views import REVISION_LABEL, SERVICE_LABEL
from inferops.kube.kinds import BUDGET, DEPLOYMENT, EVENT, INFERENCE_SERVICE, POD, RECORD, SERVICE, Kind
from nodeagent.client import MERGE, Client

Json = dict[str, Any]
Say = Callable[[str], None]
OPERATOR = "system:serviceaccount:inferops-system:inferops-operator"
CHILDREN = (DEPLOYMENT, RECORD, SERVICE, BUDGET)
# A new revision takes over once it is ready, and nothing is left of the one before.
AT_ONCE = {"steps": [], "retainPrevious": "0s"}
PATIENCE = 60.0  # seconds; nothing takes nearly as long
OFTEN = 0.25  # seconds between two looks


def manifest(name: str, model: str = "Qwen/Qwen3-8B") -> Json:
    """A service of one replica with one H100."""
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {
            "model": {"uri": f"hf://{model}"},
            "accelerators": [{"type": "nvidia-h100-80gb"}],
            "rollout": AT_ONCE,
        },
    }


@contextmanager
def gpu_nodes(cluster: Cluster, nodes: str, prefix: str) -> Iterator[None]:
    """Nodes such as `2x8xnvidia-h100-80gb` on which every pod is ready at once, in a process of their own."""
    with harness.gpu_nodes(cluster, nodes, "--mode", "report", "--name-prefix", prefix):
        yield


class Services:
    """The services of one namespace, and what was made for them."""

    def __init__(self, api: Client, namespace: str) -> None:
        self.api, self.namespace = api, namespace

    async def begin(self) -> None:
        """Create the namespace, and wait until pods can be created in it."""
        await self.api.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})

        async def so() -> bool:
            accounts = await self.api.get(f"/api/v1/namespaces/{self.namespace}/serviceaccounts")
            return bool(accounts["items"])

        await eventually("its ServiceAccount", so)

    async def create(self, *names: str, **change: Any) -> None:
        path = INFERENCE_SERVICE.path(self.namespace)
        await asyncio.gather(*(self.api.create(path, manifest(name, **change)) for name in names))

    async def change(self, name: str, spec: Mapping[str, Any]) -> None:
        """Merge `spec` into the service's."""
        await self.api.patch(INFERENCE_SERVICE.path(self.namespace, name), {"spec": spec}, kind=MERGE)

    async def delete(self, *names: str) -> None:
        await asyncio.gather(*(self.api.delete(INFERENCE_SERVICE.path(self.namespace, name)) for name in names))

    async def get(self, kind: Kind, name: str) -> Json:
        return await self.api.get(kind.path(self.namespace, name))

    async def all(self, kind: Kind, selector: str = "") -> list[Json]:
        params = {"labelSelector": selector} if selector else {}
        return list((await self.api.get(kind.path(self.namespace), **params))["items"])

    async def of(self, kind: Kind, service: str) -> list[Json]:
        """The service's objects of a kind, by name."""
        found = await self.all(kind, f"{SERVICE_LABEL}={service}")
        return sorted(found, key=lambda each: str(each["metadata"]["name"]))

    async def number(self, kind: Kind, service: str, wanted: int) -> bool:
        """Whether the service has so many objects of a kind."""
        return len(await self.of(kind, service)) == wanted

    async def ready(self, *names: str) -> None:
        """Wait until these are Ready on their newest generation and nothing else is left of earlier ones."""

        async def so() -> bool:
            if len(names) == 1:
                return is_ready(await self.get(INFERENCE_SERVICE, names[0]))
            there = {each["metadata"]["name"]: each for each in await self.all(INFERENCE_SERVICE)}
            return all(name in there and is_ready(there[name]) for name in names)

        await eventually(f"Ready: {', '.join(names)}", so)

    async def gone(self) -> None:
        """Wait until nothing is left of any service: no child and no pod."""

        async def so() -> bool:
            kinds = (INFERENCE_SERVICE, *CHILDREN, POD)
            return not any([each for kind in kinds for each in await self.all(kind) if is_ours(kind, each)])

        await eventually("nothing left", so)

    async def pods(self) -> set[str]:
        """The uids of all pods that run."""
        found = await self.all(POD)
        return {each["metadata"]["uid"] for each in found if "deletionTimestamp" not in each["metadata"]}

    async def one_pod_each(self, *names: str) -> None:
        """Wait until the pods of earlier revisions have ended."""

        async def so() -> bool:
            return len(await self.all(POD)) == len(names)

        await eventually("one pod each", so)

    async def whole(self, *names: str) -> None:
        """Assert that these are there, and all that is there is theirs and there once: children, pods and Events."""
        services = {each["metadata"]["name"]: each for each in await self.all(INFERENCE_SERVICE)}
        assert set(services) == set(names)
        revisions = {name: service["status"]["stableRevision"] for name, service in services.items()}
        own = sorted(f"{name}-{revision}" for name, revision in revisions.items())
        for kind in CHILDREN:
            found = [each for each in await self.all(kind) if is_ours(kind, each)]
            wanted = own if kind is not SERVICE else sorted([*own, *names])
            assert sorted(each["metadata"]["name"] for each in found) == wanted
            for each in found:
                meta = each["metadata"]
                owner = services[meta["labels"][SERVICE_LABEL]]
                assert [each["uid"] for each in meta["ownerReferences"]] == [owner["metadata"]["uid"]], meta
                if kind is SERVICE and meta["name"] in revisions:
                    assert each["spec"]["selector"][REVISION_LABEL] == revisions[meta["name"]]
        assert len(await self.pods()) == len(names)
        await self.told_once()

    async def told_once(self) -> None:
        """Assert that no Event stands there twice, nor was repeated again and again."""
        told = [each for each in await self.all(EVENT) if each["involvedObject"]["kind"] == INFERENCE_SERVICE.kind]
        said = sorted((each["involvedObject"]["uid"], each["reason"], each["message"]) for each in told)
        assert len(said) == len(set(said)), f"an Event stands there twice: {said}"
        assert max((each["count"] for each in told), default=0) <= 3, told


def is_ours(kind: Kind, found: Json) -> bool:
    return kind is INFERENCE_SERVICE or SERVICE_LABEL in found["metadata"].get("labels", {})


def condition(service: Json, kind: str) -> Json:
    found = service.get("status", {}).get("conditions", [])
    return next((each for each in found if each["type"] == kind), {})


def is_ready(service: Json) -> bool:
    """Whether it is Ready on its newest generation, with the revision that it asks for."""
    ready, status = condition(service, "Ready"), service.get("status", {})
    newest = ready.get("observedGeneration") == service["metadata"]["generation"]
    return ready.get("status") == "True" and newest and len(status["revisions"]) == 1


async def eventually(what: str, true: Callable[[], Any], timeout: float = PATIENCE) -> None:
    """Wait until `await true()`. Raises TimeoutError that names `what`."""
    try:
        async with asyncio.timeout(timeout):
            while not await true():
                await asyncio.sleep(OFTEN)
    except TimeoutError:
        raise TimeoutError(f"{what}: not within {timeout:.0f} s") from None


def denied(cluster: Cluster, user: str = OPERATOR) -> set[tuple[str, str]]:
    """What the operator, or another, asked for and was refused for want of rights or a login: verbs and resources."""
    return {
        (event.verb, event.resource)
        for event in cluster.audit_events()
        if event.user == user and (event.code == 401 or not event.allowed)
    }
