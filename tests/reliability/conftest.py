"""Fixtures of the long tests: those of the cluster tests. `make reliability` plays them; CI does not."""

from __future__ import annotations

from cluster.conftest import binaries, inside, say

__all__ = ["binaries", "inside", "say"]
