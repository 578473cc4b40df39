"""Which environment variables a user may set: none that the operator sets, none that loads code or opens a door."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inferops.api.base import EnvVar
from inferops.runtimes.sources import secret_variable

# A trailing * stands for any ending. Each of these makes a process load or run something else than the image
# holds, see devices that were not assigned to it, or write outside of its own volumes.
SUBVERSIVE: tuple[str, ...] = (
    "LD_*",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "PATH",
    "BASH_ENV",
    "ENV",
    "PYTHON*",
    "CC",
    "CXX",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_INJECTION64_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_*",
    "NCCL_*_PLUGIN",
    "NCCL_CONF_FILE",
    "OMP_TOOL_LIBRARIES",
    "UCX_MODULE_DIR",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "PROMETHEUS_MULTIPROC_DIR",
    "HF_MODULES_CACHE",
    "KUBERNETES_*",
)


def variable(name: str, value: str) -> dict[str, str]:
    """An environment variable of a container."""
    return {"name": name, "value": value}


def rendered(env: Iterable[EnvVar]) -> list[dict[str, object]]:
    """Variables of a resource as a container's."""
    found: list[dict[str, object]] = []
    for entry in env:
        if entry.value_from_secret is not None:
            found.append(secret_variable(entry.name, entry.value_from_secret.name, entry.value_from_secret.key))
        elif entry.value:
            found.append({"name": entry.name, "value": entry.value})
        else:  # the API server stores an empty value as none, which means the same
            found.append({"name": entry.name})
    return found


def merged(*layers: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """The variables of all layers, each name once: a later layer wins, the first keeps its place."""
    by_name: dict[object, dict[str, object]] = {}
    for layer in layers:
        for entry in layer:
            by_name[entry["name"]] = entry
    return list(by_name.values())


def refused(env: Sequence[EnvVar], operators: Iterable[str], engines: Sequence[str]) -> tuple[int, str] | None:
    """The first variable that a user may not set, as its index and what to do; `engines` holds the engine's own."""
    set_by_operator = frozenset(operators)
    for index, entry in enumerate(env):
        if entry.name in set_by_operator:
            return index, f"{entry.name} is set by the operator; remove it"
        if any(_matches(entry.name, pattern) for pattern in (*SUBVERSIVE, *engines)):
            return index, (
                f"{entry.name} is not allowed, it can load code, reach other devices or weaken security; remove it, "
                "or have an admin set it in the ServingRuntime's spec.env"
            )
    return None


def _matches(name: str, pattern: str) -> bool:
    start, star, end = pattern.partition("*")
    return name == pattern if not star else name.startswith(start) and name.endswith(end) and len(name) > len(start)
