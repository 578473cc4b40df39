"""What came out as YAML, with what is not as before in comments above each resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from textwrap import wrap

import yaml

from inferops.convert.ledger import Document, Entry, Outcome, written

WIDTH = 118


def as_yaml(documents: Iterable[Document]) -> str:
    """All documents as one text; one that could not be converted is a comment."""
    return "".join(f"---\n{''.join(_comments(each))}{_body(each)}" for each in documents)


def printable(text: str) -> str:
    """`text` as one line without control characters, whoever wrote it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _body(document: Document) -> str:
    if document.output is None:
        return ""
    return yaml.safe_dump(document.output, sort_keys=False, width=WIDTH, allow_unicode=True)


def _comments(document: Document) -> Iterator[str]:
    if document.passed:
        yield from _wrapped(f"{document.source}: {document.failed or 'of another kind, and as it was'}.", "")
        return
    yield from _wrapped(f"From {document.source}.", "")
    if document.failed:
        yield from _wrapped(f"NOT CONVERTED: {document.failed}.", "")
        return
    lost = [entry for entry in document.entries if entry.outcome is Outcome.LOST]
    other = [entry for entry in document.entries if entry.outcome is Outcome.DIFFERS]
    other += [entry for entry in document.entries if entry.outcome is Outcome.CARRIED and entry.message]
    for title, entries in (("Not carried over:", lost), ("Other than before:", other)):
        if entries:
            yield from _wrapped(title, "")
            for said, group in groupby(entries, lambda entry: (entry.message, entry.instead)):
                yield from _wrapped(f"- {_line(*said, list(group))}", "  ")


def _line(message: str, instead: str, entries: list[Entry]) -> str:
    """What is said of one field, or of several that stand together."""
    names = (written(entry.path) + (f" (now {written(entry.target)})" if entry.target else "") for entry in entries)
    return f"{', '.join(names)}: {message}.{f' Instead: {instead}.' if instead else ''}"


def _wrapped(text: str, indent: str) -> Iterator[str]:
    lines = wrap(printable(text), WIDTH - 2, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    for line in lines:
        yield f"# {line}\n"
