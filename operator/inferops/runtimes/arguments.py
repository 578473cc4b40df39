"""Reads the argument list of an engine the way its parser might, and finds what may not stand in it.

Engines take many spellings for one flag: `--flag value`, `--flag=value`, underscores for dashes, an unambiguous
beginning (`--por`), `--no-flag`, `--flag.key` for a key of a JSON value, and short forms (`-tp`). Here a flag is
written in full with two dashes, and everything that an engine could take for a forbidden flag counts as that flag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

FLAG = re.compile(r"--[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_.+-]+)?")
NEGATIVE_NUMBER = re.compile(r"-[0-9]+")


class BadArgument(ValueError):
    """An item of an argument list that cannot stand: `index` in the list and what to do about it."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.message = message


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of an argument list."""

    index: int
    name: str  # lower case, dashes, without value and without keys of a JSON value
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """Which flags an engine's arguments may not hold. A trailing * of a flag stands for any ending."""

    reserved: Mapping[str, str]  # flags that the operator sets: what to use instead; empty: nothing
    denied: tuple[str, ...]  # flags that users may not pass unless an admin says so
    in_full: frozenset[str] = frozenset()  # harmless flags of the engine that a forbidden flag begins with
    instead: Mapping[str, str] = field(default_factory=dict)  # what users may do instead of passing a denied flag


def flags_of(args: Sequence[str]) -> list[Flag]:
    """The flags of `args` with their values, in order. Raises BadArgument on what is not written in full."""
    found: list[Flag] = []
    for index, word in enumerate(args):
        spelled, equals, value = word.partition("=")
        if value.startswith("--"):  # some parsers take it for a flag that stands alone
            raise BadArgument(index, f"the value of {spelled} is written as a flag; write one that begins otherwise")
        if FLAG.fullmatch(spelled):
            found.append(Flag(index, _normal(spelled), (value,) if equals else ()))
        elif word.startswith("-") and not NEGATIVE_NUMBER.fullmatch(word):
            raise BadArgument(index, f"{word!r} is no flag in full; write --name=value with two dashes")
        elif not found:
            raise BadArgument(index, f"{word!r} stands before any flag; begin with --name")
        else:
            found[-1] = Flag(found[-1].index, found[-1].name, (*found[-1].values, word))
    for flag in found:
        # The parser would take the next flag for the missing value, which may be one of the operator's.
        if "." in args[flag.index].partition("=")[0] and not flag.values:
            raise BadArgument(flag.index, f"{args[flag.index]!r} has no value; write {args[flag.index]}=VALUE")
    return found


def _normal(spelled: str) -> str:
    return spelled.partition(".")[0].lower().replace("_", "-")


def could_be(flag: str, forbidden: str, in_full: AbstractSet[str] = frozenset()) -> bool:
    """Whether an engine could take `flag` for `forbidden`, which may end in *.

    The beginning of a flag counts as that flag, unless it is `in_full` a flag of its own.
    """
    stem, any_ending = forbidden.removesuffix("*"), forbidden.endswith("*")
    spellings = (flag, "--" + flag.removeprefix("--no-")) if flag.startswith("--no-") else (flag,)
    if any(spelling == stem or (any_ending and spelling.startswith(stem)) for spelling in spellings):
        return True
    if flag in in_full:
        return False
    return "--no-".startswith(flag) or any(stem.startswith(spelling) for spelling in spellings)


def first_match(flag: str, forbidden: Iterable[str], in_full: AbstractSet[str] = frozenset()) -> str | None:
    """The first of `forbidden` that an engine could take `flag` for; the exact one where there is one."""
    found = [other for other in forbidden if could_be(flag, other, in_full)]
    return flag if flag in found else next(iter(found), None)


def check_reserved(args: Sequence[str], rules: Rules) -> None:
    """Refuse flags that the operator sets. Raises BadArgument."""
    for flag in flags_of(args):
        found = first_match(flag.name, rules.reserved, rules.in_full)
        if found is not None:
            remedy = rules.reserved[found]
            what = found if found == flag.name else f"{flag.name} could be {found}, which"
            raise BadArgument(
                flag.index, f"{what} is set by the operator; " + (f"use {remedy}" if remedy else "remove it")
            )


def check_allowed(args: Sequence[str], allow: Sequence[str], deny: Sequence[str], rules: Rules, runtime: str) -> None:
    """Refuse flags that users may not pass to the ServingRuntime named `runtime`. Raises BadArgument."""
    for flag in flags_of(args):
        denied = first_match(flag.name, deny, rules.in_full)
        allowed = any(_is_one_of(flag.name, pattern) for pattern in allow)
        if denied is not None or not allowed:
            could = f" (it could be {denied})" if denied not in (None, flag.name) else ""
            remedy = rules.instead.get(denied or "", "remove it")
            raise BadArgument(
                flag.index,
                f"{flag.name}{could} is not allowed by ServingRuntime {runtime!r}; {remedy}, or have an admin "
                "allow it in the ServingRuntime's spec.userArgs",
            )


def _is_one_of(flag: str, pattern: str) -> bool:
    return flag.startswith(pattern.removesuffix("*")) if pattern.endswith("*") else flag == pattern


def literal(word: str) -> str:
    """`word` such that Kubernetes passes it on as it is: it puts variables for `$(NAME)` and `$` for `$$`.

    Without it a variable of the user's could bring in a flag that no check has seen.
    """
    return word.replace("$", "$$")
