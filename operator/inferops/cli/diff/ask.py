"""`inferops diff -f FILE`: asks the API server what each resource would become, and tells what would come of it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from inferops.cli import table
from inferops.cli.access import MERGE_TYPE, Refusal, UserClient, Where, opened
from inferops.cli.answering import answered
from inferops.cli.diff import fields
from inferops.cli.diff.change import Outlook, stand
from inferops.cli.diff.fields import Difference
from inferops.cli.diff.live import Live
from inferops.cli.gather import Gathering
from inferops.cli.lines import new_console, plain
from inferops.cli.options import Document
from inferops.cli.render import objects
from inferops.kube.client import APPLY_TYPE, KubeError
from inferops.kube.kinds import ACCELERATOR, INFERENCE_CLUSTER, INFERENCE_SERVICE, RECORD, SERVING_RUNTIME, Kind
from inferops.kube.owned import Object

KINDS = {kind.kind: kind for kind in (INFERENCE_SERVICE, INFERENCE_CLUSTER, SERVING_RUNTIME, ACCELERATOR)}
COLOURS = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}
MANAGER = "kubectl"  # of what nobody applied before


class BadFile(Refusal):
    """What is wrong with the file."""


@dataclass(frozen=True, slots=True)
class Change:
    """What would become of one resource."""

    kind: str
    namespace: str
    name: str
    state: str  # new, changed, unchanged or refused
    differences: tuple[Difference, ...] = ()
    outlook: Outlook | None = None
    why: str = ""  # it is refused, or there is no outlook
    objects: tuple[str, ...] = ()  # a unified diff of what the operator makes of it

    @property
    def differs(self) -> bool:
        return self.state != "unchanged"


def diff(file: Path, where: Where, *, with_objects: bool, output: Document) -> int:
    """Print the changes. Returns 0 where there are none, 1 where there are some, 2 on errors, refusals among them."""
    return answered(_diff(file, where, with_objects, output), where)


async def _diff(file: Path, where: Where, with_objects: bool, output: Document) -> int:
    documents = list(read(file, where.namespace))
    async with opened(where) as client:
        reads = Gathering(client)
        live = Live(reads, _configs(documents, where.namespace))
        changes = [await _change(client, live, each, with_objects) for each in documents if each["kind"] in KINDS]
    if output != "text":
        data = {"resources": [as_data(each) for each in changes], "notSeen": list(dict.fromkeys(reads.unseen))}
        print(table.document(data, output))
    else:
        others = sorted({each["kind"] for each in documents if each["kind"] not in KINDS})
        table.show(new_console(), told(changes, reads.unseen, others))
    if any(each.state == "refused" for each in changes):
        return 2
    return 1 if any(each.differs for each in changes) else 0


def read(file: Path, namespace: str) -> Iterator[Object]:
    """The resources of a file, each with its namespace. Raises BadFile."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        documents = [each for each in yaml.safe_load_all(text) if each]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadFile(f"-f {file}: {error}") from error
    for each in _items(documents):
        meta = each.get("metadata") if isinstance(each, dict) else None
        if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not isinstance(each.get("kind"), str):
            raise BadFile(f"-f {file}: not a Kubernetes resource: expected apiVersion, kind and metadata.name")
        kind = KINDS.get(each["kind"])
        scoped = {"namespace": meta.get("namespace") or namespace} if kind is None or kind.namespaced else {}
        yield {**each, "metadata": {**meta, **scoped}}


def _items(documents: Iterable[Any]) -> Iterator[Any]:
    for each in documents:
        if isinstance(each, dict) and each.get("kind") == "List" and isinstance(each.get("items"), list):
            yield from each["items"]
        else:
            yield each


def _configs(documents: Iterable[Object], namespace: str) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (each["metadata"].get("namespace") or namespace, each["metadata"]["name"]): each.get("data") or {}
        for each in documents
        if each["kind"] == "ConfigMap"
    }


