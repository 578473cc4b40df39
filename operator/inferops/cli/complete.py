"""`kubectl inferops <TAB>`: kubectl runs the program kubectl_complete-inferops with the words so far, and shows what it
prints. The last line is cobra's directive: 4, no files instead; 0, files.

Source: kubectl, Shell completion for plugins.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import typer

from inferops.cli.main import app

NO_FILES, FILES = 4, 0
SERVICE = "name"  # of the argument that is a service
PATIENCE = 2.0  # seconds for the cluster
OF_FILES = ("--file", "-f", "--kubeconfig", "--config")


def completions(words: Sequence[str]) -> tuple[list[str], int, bool]:
    """What may follow the words, of which the last one is begun; the directive; and whether services' names may."""
    *before, begun = words or [""]
    command: Any = typer.main.get_command(app)  # typer brings a click of its own
    given: list[str] = []
    for word in before:
        inner = getattr(command, "commands", {}).get(word)
        command, given = (inner, []) if inner is not None else (command, [*given, word])
    if given and given[-1] in OF_FILES:
        return [], FILES, False
    if given and _takes_value(command, given[-1]):
        return [], NO_FILES, False
    if (commands := getattr(command, "commands", None)) is not None:
        shown = [each for name, each in commands.items() if not each.hidden and name.startswith(begun)]
        return [f"{each.name}\t{_help(each)}" for each in shown], NO_FILES, False
    if begun.startswith("-"):
        return sorted(each for each in _options(command) if each.startswith(begun)), NO_FILES, False
    return [], NO_FILES, any(each.name == SERVICE for each in command.params)


def _help(command: Any) -> str:
    return str(command.help or "").strip().partition("\n")[0]


def _takes_value(command: Any, word: str) -> bool:
    return any(word in each.opts and not getattr(each, "is_flag", True) for each in command.params)


def _options(command: Any) -> list[str]:
    return [opt for each in command.params for opt in each.opts if opt.startswith("--") and not each.hidden]


def main() -> None:
    """Print them. Whatever goes wrong, nothing is said into somebody's command line."""
    words = sys.argv[1:]
    found, directive, names = completions(words)
    if names:
        try:
            found = asyncio.run(asyncio.wait_for(_services(words), PATIENCE))
        except Exception:  # no cluster, no rights: there is nothing to complete then
            found = []
    print("\n".join([*found, f":{directive}"]))


async def _services(words: Sequence[str]) -> list[str]:
    """Names of services in the namespace that is meant."""
    from inferops.cli.access import located, looking
    from inferops.kube.kinds import INFERENCE_SERVICE

    where = located(_value(words, "--namespace", "-n"), _value(words, "--kubeconfig"), _value(words, "--context"))
    async with looking(where) as client:
        pages = client.pages(INFERENCE_SERVICE, namespace=where.namespace, metadata_only=True)
        names = [raw["metadata"]["name"] async for page, _ in pages for raw in page]
    return sorted(each for each in names if each.startswith(words[-1]))


def _value(words: Sequence[str], *options: str) -> str | None:
    """What was given for an option, as two words or by `=`."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in options:
            return value if equals else next(iter(words[place + 1 : place + 2]), None)
    return None
