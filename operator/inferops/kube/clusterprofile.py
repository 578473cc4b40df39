"""What a ClusterProfile gives access to: its cluster, and the command of the admin's by which one logs in there.

Source: KEP-4322 (ClusterProfile) and KEP-5339 (its access providers). The profile says where the cluster is and which
providers know it; the admin says, in a file of the operator's, by which command each of these logs in. So nobody who
writes a profile can have the operator run something; what a profile adds to the command counts where the admin says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from inferops.api.problems import problems
from inferops.kube.kubeconfig import Access, AccessRefused, extension, reached

FLAG = "--clusterprofile-provider-file"
ARGUMENTS = "clusterprofiles.multicluster.x-k8s.io/exec/additional-args"
VARIABLES = "clusterprofiles.multicluster.x-k8s.io/exec/additional-envs"
LISTS = ("accessProviders", "credentialProviders")  # the second is the older name of the first


class _Read(BaseModel):
    """What is read of somebody's file: fields of other versions are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class Variable(_Read):
    name: str
    value: str


class ExecConfig(_Read):
    """A command that gives credentials, as in a kubeconfig."""

    api_version: str
    command: str = Field(min_length=1)
    args: list[str] | None = None
    env: list[Variable] | None = None
    provide_cluster_info: bool = False


class Provider(_Read):
    """Somebody who gives credentials for clusters."""

    name: str = Field(min_length=1)
    exec_config: ExecConfig
    arguments: Literal["", "Append", "Ignore"] = Field("", alias="profileSourcedCLIArgsPolicy")
    variables: Literal["", "AppendIfNotExists", "Replace", "Ignore"] = Field("", alias="profileSourcedEnvVarsPolicy")


class _File(_Read):
    providers: list[Provider] = Field(min_length=1)


def read_providers(path: Path) -> tuple[Provider, ...]:
    """The providers of the admin's file, the preferred first. Raises ValueError that names the field."""
    try:
        return tuple(_File.model_validate_json(path.read_bytes()).providers)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__}); mount a JSON file with providers") from None
    except ValidationError as error:
        raise ValueError(f"{path}: {'; '.join(problems(error))}") from None


def access(profile: Mapping[str, Any], providers: Sequence[Provider], allow: Collection[str]) -> Access:
    """How to reach the cluster of a ClusterProfile, by the first of `providers` that it has. `allow`: of Files and
    InsecureTLS what it may hold. Raises AccessRefused."""
    if not providers:
        raise AccessRefused(f"status: the operator knows no access provider; start it with {FLAG}")
    offered = _offered(profile)
    provider = next((each for each in providers if each.name in offered), None)
    if provider is None:
        names = ", ".join(sorted(offered)) or "none"
        known = ", ".join(each.name for each in providers)
        raise AccessRefused(f"status.accessProviders: has {names}, and {FLAG} has {known}; add one of them to it")
    where, cluster = offered[provider.name]
    command = _command(provider, cluster, where)
    return Access(cluster=where, user=f"status.accessProviders[{provider.name}]", command=command,
                  **reached(cluster, where, allow))  # fmt: skip


def _offered(profile: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """By the names of providers, where the profile has them and what it says of its cluster."""
    status = profile.get("status")
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for part in LISTS:
        entries = status.get(part) if isinstance(status, dict) else None
        for at, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and isinstance(entry.get("cluster"), dict):
                found.setdefault(str(entry.get("name") or ""), (f"status.{part}[{at}].cluster", entry["cluster"]))
    return found


def _command(provider: Provider, cluster: Mapping[str, Any], where: str) -> dict[str, Any]:
    """As the `exec` section of a kubeconfig."""
    config = provider.exec_config
    arguments, variables = list(config.args or ()), {each.name: each.value for each in config.env or ()}
    if provider.arguments == "Append":
        added = extension(cluster, ARGUMENTS)
        if not isinstance(added or [], list) or not all(isinstance(each, str) for each in added or ()):
            raise AccessRefused(f"{where}.extensions[{ARGUMENTS}]: must be a list of texts")
        arguments += added or []
    if provider.variables in ("AppendIfNotExists", "Replace"):
        told = extension(cluster, VARIABLES) or {}
        if not isinstance(told, dict) or not all(isinstance(each, str) for each in told.values()):
            raise AccessRefused(f"{where}.extensions[{VARIABLES}]: must be a mapping of names to texts")
        variables = {**variables, **told} if provider.variables == "Replace" else {**told, **variables}
    return {
        "apiVersion": config.api_version,
        "command": config.command,
        "args": arguments,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "provideClusterInfo": config.provide_cluster_info,
        "interactiveMode": "Never",
    }


def mark(found: Access) -> bytes:
    """By which other credentials are known."""
    told = (found.server, found.verify, found.server_name, found.proxy, found.ca, found.ca_file, found.command)
    return json.dumps([*told, found.config], sort_keys=True, default=str).encode()
