"""The words and lines that several commands show: texts made harmless, times, revisions with their pods."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from inferops.api.inferenceservicestatus import RevisionStatus
from inferops.cli.access import Shown
from inferops.core.observation import PodView

WIDE = 2000
UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
# Others' texts have no characters of private use, and markup means nothing by them. Rich's own way, a backslash before
# each bracket, fails where a text ends with backslashes.
STAND_INS = {ord("["): "\ue000", ord("\\"): "\ue001"}
MEANT = {ord(stand_in): chr(meant) for meant, stand_in in STAND_INS.items()}
ROLES = {"Stable": "green", "Canary": "cyan", "Previous": "blue", "Retiring": "yellow"}


def new_console() -> Console:
    """The terminal; a file or a pipe gets whole lines, whatever their length. No text turns into a pictogram."""
    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(highlight=False, emoji=False, width=WIDE)


def program() -> str:
    """How people call us, in the commands that we tell them to type."""
    return "kubectl inferops" if Path(sys.argv[0]).name.startswith("kubectl") else "inferops"


def clean(text: str) -> str:
    """A text of somebody else's, such as a pod's or a webhook's, without control sequences, in one line."""
    return "".join(each if each.isprintable() else " " for each in text).strip()


def plain(text: str) -> str:
    """The same for use in markup, where nothing of it is read as markup. `line` shows it as it is."""
    return clean(text).translate(STAND_INS)


def line(markup: str) -> Text:
    """A line of our markup with others' texts in it."""
    shown = Text.from_markup(markup, emoji=False)
    shown.plain = shown.plain.translate(MEANT)  # as long as before, so that colours stay where they are
    return shown


def new_tree(markup: str) -> Tree:
    return Tree(line(markup))


def add(parent: Tree, markup: str) -> Tree:
    """Add a branch with that line."""
    return parent.add(line(markup))


def duration(seconds: float) -> str:
    """A time for people, in its two largest units, for example `3m 12s`. Less than none is none."""
    left = max(0, round(seconds))
    for (unit, size), (smaller, small) in pairwise(UNITS):
        if left >= size:
            rest = left % size // small
            return f"{left // size}{unit}{f' {rest}{smaller}' if rest else ''}"
    return f"{left}s"


def moment(text: str) -> datetime | None:
    """A time of a status; None where there is none, or it is not one."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def since(text: str, now: datetime) -> str:
    """How long ago that was, such as `3m 12s`; empty where it is no time. Clocks that differ make it 0s."""
    begun = moment(text)
    return duration((now - begun).total_seconds()) if begun is not None else ""


def percent(weight: int, desired: int, observed: int | None) -> str:
    """A revision's share of requests: in force, and desired and observed where they say something else."""
    more = [f"{desired}% desired"] if desired != weight else []
    more += [f"{observed}% observed"] if observed not in (None, weight) else []
    told = f" ({', '.join(more)})" if more else ""
    return f"{weight}% of requests{told}"


def add_revisions(parent: Tree, shown: Shown) -> None:
    """Each revision with its pods."""
    for revision in shown.service.status.revisions:
        _revision(parent, revision, (pod for pod in shown.pods if pod.revision == revision.hash))
    if shown.unseen:
        add(parent, f"[yellow]{plain(shown.unseen)}[/]")


def _revision(parent: Tree, revision: RevisionStatus, pods: Iterable[PodView]) -> None:
    share = percent(revision.weight, revision.desired_weight, revision.observed_weight)
    ready = f"{revision.ready_replicas}/{revision.replicas} ready"
    role = f"[{ROLES[revision.role]}]{revision.role}[/]"
    told = "  ".join(plain(part) for part in (revision.accelerator, revision.image) if part)
    branch = add(parent, f"[bold]{plain(revision.hash)}[/]  {role}  {share}  {ready}  {told}")
    if revision.message:
        add(branch, f"[yellow]{plain(revision.message)}[/]")
    for pod in pods:
        add(branch, _pod(pod))


def _pod(pod: PodView) -> str:
    restarts = f"  {pod.restarts} restarts" if pod.restarts else ""
    ended = f", ended last by {plain(pod.exit)}" if pod.restarts and pod.exit else ""
    node = f"  on {plain(pod.node)}" if pod.node else ""
    return f"{plain(pod.name)}  {_state(pod)}{node}{restarts}{ended}"


def _state(pod: PodView) -> str:
    if pod.deleting:
        return "[yellow]terminating[/]"
    if pod.ready:
        return "[green]ready[/]"
    if pod.unschedulable:
        return f"[red]pending[/]  {plain(pod.unschedulable)}"
    if pod.waiting:
        return f"[red]{plain(pod.waiting)}[/]  {plain(pod.waiting_message)}"
    return f"[yellow]{'loading' if pod.started else 'pulling' if pod.node else 'pending'}[/]"
