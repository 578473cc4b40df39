"""Spans of what is done, for who collects traces. Off by default; a span nobody asked for costs next to nothing.

Who collects stands in `controller/otlp.py`; here is only what code says about itself.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol


class Span(Protocol):
    """Something that takes a while."""

    def tell(self, **attributes: str | int) -> None:
        """What is known of it now."""


class Tracer(Protocol):
    """Makes spans."""

    def root(self, name: str, attributes: dict[str, str | int]) -> AbstractContextManager[Span]:
        """A span that stands for itself."""

    def part(self, name: str, attributes: dict[str, str | int]) -> AbstractContextManager[Span]:
        """A span within the one that is under way; without one there is none."""


class _Nothing:
    """The span of those that nobody asked for."""

    __slots__ = ()

    def tell(self, **attributes: str | int) -> None:
        pass

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


NOTHING = _Nothing()
_tracer: Tracer | None = None


def trace_by(tracer: Tracer | None) -> None:
    """From now on spans are made by this one; None: there are none."""
    global _tracer
    _tracer = tracer


def root(name: str, /, **attributes: str | int) -> AbstractContextManager[Span]:
    """A block that is a trace of its own, such as a reconcile."""
    return NOTHING if _tracer is None else _tracer.root(name, attributes)


def part(name: str, /, **attributes: str | int) -> AbstractContextManager[Span]:
    """A block that is a part of one, such as a phase or a request."""
    return NOTHING if _tracer is None else _tracer.part(name, attributes)