async def _change(client: UserClient, live: Live, wanted: Object, with_objects: bool) -> Change:
    """Ask for one resource. Raises KubeError where the API server does not answer, or may not be asked."""
    kind, meta = KINDS[wanted["kind"]], wanted["metadata"]
    what = (kind.kind, meta.get("namespace", ""), meta["name"])
    there = await client.get(kind, what[1], what[2])
    try:
        became = await _became(client, kind, there, wanted)
    except KubeError as error:
        if error.status not in (400, 409, 422):
            raise
        return Change(*what, "refused", why=error.message)
    found = tuple(fields.of_objects(there, became))
    state = "new" if there is None else "changed" if found else "unchanged"
    if kind is not INFERENCE_SERVICE or state == "unchanged":
        return Change(*what, state, found)
    try:
        outlook = await live.outlook(there, became)
        rendered = await _rendered(live, there, became) if with_objects else ()
    except ValidationError as error:
        return Change(*what, state, found, why=f"this version of inferops cannot read it: {error}")
    if isinstance(outlook, str):
        return Change(*what, state, found, why=outlook)
    return Change(*what, state, found, outlook, objects=rendered)


async def _became(client: UserClient, kind: Kind, there: Object | None, wanted: Object) -> Object:
    """What the API server would make of it, by the way in which it is applied. Raises KubeError."""
    meta = wanted["metadata"]
    where = (meta.get("namespace", ""), meta["name"])
    manager = fields.applier(there) if there is not None else ""
    before = fields.last_applied(there) if there is not None else None
    if there is not None and not manager and before is not None:
        patch = fields.merge_patch(before, wanted, there)
        patch.pop("status", None)
        return await client.patch(where, patch, kind=kind, content=MERGE_TYPE, manager=MANAGER, dry_run=True)
    return await client.patch(
        where, wanted, kind=kind, content=APPLY_TYPE, manager=manager or MANAGER, dry_run=True, force=True
    )


async def _rendered(live: Live, there: Object | None, became: Object) -> tuple[str, ...]:
    """A unified diff of the objects that the operator makes of it."""
    before = await _objects(live, there) if there is not None else []
    after = await _objects(live, {**became, "status": (there or {}).get("status") or {}})
    return tuple(difflib.unified_diff(before, after, "live", "after", lineterm=""))


async def _objects(live: Live, raw: Object) -> list[str]:
    seen = await live.observation(raw)
    revision = stand(seen).revision if seen is not None else None
    if seen is None or revision is None:
        return []
    found = (each for each in objects(seen, revision) if each["kind"] != RECORD.kind)  # it holds the others once more
    text = yaml.safe_dump_all(found, sort_keys=True, explicit_start=True)
    return text.replace(revision.hash, "REVISION").splitlines()  # which names and labels have, and is told above


def told(changes: Iterable[Change], unseen: Iterable[str], others: Iterable[str]) -> list[str]:
    """The changes, in lines of our markup."""
    lines: list[str] = []
    for change in changes:
        where = f"{change.namespace}/" if change.namespace else ""
        colour = {"unchanged": "dim", "refused": "red"}.get(change.state, "cyan")
        lines.append(f"[bold]{change.kind} {plain(where)}{plain(change.name)}[/]: [{colour}]{change.state}[/]")
        lines += [_coloured(each.told()) for each in change.differences if change.state != "new"]
        lines += [f"  [red]{plain(change.why)}[/]"] if change.why else []
        lines += [f"  {plain(each)}" for each in change.outlook.sentences] if change.outlook is not None else []
        lines += [_coloured(each, "") for each in change.objects]
    lines += [f"[dim]not looked at: {plain(each)}, which is no resource of inferops[/]" for each in others]
    lines += [f"[yellow]not seen: {plain(each)}[/]" for each in dict.fromkeys(unseen)]
    return lines


def _coloured(text: str, indent: str = "  ") -> str:
    colour = COLOURS.get(text[:1], "")
    told = "".join(each if each.isprintable() else " " for each in text)
    return (
        f"[{colour}]{indent}{plain(told)}[/]"
        if colour
        else f"{indent}{' ' * (len(told) - len(told.lstrip()))}{plain(told)}"
    )


def as_data(change: Change) -> dict[str, Any]:
    """One change for machines."""
    outlook = change.outlook
    stands = {"before": outlook.before, "after": outlook.after} if outlook is not None else {}
    return {
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "state": change.state,
        "message": change.why,
        "fields": [
            {
                "field": each.field,
                **({"before": each.before} if each.before is not fields.NOTHING else {}),
                **({"after": each.after} if each.after is not fields.NOTHING else {}),
            }
            for each in change.differences
        ],
        **{
            when: {
                "revision": each.hash,
                "replicas": each.replicas,
                "accelerator": each.accelerator,
                "usdPerHour": each.hourly,
                "sizing": each.sized,
                "message": each.why,
            }
            for when, each in stands.items()
            if each is not None
        },
        "outlook": list(outlook.sentences) if outlook is not None else [],
        "objects": list(change.objects),
    }
