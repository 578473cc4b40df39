"""Writes docs/reference/cli.md from the commands of `inferops`, or checks that it is up to date.

python hack/cli_reference.py            writes it
python hack/cli_reference.py --check    writes nothing; exits 1 where it differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from inferops.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/reference/cli.md")
INTRODUCTION = """# CLI reference

<!-- Generated from operator/inferops/cli by `python hack/cli_reference.py`. Do not edit. -->

The commands of `inferops`. Installed as `kubectl-inferops` too, they are those of `kubectl inferops`.
"""


def reference() -> str:
    """The whole page."""
    command = typer.main.get_command(app)
    return "\n".join([INTRODUCTION, *_sections(command, "inferops")])


def _sections(command: Any, name: str) -> Iterator[str]:
    """A section for each command; a group is what it holds."""
    context = command.context_class(command, info_name=name)  # typer brings a click of its own
    inner = getattr(command, "commands", None)
    if inner is None:
        yield from _section(command, context, name)
        return
    for word in sorted(inner):
        if not inner[word].hidden:
            yield from _sections(inner[word], f"{name} {word}")


def _section(command: Any, context: Any, name: str) -> Iterator[str]:
    given = [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]
    arguments = (each.name.upper() for each in given if each.param_type_name == "argument")
    usage = " ".join(["[OPTIONS]", *arguments])
    yield f"## {name}\n"
    yield f"```console\n$ {name} {usage}\n```\n"
    yield f"{_paragraphs(command.help or '')}\n"
    rows = [_row(each, context) for each in given]
    if rows:
        yield "| | Default | |\n| --- | --- | --- |"
        yield from rows
        yield ""


def _paragraphs(help_: str) -> str:
    """The help as Markdown: lines that stand alone, such as exit codes, stay lines."""
    parts = []
    for part in help_.replace("\b", "").strip().split("\n\n"):
        lines = [line.strip() for line in part.strip().splitlines()]
        coded = len(lines) > 1 and all(":" in line for line in lines[1:]) and lines[0].endswith(":")
        parts.append("\n".join([lines[0], "", *(f"- {line}" for line in lines[1:])]) if coded else " ".join(lines))
    return "\n\n".join(parts)


def _row(parameter: Any, context: Any) -> str:
    option = parameter.param_type_name == "option"
    names = ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))
    choices = _choices(parameter.type_descriptor.annotation)
    help_ = " ".join((getattr(parameter, "help", None) or "").split())
    notes = [help_, f"One of {', '.join(f'`{each}`' for each in choices)}." if choices else ""]
    notes += [f"Variable `{parameter.envvar}`." if parameter.envvar else ""]
    notes += ["May be given again." if option and parameter.multiple else ""]
    names = names if option else f"`{parameter.name.upper()}`"
    cells = [names, _default(parameter, context), " ".join(filter(None, notes))]
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |"


def _choices(annotation: Any) -> tuple[str, ...]:
    """The values of a Literal, or of one that may be left out."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(each for inner in get_args(annotation) for each in _choices(inner))


def _default(parameter: Any, context: Any) -> str:
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return f"`{shown}`"
    if parameter.required:
        return "**required**"
    default = parameter.get_default(context, call=False)
    return f"`{default}`" if isinstance(default, str | int | float) and default not in ("", False) else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when it differs")
    check, path, text = parser.parse_args().check, ROOT / PAGE, reference()
    if not check:
        path.write_text(text)
    elif not path.is_file() or path.read_text() != text:
        print(f"{PAGE} differs from the commands; run: python hack/cli_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
