"""What a command reads around a service with the rights of who asks. What they may not read is told, and left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from inferops.api.resources import InferenceService
from inferops.cli.access import Unreachable, parsed
from inferops.kube.client import KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, Kind
from inferops.kube.owned import Object

MOST = 20_000  # objects of one kind that are read

T = TypeVar("T")


class Lister(Protocol):
    """What listing takes of a client."""

    def pages(
        self, kind: Kind, selector: str = "", *, namespace: str = "", metadata_only: bool = False
    ) -> AsyncIterator[tuple[list[Object], int]]: ...


@dataclass(slots=True)
class Gathering:
    """Reads with the rights there are. `unseen` is what could not be read, and what the answer lacks for that."""

    client: Lister
    unseen: list[str] = field(default_factory=list[str])

    async def list(
        self, kind: Kind, namespace: str = "", selector: str = "", *, lacks: str = "", optional: bool = False
    ) -> list[Object] | None:
        """The objects of a kind; None where they may not be read. `lacks`: what is not told then. `optional`: whether
        clusters need not have the kind. Raises KubeError where the API server does not answer at all."""
        found: list[Object] = []
        try:
            async for page, _ in self.client.pages(kind, selector, namespace=namespace):
                found += page
                if len(found) >= MOST:
                    self.unseen.append(f"more than {MOST} {kind.plural}: the others are not looked at")
                    break
        except KubeError as error:
            if error.status == 404 and optional:
                return None
            if error.status not in (403, 404):
                raise
            scope = f" in namespace {namespace}" if namespace else " in all namespaces" if kind.namespaced else ""
            what = f"you may not list {kind.plural}{scope}"
            if error.status == 404:
                what = f"the cluster has no {kind.plural} ({kind.api_version})"
            self.unseen.append(f"{what}: {lacks or 'that part is left out'}")
            return None
        return found

    async def trying(self, asked: Awaitable[T], what: str, lacks: str) -> T | None:
        """What `asked` brings, None where it may not be had. `what`: verb and resource."""
        try:
            return await asked
        except KubeError as error:
            why = f"you may not {what}" if error.status == 403 else f"{what}: {error.message or error.reason}"
            self.unseen.append(f"{why}: {lacks}")
            return None


async def services(client: Lister, namespace: str) -> tuple[list[InferenceService], list[str]]:
    """The services of a namespace, or of all, by namespace and name, and what is wrong with those that cannot be read.

    Raises KubeError.
    """
    found, wrong = [], []
    async for page, _ in client.pages(INFERENCE_SERVICE, namespace=namespace):
        for raw in page:
            meta = raw["metadata"]
            try:
                found.append(parsed(raw))
            except Unreachable as error:
                wrong.append(f"{meta.get('namespace')}/{meta['name']}: {error}")
    return sorted(found, key=lambda each: (each.metadata.namespace, each.metadata.name)), wrong
