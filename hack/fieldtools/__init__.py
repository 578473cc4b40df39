"""The tools by which others check what we ship: Helm, kubeconform, kstatus, Argo CD's Lua, Prometheus.

    run([find("helm"), "lint", "--strict", "charts/inferops"])

`python -m fieldtools build` compiles them from their Go modules, in the versions that go.mod has, into the user's
cache; `make binaries` does so too.
"""

from __future__ import annotations

from fieldtools.tools import TOOLS, find

__all__ = ["TOOLS", "find"]
