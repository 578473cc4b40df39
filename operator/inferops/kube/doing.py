"""What is worked on just now: said in every line of the log that comes of it, and the root of what is traced.

Kept in a context variable, so that a task that a reconcile begins says the same without being told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_doing: ContextVar[dict[str, str] | None] = ContextVar("inferops_doing", default=None)


@contextmanager
def doing(**what: str) -> Iterator[dict[str, str]]:
    """Until the end of the block, `what` is worked on: kind, namespace, name and the like."""
    token = _doing.set(what)
    try:
        yield what
    finally:
        _doing.reset(token)


def note(**more: str) -> None:
    """More is known of what is worked on, such as its revision. Empty words say nothing."""
    if (now := _doing.get()) is not None:
        now.update({name: told for name, told in more.items() if told})


def now_doing() -> Mapping[str, str]:
    """What is worked on; empty outside of all blocks."""
    return _doing.get() or {}
