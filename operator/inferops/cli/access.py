"""A user's way to a cluster: services, their pods and what is around them are read, with the rights of whoever asks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import yaml
from kubernetes.aio.config import ConfigException
from pydantic import ValidationError

from inferops.api.problems import problems
from inferops.api.resources import InferenceService
from inferops.controller.views import pod_view
from inferops.core.observation import PodView
from inferops.kube import answers
from inferops.kube.client import APPLY_TYPE, CONNECT_TIMEOUT, Client, KubeError
from inferops.kube.client import refusal as _refused
from inferops.kube.kinds import INFERENCE_SERVICE, POD, Kind
from inferops.kube.owned import Object
from inferops.kube.session import bearer, load_configuration, namespace_of

FIELD_MANAGER = "inferops-cli"  # not the operator's, nor a GitOps tool's: what is set here is theirs to leave alone
DNS_LABEL = re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST = 63
ASKED = 5.0  # seconds for a text
LONGEST_TEXT = 8 * 2**20  # bytes
MERGE_TYPE = "application/merge-patch+json"


class Refusal(Exception):
    """A command cannot do what it was asked: a sentence for people."""


class Unreachable(Refusal):
    """What was asked for cannot be had."""


@dataclass(frozen=True, slots=True)
class Where:
    """The cluster that is meant, and the namespace in it."""

    namespace: str  # empty: all of them
    kubeconfig: str | None = None
    context: str | None = None


def located(namespace: str | None, kubeconfig: str | None, context: str | None, *, everywhere: bool = False) -> Where:
    """Where a command looks: as kubectl does, without a namespace in that of the context."""
    if everywhere:
        return Where("", kubeconfig, context)
    return Where(namespace_of(kubeconfig, context) if namespace is None else namespace, kubeconfig, context)


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
    """The operator's client, with what users need beside: writes to services, and texts."""

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

    async def patch(
        self,
        where: tuple[str, str],
        body: Object,
        *,
        kind: Kind = INFERENCE_SERVICE,
        content: str = MERGE_TYPE,
        manager: str = FIELD_MANAGER,
        subresource: str = "",
        dry_run: bool = False,
        force: bool = False,
    ) -> Object:
        """Change the object of this namespace and name by a patch. `dry_run`: what would come of it, and no change.

        Raises KubeError."""
        namespace, name = where
        params = {"fieldManager": manager, "fieldValidation": "Strict"}
        params |= {"dryRun": "All"} if dry_run else {}
        params |= {"force": str(force).lower()} if content == APPLY_TYPE else {}
        path, what = kind.path(namespace, name, subresource), f"{namespace}/{name}"
        return await self._request(
            "PATCH", kind, "patch", path, what, body=body, params=params, headers={"Content-Type": content}
        )

    async def text(self, path: str, params: Mapping[str, str] | None = None, timeout: float = ASKED) -> str:
        """What stands at a path of the API server, such as a pod's own answer to /metrics. Raises KubeError."""
        pieces = bytearray()
        async for piece in self.pieces(path, params, timeout):
            pieces += piece
            if len(pieces) > LONGEST_TEXT:
                raise KubeError(f"get {path}", 0, "TooLarge", f"the answer has more than {LONGEST_TEXT} bytes")
        return pieces.decode(errors="replace")

    async def pieces(
        self, path: str, params: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> AsyncIterator[bytes]:
        """The same as it comes, for as long as it does. Raises KubeError."""
        doing, headers = f"get {path}", {"Accept": "*/*", **await bearer(self._configuration)}
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        try:
            async with self._session.get(
                self._host + path, params=params, headers=headers, timeout=limit, **self._way
            ) as response:
                if response.status >= 300:
                    raise _refused(doing, response, await answers.read(response))
                async for piece in response.content.iter_any():
                    yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubeError(doing, 0, type(error).__name__, str(error) or "timed out") from error


@asynccontextmanager
async def opened(where: Where) -> AsyncIterator[UserClient]:
    """A client as the kubeconfig says. Raises Unreachable where there is none, or it cannot be used."""
    try:
        client = UserClient(await load_configuration(where.kubeconfig, where.context))
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        asked = where.kubeconfig or "~/.kube/config"
        raise Unreachable(f"kubeconfig {asked}: {error}; name another one by --kubeconfig or KUBECONFIG") from error
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def looking(where: Where) -> AsyncIterator[UserClient]:
    """The same for who only looks: nothing can be written."""
    async with opened(where) as client:
        client.may_write = lambda: False
        yield client


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
    checked(namespace, name)
    raw = await client.get(INFERENCE_SERVICE, namespace, name)
    if raw is None:
        raise Unreachable(missing(namespace, name))
    return parsed(raw)


def checked(namespace: str, name: str) -> None:
    """Raises Unreachable where nothing can have such a name."""
    for what, given in (("NAME", name), ("--namespace", namespace)):
        if len(given) > LONGEST or DNS_LABEL.fullmatch(given) is None:
            raise Unreachable(f"{what} {given!r}: must be lower-case letters, digits and '-', for example team-a")


def missing(namespace: str, name: str) -> str:
    """That there is no such service, and where to look."""
    return f"there is no InferenceService {name} in namespace {namespace}; see `kubectl get inferenceservices -A`"


def parsed(raw: Mapping[str, Any]) -> InferenceService:
    """The resource. Raises Unreachable with what is wrong with it."""
    try:
        return InferenceService.model_validate(raw)
    except ValidationError as error:
        told = "; ".join(problems(error))
        raise Unreachable(f"this version of inferops cannot read the resource: {told}") from error


def meant(where: Where, name: str = "") -> str:
    """What a command was asked for."""
    if name:
        return f"InferenceService {where.namespace}/{name}"
    return f"InferenceServices of namespace {where.namespace}" if where.namespace else "InferenceServices"


def refusal(error: KubeError, what: str) -> str:
    """What the API server's refusal, or its silence, means for somebody who asked for `what`."""
    if error.status == 0:
        return f"{what}: the API server does not answer: {error.message}"
    if error.status == 401:
        return f"{what}: the API server does not know you: {error.message}; log in anew"
    if error.status == 403:
        return f"{what}: you may not: {error.message}; ask the admin of the namespace for that verb"
    return f"{what}: {error}"
