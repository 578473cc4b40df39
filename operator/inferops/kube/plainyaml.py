"""Reads YAML that a stranger may have written: text, booleans, nulls, lists and mappings, and nothing that grows.

Aliases and merges make a small text large, tags and numbers make it slow, depth ends the interpreter's stack: aliases
and tags are refused, merges, numbers and dates stay the text that they are, and depth and size are limited. What the
text says never gets into a message, since it may be a secret.
"""

from __future__ import annotations

from typing import Any

import yaml

LONGEST = 256 * 1024  # characters
DEEPEST = 32  # lists and mappings within each other
MOST = 10_000  # keys and values


class NotPlain(ValueError):
    """It cannot be read; says where and why, without quoting it."""


class _Loader(yaml.SafeLoader):
    """Without numbers, dates, merges, aliases and tags."""

    _depth = 0
    _nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise NotPlain(f"line {line}: aliases are not read; write out what is meant")
        if event.tag not in (None, "!"):
            raise NotPlain(f"line {line}: tags are not read; leave them out")
        if self._depth == DEEPEST:
            raise NotPlain(f"line {line}: nothing is read below {DEEPEST} levels")
        if self._nodes == MOST:
            raise NotPlain(f"line {line}: nothing is read after {MOST} keys and values")
        self._nodes += 1
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_KEPT = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")
_Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] in _KEPT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text: str | bytes) -> object:
    """What one document of YAML holds. Raises NotPlain."""
    if len(text) > LONGEST:
        raise NotPlain(f"it is longer than {LONGEST // 1024} KiB")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        loader = _Loader(decoded)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except NotPlain:
        raise
    except UnicodeError:
        raise NotPlain("it is not text in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise NotPlain(f"{where}it is not YAML, or more than one document") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise NotPlain("it is not YAML") from None
