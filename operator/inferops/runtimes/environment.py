"""Which environment variables a user may set: none that the operator sets, none that loads code or opens a door."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from inferops.api.base import EnvVar
from inferops.runtimes.sources import secret_variable

# A * stands for any text. Each of these can make a process load or run something else than the image holds, such as
# a file of the model's volume, see devices that were not assigned to it, or write outside of its own volumes. No such
# list is complete: it keeps honest users from surprises, the pod's security context keeps the others in.
SUBVERSIVE: tuple[str, ...] = (
    # the loader, the shell, the interpreter
    "LD_*",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "OPENSSL_*",
    "PATH",
    "BASH_ENV",
    "ENV",
    "PYTHON*",
    "GIT_*",
    # compilers that engines call at run time
    "CC",
    "CXX",
    "*FLAGS",
    "NVCC*",
    "FLASHINFER_*",
    "DG_*",
    # libraries of CUDA, communication and I/O that load others
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_INJECTION64_PATH",
    "NCCL_*_PLUGIN",
    "NCCL_CONF_FILE",
    "OMP_TOOL_LIBRARIES",
    "OMPI_MCA_*",
    "PMIX_MCA_*",
    "UCX_MODULE_DIR",
    "FI_PROVIDER_PATH",
    # commands in files of credentials, pickles, code beside models
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
    "TORCH_FORCE_*",
    "*TRUST_REMOTE_CODE",
    "HF_MODULES_CACHE",
    # devices of others
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_*",
    # places
    "TMPDIR",
    "USER",
    "LOGNAME",
    "PROMETHEUS_MULTIPROC_DIR",
    "KUBERNETES_*",
)


def variable(name: str, value: str) -> dict[str, str]:
    """An environment variable of a container."""
    return {"name": name, "value": value}


def at_home(path: str, user: str) -> list[dict[str, Any]]:
    """A home and caches below `path`, where any user id may write, and a name for a user that the image lacks."""
    return [
        variable("HOME", path),
        # torch and others ask for the user's name, and the image's passwd need not hold the id.
        variable("USER", user),
        variable("HF_HOME", f"{path}/huggingface"),
        variable("XDG_CACHE_HOME", f"{path}/xdg"),
        variable("CUDA_CACHE_PATH", f"{path}/cuda"),
        variable("DO_NOT_TRACK", "1"),
    ]


def torch_caches(path: str) -> list[dict[str, Any]]:
    """Where torch's compilers keep their kernels."""
    return [
        variable("TRITON_CACHE_DIR", f"{path}/triton"),
        variable("TORCHINDUCTOR_CACHE_DIR", f"{path}/torchinductor"),
    ]


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
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None
