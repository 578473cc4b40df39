"""`inferops status NAME`: a tree of the service's conditions, revisions and pods."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from inferops.api.conditions import Condition
from inferops.api.inferenceservicestatus import RevisionStatus, SizingStatus
from inferops.api.resources import InferenceService
from inferops.controller.views import pod_view
from inferops.core.observation import PodView
from inferops.kube.client import Client, KubeError
from inferops.kube.kinds import INFERENCE_SERVICE, POD
from inferops.kube.session import load_configuration

WIDE = 2000
OPTIONS = 3
COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of one service."""

    service: InferenceService
    pods: list[PodView]


def status(name: str, namespace: str, kubeconfig: str | None) -> int:
    """Print the tree. Returns 0 when the service is Ready, 3 when it is not, 1 when it cannot be read."""
    try:
        shown = asyncio.run(_read(name, namespace, kubeconfig))
    except (KubeError, ValidationError, OSError) as error:
        print(f"cannot read InferenceService {namespace}/{name}: {error}", file=sys.stderr)
        return 1
    if shown is None:
        print(f"there is no InferenceService {name} in namespace {namespace}", file=sys.stderr)
        return 1
    console = Console()
    if not console.is_terminal:  # a file or a pipe: whole lines, whatever their length
        console = Console(width=WIDE)
    console.print(tree(shown))
    return 0 if any(c.type == "Ready" and c.status == "True" for c in shown.service.status.conditions) else 3


async def _read(name: str, namespace: str, kubeconfig: str | None) -> Shown | None:
    client = Client(await load_configuration(kubeconfig), may_write=lambda: False)
    try:
        raw = await client.get(INFERENCE_SERVICE, namespace, name)
        if raw is None:
            return None
        labels = f"inferops.dev/service={name}"
        pods = [pod async for page, _ in client.pages(POD, labels, namespace=namespace) for pod in page]
    finally:
        await client.close()
    return Shown(
        InferenceService.model_validate(raw), sorted((pod_view(pod) for pod in pods), key=lambda pod: pod.name)
    )


def tree(shown: Shown) -> Tree:
    """The service as a tree, most important first."""
    meta, now = shown.service.metadata, shown.service.status
    root = Tree(f"[bold]InferenceService {meta.namespace}/{meta.name}[/]  {escape(shown.service.spec.model.uri)}")
    if not now.conditions:
        root.add("[yellow]no operator has looked at it yet[/]")
    elif now.observed_generation != meta.generation:
        root.add(f"[yellow]generation {meta.generation} is not judged yet (last: {now.observed_generation})[/]")
    if now.url:
        root.add(f"url {now.url}")
    conditions = root.add("conditions")
    for condition in now.conditions:
        conditions.add(_condition(condition))
    revisions = root.add(f"revisions  {now.ready_replicas} replicas ready")
    for revision in now.revisions:
        _revision(revisions, revision, shown.pods)
    for title, sentences in (
        ("why", now.explain),
        ("sizing", _sizing(now.sizing)),
        ("not acted on in this version", [f"{part.field}: {part.message}" for part in now.not_acted_on]),
    ):
        if sentences:
            branch = root.add(title)
            for sentence in sentences:
                branch.add(escape(sentence))
    return root


def _sizing(sizing: SizingStatus) -> list[str]:
    """The model and the cheapest options; the rest stands in the resource."""
    options = [
        f"{option.accelerator}, {option.precision}: {option.replicas} x {option.concurrency} requests, "
        f"TTFT {option.ttft}{f', TPOT {option.tpot}' if option.tpot else ''}, {option.tokens_per_second} tokens/s"
        f"{f', {option.usd_per_hour} USD/h' if option.usd_per_hour else ''}"
        for option in sizing.options[:OPTIONS]
    ]
    return [*([sizing.model] if sizing.model else []), *options, *(sizing.rejected[:1] if not options else [])]


def _condition(condition: Condition) -> str:
    # Stalled and Reconciling are bad news when True, the others when not.
    good = condition.status if condition.type not in ("Stalled", "Reconciling") else "Unknown"
    colour = COLOURS[good] if condition.type != "Stalled" else "red"
    message = f"  {escape(condition.message)}" if condition.message else ""
    return f"[{colour}]{condition.type}={condition.status}[/]  {condition.reason}{message}"


def _revision(parent: Tree, revision: RevisionStatus, pods: list[PodView]) -> None:
    ready = f"{revision.ready_replicas}/{revision.replicas} ready"
    line = f"[bold]{revision.hash}[/]  {revision.role}  {revision.weight}% of requests  {ready}  {revision.accelerator}"
    branch = parent.add(f"{line}  {escape(revision.image)}")
    for pod in pods:
        if pod.revision == revision.hash:
            branch.add(_pod(pod))


def _pod(pod: PodView) -> str:
    if pod.deleting:
        state = "[yellow]terminating[/]"
    elif pod.ready:
        state = "[green]ready[/]"
    elif pod.unschedulable:
        state = f"[red]pending[/]  {escape(pod.unschedulable)}"
    elif pod.waiting:
        state = f"[red]{pod.waiting}[/]  {escape(pod.waiting_message)}"
    else:
        state = "[yellow]loading[/]" if pod.node else "[yellow]pending[/]"
    restarts = f"  {pod.restarts} restarts" if pod.restarts else ""
    return f"{pod.name}  {state}{f'  on {pod.node}' if pod.node else ''}{restarts}"
