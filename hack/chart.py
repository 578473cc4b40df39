"""Writes the README of the chart from the comments in its values.yaml, or checks that it and the schema are current.

python hack/chart.py            writes charts/inferops/README.md
python hack/chart.py --check    writes nothing; exits 1 and says what differs
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "charts" / "inferops"
INTRODUCTION = """\
# The chart of inferops

Generated from values.yaml by `python hack/chart.py`. Do not edit.

```console
$ helm install inferops charts/inferops --namespace inferops-system --create-namespace
$ helm test inferops --namespace inferops-system
```

[Installing](../../docs/install.md) tells what to know of upgrades, of the way back and of the end. Values are checked
against a schema: one that is not in this table is refused, by its name.

"""


@dataclass(frozen=True, slots=True)
class Value:
    """One line of the table: a value, or a map that is given as a whole."""

    path: str
    default: Any
    comment: str


def values(text: str) -> list[Value]:
    """The values of a values.yaml in the order of the file. Raises ValueError that names one without a comment."""
    comments = commented(text)
    found: list[Value] = []

    def walk(prefix: str, there: Mapping[str, Any]) -> None:
        for key, default in there.items():
            path = f"{prefix}{key}"
            if path in comments:
                found.append(Value(path, default, comments[path]))
            elif isinstance(default, dict) and default:
                walk(f"{path}.", default)
            else:
                raise ValueError(f"{path}: has no comment in values.yaml; say above it what it does")

    walk("", yaml.safe_load(text))
    return found


def commented(text: str) -> dict[str, str]:
    """The comments that stand right above a key, by the key's path."""
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        words = line.strip()
        if words.startswith("#"):
            above.append(words.lstrip("# "))
            continue
        key, colon, _ = words.partition(":")
        if colon and not words.startswith("-"):
            indent = len(line) - len(line.lstrip())
            while parents and parents[-1][0] >= indent:
                parents.pop()
            parents.append((indent, key))
            if above:
                found[".".join(name for _, name in parents)] = " ".join(above)
        above = []
    return found


def readme(text: str) -> str:
    """The README for a values.yaml. Raises ValueError as `values` does."""
    rows = (
        f"| `{each.path}` | `{_shown(each.default)}` | {each.comment.replace('|', chr(92) + '|')} |\n"
        for each in values(text)
    )
    return INTRODUCTION + "| value | default | |\n|---|---|---|\n" + "".join(rows)


def _shown(default: Any) -> str:
    return "null" if default is None else json.dumps(default)


def unlike(text: str, schema: Mapping[str, Any]) -> list[str]:
    """What the schema and values.yaml do not agree on: values that only one of them has, and groups that are open."""
    told = {each.path for each in values(text)}
    known = set(_properties(schema, schema["definitions"], told))
    return [
        *(f"values.schema.json: has no {path}, as values.yaml has" for path in sorted(told - known)),
        *(f"values.yaml: has no {path}, as values.schema.json has" for path in sorted(known - told - {"global"})),
    ]


def _properties(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], told: set[str], prefix: str = ""
) -> Iterator[str]:
    for key, each in schema["properties"].items():
        path = f"{prefix}{key}"
        resolved = definitions[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        if "properties" in resolved and path not in told:
            yield from _properties(resolved, definitions, told, f"{path}.")
        else:
            yield path


def problems() -> list[str]:
    """What `--check` complains of."""
    text = (CHART / "values.yaml").read_text()
    told = unlike(text, json.loads((CHART / "values.schema.json").read_text()))
    written = CHART / "README.md"
    if not written.is_file() or written.read_text() != readme(text):
        told.append("charts/inferops/README.md differs from values.yaml; run: python hack/chart.py")
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when something differs")
    if parser.parse_args().check:
        found = problems()
        for each in found:
            print(each, file=sys.stderr)
        return 1 if found else 0
    (CHART / "README.md").write_text(readme((CHART / "values.yaml").read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
