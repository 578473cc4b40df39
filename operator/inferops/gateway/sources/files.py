"""The gateway's configuration from YAML files: the same resources as in a cluster, status and EndpointSlices too.

For trying a gateway out, and for benchmarks. The files are read anew when one of them changes; what cannot be read
leaves everything as it was.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from inferops.gateway.sources.state import State
from inferops.gateway.sources.watching import Updated
from inferops.kube.kinds import ENDPOINT_SLICE, INFERENCE_SERVICE, SECRET, SERVING_RUNTIME
from inferops.kube.mirror import Copy
from inferops.kube.owned import Object
from inferops.render.gatewayslice import GATEWAYS, SERVICE_NAME

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there
Stamp = tuple[tuple[str, int, int], ...]  # path, time of change and size of each file


class BadFile(Exception):
    """A file that cannot be read, and why."""


class Files:
    """Keeps `fleet` true to files, and holds their Secrets for a Keyring."""

    def __init__(self, paths: Sequence[Path], fleet: Updated, own_hosts: Collection[str] = ()) -> None:
        """`paths`: files, or folders of them. `own_hosts`: as `Table` has them. Raises BadFile."""
        self.ready = asyncio.Event()  # the fleet has its first table
        self._paths, self._fleet = paths, fleet
        self._state = State(own_hosts=own_hosts)
        self._secrets: dict[tuple[str, str], Object] = {}
        self._seen = self._stamp()
        self._take_in(_read(self._paths))

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()

    async def look(self) -> None:
        """Take in what has changed since the last look, if anything."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            await self._read_anew()

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes | str] | None:
        """What the Secret holds; None where there is none. As `keyring.Secrets` has it."""
        raw = self._secrets.get((namespace, name))
        return secret_data(raw) if raw is not None else None

    async def _read_anew(self) -> None:
        try:
            self._take_in(await asyncio.to_thread(_read, self._paths))
        except BadFile as error:
            log.warning("everything stays as it was: %s", error)

    def _stamp(self) -> Stamp:
        try:
            stats = ((path, path.stat()) for path in _files(self._paths))
            return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)
        except OSError:
            return ()  # it is being replaced: another look will tell

    def _take_in(self, objects: Sequence[Object]) -> None:
        state = self._state
        _fill(state.services, _of(INFERENCE_SERVICE.kind, objects))
        _fill(state.runtimes, _of(SERVING_RUNTIME.kind, objects))
        slices = list(_of(ENDPOINT_SLICE.kind, objects))
        _fill(state.peers, [each for each in slices if _labels(each).get(SERVICE_NAME) == GATEWAYS])
        _fill(state.slices, slices)
        self._secrets = {_name(each): each for each in _of(SECRET.kind, objects)}
        self._fleet.update(state.table(), state.peers.ready())
        self.ready.set()


def secret_data(raw: Object) -> dict[str, bytes | str]:
    """What a Secret holds, base64 undone. Entries that are no base64 are left out."""
    found: dict[str, bytes | str] = {}
    for name, value in (raw.get("data") or {}).items():
        try:
            found[name] = base64.b64decode(str(value), validate=True)
        except binascii.Error:
            log.warning("Secret %s: data.%s is not base64 and left out", raw["metadata"]["name"], name)
    return {**found, **{name: str(value) for name, value in (raw.get("stringData") or {}).items()}}


def _fill(copy: Copy, objects: Iterable[Object]) -> None:
    there = set()
    for raw in objects:
        there.add(_name(raw))
        copy.put(raw)
    for gone in set(copy.names()) - there:
        copy.remove(*gone, 0)


def _read(paths: Iterable[Path]) -> list[Object]:
    """All resources in the files. Raises BadFile."""
    found: list[Object] = []
    for path in _files(paths):
        try:
            documents = list(yaml.load_all(path.read_text(encoding="utf-8"), _LOADER))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise BadFile(f"{path}: {error}") from error
        found.extend(_checked(path, each) for document in documents for each in _items(document))
    return found


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.iterdir() if each.suffix in (".yaml", ".yml"))
        else:
            yield path


def _items(document: Any) -> Iterator[Any]:
    if isinstance(document, dict) and document.get("kind") == "List":
        yield from document.get("items") or ()
    elif document is not None:
        yield document


def _checked(path: Path, document: Any) -> Object:
    """A resource with its namespace. Raises BadFile where it is none."""
    meta = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(meta, dict) or not meta.get("name") or not document.get("kind"):
        raise BadFile(f"{path}: each document must be a resource with kind and metadata.name")
    cluster_scoped = document["kind"] == SERVING_RUNTIME.kind
    namespace = "" if cluster_scoped else str(meta.get("namespace") or "default")
    return {**document, "metadata": {**meta, "name": str(meta["name"]), "namespace": namespace}}


def _of(kind: str, objects: Iterable[Object]) -> Iterator[Object]:
    return (each for each in objects if each["kind"] == kind)


def _name(raw: Object) -> tuple[str, str]:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


def _labels(raw: Object) -> Mapping[str, Any]:
    return raw["metadata"].get("labels") or {}
