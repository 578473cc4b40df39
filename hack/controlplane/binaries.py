"""Where the components' commands come from: $KUBEBUILDER_ASSETS, else the user's cache, else a build into it.

All of them come from one place. envtest's folder usually holds etcd, kube-apiserver and kubectl alone; since the
build yields all five in one version, such a folder is passed over rather than mixed with it: a controller manager
newer than its API server is not supported by Kubernetes.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from controlplane.build import build, link_flags
from controlplane.cache import digest, folder_of, held
from controlplane.golang import Say, go_line, required
from controlplane.toolchain import Toolchain, available, install

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
SOURCE = Path(__file__).resolve().parent  # holds go.mod, go.sum and the Go files


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with one command a component."""

    folder: Path

    def path(self, component: str) -> Path:
        return self.folder / component

    def missing(self) -> list[str]:
        return [name for name in COMPONENTS if not os.access(self.path(name), os.X_OK)]


def say_to_stderr(line: str) -> None:
    print(f"controlplane: {line}", file=sys.stderr, flush=True)


def find_binaries(say: Say = say_to_stderr) -> Binaries:
    """The components' commands, built if need be, which takes about five minutes on two cores, once.

    A build fetches modules, so call this before `controlplane.enter`, which leaves the network behind.
    Raises `BenchError` when they must be built and cannot be.
    """
    assets = _assets(say)
    if assets:
        return assets
    cache = cache_folder()
    sources = digest(link_flags(kubernetes_version()), _source_files())
    with held(cache / f"{sources}.lock", "Kubernetes", say):
        go = available(go_line(SOURCE), cache)
        found = _cached(cache, sources, go)
        return found or _build(cache, sources, go or install(go_line(SOURCE), cache, say), say)


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/inferops/controlplane, made if it is not there."""
    return folder_of("controlplane")


def kubernetes_version() -> str:
    """The version that is built, as go.mod has it: v1.36.3."""
    return required(SOURCE, r"^\s*k8s\.io/kubernetes (v\S+)")


def _assets(say: Say) -> Binaries | None:
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if not given:
        return None
    assets = Binaries(Path(given).absolute())
    if missing := assets.missing():
        say(f"KUBEBUILDER_ASSETS: {given} lacks {', '.join(missing)}; using a build of all components instead")
        return None
    return assets


def _cached(cache: Path, sources: str, go: Toolchain | None) -> Binaries | None:
    """What was built of these sources by the Go at hand; where there is no Go, by any."""
    name = f"{sources}-{go.version}" if go else f"{sources}-go*"
    candidates = (Binaries(folder) for folder in sorted(cache.glob(name)))
    return next((found for found in candidates if not found.missing()), None)


def _build(cache: Path, sources: str, go: Toolchain, say: Say) -> Binaries:
    """Build beside the cache's folder and move into place, so that a half-made one is never found."""
    partial = cache / f"{sources}.partial"  # ours alone: the lock is held
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        build(go, SOURCE, partial / "controlplane", kubernetes_version(), say)
        for name in COMPONENTS:
            partial.joinpath(name).symlink_to("controlplane")
        target = cache / f"{sources}-{go.version}"
        shutil.rmtree(target, ignore_errors=True)  # there only if somebody damaged it
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Binaries(target)


def _source_files() -> list[Path]:
    return [SOURCE / "go.mod", SOURCE / "go.sum", *sorted(SOURCE.glob("*.go"))]
