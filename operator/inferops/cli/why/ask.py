"""`inferops why NAME`: reads what the policies go by, and prints their answer: verdict, evidence, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from inferops.api.inferencecluster import InferenceClusterStatus
from inferops.cli import capacity, table
from inferops.cli.access import Shown, UserClient, Where, looking, read
from inferops.cli.answering import answered
from inferops.cli.events import events
from inferops.cli.gather import Gathering
from inferops.cli.lines import new_console, plain
from inferops.cli.options import Document
from inferops.cli.rolloutfollow import utc
from inferops.cli.why.chain import explain
from inferops.cli.why.seen import Explanation, Seen
from inferops.kube.kinds import INFERENCE_CLUSTER


def why(name: str, where: Where, cluster: str, output: Document) -> int:
    """Print the answer. Returns 0 where nothing is wrong, 1 where something is, 2 where it cannot be read."""
    return answered(_why(name, where, cluster, output), where, name)


async def _why(name: str, where: Where, cluster: str, output: Document) -> int:
    async with looking(where) as client:
        shown = await read(client, where.namespace, name)
        reads = Gathering(client, [shown.unseen] if shown.unseen else [])
        seen = await gathered(client, reads, shown, cluster)
    found = explain(seen)
    if output != "text":
        print(table.document(as_data(seen, found, reads.unseen), output))
    else:
        table.show(new_console(), told(seen, found, reads.unseen))
    return 1 if found[0].wrong else 0


async def gathered(client: UserClient, reads: Gathering, shown: Shown, cluster: str) -> Seen:
    """What the policies need of this service. Raises KubeError."""
    service, namespace = shown.service, shown.service.metadata.namespace
    homeless = any(not pod.node and not pod.deleting for pod in shown.pods)
    refused = any(each.type == "Scheduled" and each.status == "False" for each in service.status.conditions)
    known = await capacity.accelerators(reads) if homeless or refused else {}
    clusters = None
    if service.spec.placement.clusters is not None or cluster:
        clusters = {}
        for raw in await reads.list(INFERENCE_CLUSTER, lacks="what clusters have is not told") or []:
            try:
                clusters[raw["metadata"]["name"]] = InferenceClusterStatus.model_validate(raw.get("status") or {})
            except ValidationError:  # of another version
                continue
    return Seen(
        service,
        utc(),
        tuple(shown.pods),
        await events(client, reads, namespace, service.metadata.name),
        await capacity.capacity(reads, known) if homeless or refused else None,
        await capacity.quotas(reads, namespace) if homeless or refused else (),
        known,
        clusters,
        cluster,
    )


def told(seen: Seen, found: list[Explanation], unseen: Iterable[str]) -> list[str]:
    """The answer, in lines of our markup."""
    first, *others = found
    meta = seen.service.metadata
    colour = "red" if first.wrong else "green"
    lines = [f"[bold]{meta.namespace}/{meta.name}[/]: [{colour}]{plain(first.verdict)}[/]"]
    lines += _block("evidence", first.evidence)
    lines += _block("what to do", first.todo)
    for other in others:
        lines += ["", f"[{'yellow' if other.wrong else 'dim'}]also:[/] {plain(other.verdict)}"]
        lines += [f"  {plain(each)}" for each in other.evidence]
        lines += [f"  → {plain(each)}" for each in other.todo] if other.wrong else []
    news = [each.line for each in seen.events]
    lines += _block("events, the newest first", news) if first.wrong else []
    return lines + _block("not seen", list(dict.fromkeys(unseen)))


def _block(title: str, sentences: Iterable[str]) -> list[str]:
    shown = [f"  - {plain(each)}" for each in sentences]
    return ["", f"[bold]{title}[/]", *shown] if shown else []


def as_data(seen: Seen, found: list[Explanation], unseen: Iterable[str]) -> dict[str, Any]:
    """The same for machines."""
    meta = seen.service.metadata
    return {
        "namespace": meta.namespace,
        "name": meta.name,
        "wrong": found[0].wrong,
        "explanations": [
            {"verdict": e.verdict, "evidence": list(e.evidence), "whatToDo": list(e.todo), "wrong": e.wrong}
            for e in found
        ],
        "events": [{"reason": e.reason, "message": e.message, "count": e.count, "last": e.last} for e in seen.events],
        "notSeen": list(dict.fromkeys(unseen)),
    }
