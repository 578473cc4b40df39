"""A user's way to one service: its resource and its pods are read, and one annotation of it can be set."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import yaml
from kubernetes.aio.config import ConfigException
from pydantic import ValidationError

from inferops.api.problems import problems
from inferops.api.resources import InferenceService
from inferops.controller.views import pod_view
from inferops.core.observation import PodView
from inferops.kube.client import Client, KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, POD, Kind
from inferops.kube.owned import Object
from inferops.kube.session import load_configuration

FIELD_MANAGER = "inferops-cli"  # not the operator's, nor a GitOps tool's: what is set here is theirs to leave alone
DNS_LABEL = re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST = 63
MERGE_TYPE = "application/merge-patch+json"


class Refusal(Exception):
    """A command cannot do what it was asked: a sentence for people."""


class Unreachable(Refusal):
    """What was asked for cannot be had."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of one service."""

    service: InferenceService
    pods: list[PodView]
    unseen: str = ""  # why there may be pods that are not among them


class Reader(Protocol):
    """What reading a service takes of a client."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None: ...

    def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]: ...


class Writer(Reader, Protocol):
    """What acting on a service takes of a client."""

    async def annotate(
        self, kind: Kind, namespace: str, name: str, uid: str, annotations: Mapping[str, str]
    ) -> Object: ...


class UserClient(Client):
    """The operator's client, with the one write that users need."""

    async def annotate(self, kind: Kind, namespace: str, name: str, uid: str, annotations: Mapping[str, str]) -> Object:
        """Merge annotations into the object that has this uid; 409 where another one has the name by now."""
        return await self._write(
            "PATCH",
            kind,
            "annotate",
            kind.path(namespace, name),
            f"{namespace}/{name}",
            {"metadata": {"uid": uid, "annotations": dict(annotations)}},
            params={"fieldManager": FIELD_MANAGER},
            headers={"Content-Type": MERGE_TYPE},
        )


@asynccontextmanager
async def opened(kubeconfig: str | None) -> AsyncIterator[UserClient]:
    """A client as the kubeconfig says. Raises Unreachable where there is none, or it cannot be used."""
    try:
        client = UserClient(await load_configuration(kubeconfig))
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        asked = kubeconfig or "~/.kube/config"
        raise Unreachable(f"kubeconfig {asked}: {error}; name another one by --kubeconfig or KUBECONFIG") from error
    try:
        yield client
    finally:
        await client.close()


async def read(client: Reader, namespace: str, name: str) -> Shown:
    """The service and its pods, or why those cannot be seen. Raises what `read_service` does, and KubeError."""
    service = await read_service(client, namespace, name)
    labels = f"inferops.dev/service={name}"
    try:
        pods = [pod async for page, _ in client.pages(POD, labels, namespace=namespace) for pod in page]
    except KubeError as error:
        if error.status != 403:
            raise
        return Shown(service, [], f"its pods are not shown: {error.message}")
    return Shown(service, sorted((pod_view(pod) for pod in pods), key=lambda pod: pod.name))


async def read_service(client: Reader, namespace: str, name: str) -> InferenceService:
    """The service. Raises KubeError, and Unreachable where there is none, or none that can be read."""
    for what, given in (("NAME", name), ("--namespace", namespace)):
        if len(given) > LONGEST or DNS_LABEL.fullmatch(given) is None:
            raise Unreachable(f"{what} {given!r}: must be lower-case letters, digits and '-', for example team-a")
    raw = await client.get(INFERENCE_SERVICE, namespace, name)
    if raw is None:
        raise Unreachable(
            f"there is no InferenceService {name} in namespace {namespace}; see `kubectl get inferenceservices -A`"
        )
    return parsed(raw)


def parsed(raw: Mapping[str, Any]) -> InferenceService:
    """The resource. Raises Unreachable with what is wrong with it."""
    try:
        return InferenceService.model_validate(raw)
    except ValidationError as error:
        told = "; ".join(problems(error))
        raise Unreachable(f"this version of inferops cannot read the resource: {told}") from error


def refusal(error: KubeError, namespace: str, name: str) -> str:
    """What the API server's refusal, or its silence, means for somebody who asked for a service."""
    what = f"InferenceService {namespace}/{name}"
    if error.status == 0:
        return f"{what}: the API server does not answer: {error.message}"
    if error.status == 401:
        return f"{what}: the API server does not know you: {error.message}; log in anew"
    if error.status == 403:
        return f"{what}: you may not: {error.message}; ask the admin of the namespace for that verb"
    return f"{what}: {error}"
