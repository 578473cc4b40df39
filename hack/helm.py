"""The chart by the real Helm: what it renders, as objects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fieldtools import find

CHART = Path(__file__).resolve().parent.parent / "charts" / "inferops"
RELEASE, NAMESPACE = "inferops", "inferops-system"
PATIENCE = 120  # seconds; a command takes less than one, an installation a few

Values = Mapping[str, Any]
Object = dict[str, Any]


class HelmFailed(Exception):
    """Helm said no; the message is what it said."""


def helm(*arguments: str, values: Values | None = None, env: Mapping[str, str] | None = None) -> str:
    """What `helm ARGUMENTS` prints, with `values` as its values. Raises HelmFailed."""
    given = [] if values is None else ["--values", "-"]
    done = subprocess.run(
        [find("helm"), *arguments, *given],
        env=None if env is None else dict(env),
        input="" if values is None else json.dumps(values),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise HelmFailed(f"{done.stdout}{done.stderr}".strip())
    return done.stdout


def template(values: Values | None = None, *options: str, namespace: str = NAMESPACE) -> list[Object]:
    """The objects that the chart renders to. Raises HelmFailed."""
    text = helm("template", RELEASE, str(CHART), "--namespace", namespace, *options, values=values or {})
    return objects(text)


def objects(text: str) -> list[Object]:
    """The objects of a stream of YAML; documents of nothing but comments are left out."""
    return [each for each in yaml.load_all(text, Loader=_LOADER) if each]


def key(each: Object) -> tuple[str, str, str]:
    """By which an object is told from others: kind, namespace and name."""
    metadata = each["metadata"]
    return each["kind"], metadata.get("namespace", ""), metadata["name"]


def of_kind(rendered: Sequence[Object], kind: str, name: str = "") -> list[Object]:
    """The objects of a kind, of one name where one is given."""
    return [each for each in rendered if each["kind"] == kind and name in ("", each["metadata"]["name"])]


# The definitions are long, and libyaml reads them ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
