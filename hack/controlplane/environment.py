"""The environment in which commands reach the bench: its kubectl, its kubeconfigs, no proxies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from controlplane.binaries import Binaries

PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


def environment_for(binaries: Binaries, workdir: Path, kubeconfigs: Iterable[Path]) -> dict[str, str]:
    """This process's environment, in which kubectl is the bench's and knows these kubeconfigs, the first by default."""
    machine = {key: value for key, value in os.environ.items() if key.lower() not in PROXIES}
    return {
        **machine,
        "PATH": os.pathsep.join([str(binaries.folder), machine.get("PATH", os.defpath)]),
        "KUBECONFIG": os.pathsep.join(str(file) for file in kubeconfigs),
        "KUBECACHEDIR": str(workdir / "kubectl-cache"),
        "KUBERC": "off",  # a person's kubectl preferences are no part of a test
    }
