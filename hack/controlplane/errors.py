"""What goes wrong with the bench, said with the remedy."""

from __future__ import annotations


class BenchError(RuntimeError):
    """The bench cannot do what was asked; the message says why and what helps."""
