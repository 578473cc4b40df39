"""The account of a conversion: what is taken from which field, what it became, and that no field is left out of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any

Path = tuple[str | int, ...]

UNKNOWN = "it is not known here, or not of the form that it should have"
_PLAIN_KEY = re.compile(r"[A-Za-z_][-A-Za-z0-9_]*")


class Outcome(StrEnum):
    """What became of a field."""

    CARRIED = "carried"  # it stands in ours, as `target`
    BUILT_IN = "builtIn"  # ours does the same by itself
    LOST = "notCarried"
    DIFFERS = "differs"  # it was left out, and what that means differs
    IGNORED = "ignored"  # the server's, or that of the tool that applied it


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the account."""

    path: Path
    outcome: Outcome
    target: Path = ()
    message: str = ""  # why, or what is other than before
    instead: str = ""  # what to do about it

    def told(self) -> dict[str, str]:
        """The line as JSON."""
        parts = {
            "field": written(self.path),
            "outcome": str(self.outcome),
            "became": written(self.target) if self.target else "",
            "message": self.message,
            "instead": self.instead,
        }
        return {name: text for name, text in parts.items() if text}


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller knows and the resources do not tell."""

    accelerator: str = ""  # the Accelerator of what names none
    profiles: Mapping[str, str] = field(default_factory=dict)  # Accelerators by KubeAI's resource profiles
    namespace: str = ""  # for what names none


@dataclass(frozen=True, slots=True)
class Document:
    """One resource of the input: ours in its place, and the account of it."""

    source: str  # kind, namespace and name, for people
    output: dict[str, Any] | None  # None: it could not be converted; `failed` says why
    entries: tuple[Entry, ...] = ()
    failed: str = ""
    passed: bool = False  # of another kind: `output` is the input; `failed` says so where it is one of theirs

    @property
    def lost(self) -> bool:
        """Whether something of it was not carried over."""
        return bool(self.failed) or any(entry.outcome is Outcome.LOST for entry in self.entries)


class Draft:
    """What is being made of one resource, with the account of it."""

    def __init__(self, given: Mapping[str, Any], options: Options, runtimes: Mapping[str, str] | None = None) -> None:
        self.given, self.options = given, options
        self.runtimes = runtimes or {}  # engines of the ServingRuntimes in the same input
        self.out: dict[str, Any] = {}
        self.entries: list[Entry] = []
        self.failed = ""

    def field(self, *path: str | int) -> Field:
        """The field of the input at `path`, there or not."""
        found = Field(self, (), self.given)
        for part in path:
            found = found[part]
        return found

    def put(self, target: Path, value: Any) -> None:
        """Set the field of the output at `target`; what is above it is made."""
        place: Any = self.out
        for part, following in pairwise(target):
            empty: Any = [] if isinstance(following, int) else {}
            if isinstance(place, list):
                if part == len(place):
                    place.append(empty)
                place = place[int(part)]
            else:
                place = place.setdefault(part, empty)
        if isinstance(place, list) and target[-1] == len(place):
            place.append(value)
        else:
            place[target[-1]] = value

    def got(self, target: Path) -> Any:
        """What stands in the output at `target`; None: nothing."""
        return at(self.out, target)

    def end(self, *target: str) -> Path:
        """The place after the last item of a list of the output."""
        return (*target, len(self.got(target) or ()))

    def note(self, path: Path, outcome: Outcome, target: Path = (), message: str = "", instead: str = "") -> None:
        self.entries.append(Entry(path, outcome, target, message, instead))

    def differs(self, message: str, instead: str, *path: str | int) -> None:
        """Say that a field was left out whose default is another here."""
        self.note(path, Outcome.DIFFERS, (), message, instead)

    def drop(self, target: Path, why: str) -> None:
        """Take something out of the output again; what became it is not carried over, for `why`."""
        place = at(self.out, target[:-1])
        del place[target[-1]]
        depth = len(target)
        for index, entry in enumerate(self.entries):
            if entry.target[:depth] == target:
                lost = replace(entry, outcome=Outcome.LOST, target=(), message=why)
                self.entries[index] = lost if entry.outcome is Outcome.CARRIED else entry
            elif isinstance(place, list) and entry.target[: depth - 1] == target[:-1] and len(entry.target) >= depth:
                position = entry.target[depth - 1]
                if isinstance(position, int) and position > int(target[-1]):
                    moved = (*target[:-1], position - 1, *entry.target[depth:])
                    self.entries[index] = replace(entry, target=moved)
        if place == {} and len(target) > 1:
            self._prune(target[:-1])

    def _prune(self, target: Path) -> None:
        if len(target) > 1 and at(self.out, target) in ({}, []):
            del at(self.out, target[:-1])[target[-1]]
            self._prune(target[:-1])

    def sweep(self) -> None:
        """Enter every field that nothing was said of, so that nothing is dropped in silence."""
        said = {entry.path for entry in self.entries if entry.outcome is not Outcome.DIFFERS}
        for leaf in leaves(self.given):
            if not any(leaf[:length] in said for length in range(len(leaf) + 1)):
                self.note(leaf, Outcome.LOST, (), UNKNOWN)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the input, by which its account is kept."""

    draft: Draft
    path: Path
    value: Any

    def __getitem__(self, key: str | int) -> Field:
        if isinstance(key, int):
            there = isinstance(self.value, list) and key < len(self.value)
        else:
            there = isinstance(self.value, dict) and key in self.value
        return Field(self.draft, (*self.path, key), self.value[key] if there else None)

    def __bool__(self) -> bool:
        """Whether it is there; null is left out, as on the API server."""
        return self.value is not None

    def items(self) -> list[Field]:
        """The items of a list that are there; none where it is something else."""
        every = self.value if isinstance(self.value, list) else ()
        return [self[index] for index, item in enumerate(every) if item is not None]

    def fields(self) -> list[tuple[str, Field]]:
        """The fields of a mapping that are there, by name; none where it is something else."""
        if not isinstance(self.value, dict):
            return []
        return [(str(key), self[key]) for key in self.value if self.value[key] is not None]

    def text(self) -> str:
        """Its text; empty where it is something else."""
        return self.value if isinstance(self.value, str) else ""

    def number(self) -> int | None:
        """Its whole number; None where it is something else."""
        return self.value if type(self.value) is int else None

    def became(self, *target: str | int, value: Any = None, note: str = "") -> None:
        """It stands in ours at `target`: as it is, or as `value`."""
        self.draft.put(target, self.value if value is None else value)
        self.counted(*target, note=note)

    def counted(self, *target: str | int, note: str = "") -> None:
        """It is in what stands at `target` already."""
        self.draft.note(self.path, Outcome.CARRIED, target, note)

    def built_in(self, why: str) -> None:
        if self:
            self.draft.note(self.path, Outcome.BUILT_IN, (), why)

    def lost(self, why: str, instead: str = "") -> None:
        if self:
            self.draft.note(self.path, Outcome.LOST, (), why, instead)

    def ignored(self, why: str) -> None:
        if self:
            self.draft.note(self.path, Outcome.IGNORED, (), why)

    def said(self) -> bool:
        """Whether something was said of it, or of a part of it."""
        depth = len(self.path)
        return any(entry.path[:depth] == self.path for entry in self.draft.entries)

    def rest_lost(self, why: Mapping[str, tuple[str, str]]) -> None:
        """Enter the fields of a mapping of which nothing was said, with why they are lost and what to do instead."""
        for name, each in self.fields():
            if name in why and not each.said():
                each.lost(*why[name])


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where the scalars, empty lists and empty mappings of a resource are; null counts as left out."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))
    elif value is not None:
        yield path


def at(value: Any, path: Path) -> Any:
    """What stands at `path`; None: nothing."""
    for part in path:
        if isinstance(value, list):
            if not (isinstance(part, int) and part < len(value)):
                return None
            value = value[part]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def written(path: Path) -> str:
    """A path as people write it: `spec.tolerations[0].key`; odd keys are quoted."""
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{part}" if _PLAIN_KEY.fullmatch(part) else f"[{part!r}]"
        for part in path
    )
    return "".join(parts).removeprefix(".") or "everything"
