"""Looks up the Secrets and ConfigMaps that a container's environment and a pod's volumes name."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass

from nodeagent.client import ApiError, Client, Json

PLURALS = {"secret": "secrets", "configmap": "configmaps"}


class Missing(Exception):
    """A reference leads nowhere; the text is kubelet's."""


@dataclass(frozen=True, slots=True)
class Source:
    """A Secret or a ConfigMap of the pod's namespace."""

    kind: str  # secret or configmap
    name: str
    optional: bool = False


def volume_sources(pod: Json) -> Iterator[tuple[str, Source]]:
    """The volumes of a pod that need a Secret or a ConfigMap: volume name and source."""
    for volume in pod["spec"].get("volumes") or []:
        parts = [volume, *(volume.get("projected") or {}).get("sources", [])]
        for part in parts:
            if secret := part.get("secret"):
                name = secret.get("secretName") or secret.get("name")
                yield volume["name"], Source("secret", name, secret.get("optional", False))
            if mapped := part.get("configMap"):
                yield volume["name"], Source("configmap", mapped["name"], mapped.get("optional", False))


async def check_volumes(client: Client, pod: Json) -> None:
    """Raise Missing when a volume's Secret or ConfigMap is not there."""
    for volume, source in volume_sources(pod):
        try:
            await _data(client, pod["metadata"]["namespace"], source)
        except Missing as missing:
            raise Missing(f'MountVolume.SetUp failed for volume "{volume}" : {missing}') from missing


async def environment(client: Client, pod: Json, container: Json, address: str) -> dict[str, str]:
    """The container's environment. Raises Missing when a Secret, ConfigMap or key it needs is not there."""
    found: dict[str, str] = {}
    namespace = pod["metadata"]["namespace"]
    for bulk in container.get("envFrom") or []:
        source = _source(bulk.get("secretRef"), bulk.get("configMapRef"))
        data = await _data(client, namespace, source)
        found |= {bulk.get("prefix", "") + key: value for key, value in data.items()}
    for entry in container.get("env") or []:
        value = await _value(client, pod, entry, address)
        if value is not None:
            found[entry["name"]] = expand(value, found)
    return found


async def _value(client: Client, pod: Json, entry: Json, address: str) -> str | None:
    origin = entry.get("valueFrom")
    if not origin:
        return str(entry.get("value", ""))
    if path := (origin.get("fieldRef") or {}).get("fieldPath"):
        return field_value(pod, path, address)
    chosen = origin.get("secretKeyRef") or origin.get("configMapKeyRef")
    if not chosen:
        return ""
    namespace = pod["metadata"]["namespace"]
    source = _source(origin.get("secretKeyRef"), origin.get("configMapKeyRef"))
    data = await _data(client, namespace, source)
    if chosen["key"] in data:
        return data[chosen["key"]]
    if source.optional:
        return None
    kind = "Secret" if source.kind == "secret" else "ConfigMap"
    raise Missing(f"couldn't find key {chosen['key']} in {kind} {namespace}/{source.name}")


def _source(secret: Json | None, mapped: Json | None) -> Source:
    chosen = secret or mapped or {}
    return Source("secret" if secret else "configmap", chosen["name"], chosen.get("optional", False))


async def _data(client: Client, namespace: str, source: Source) -> dict[str, str]:
    try:
        found = await client.get(f"/api/v1/namespaces/{namespace}/{PLURALS[source.kind]}/{source.name}")
    except ApiError as error:
        if error.status != 404:
            raise
        if source.optional:
            return {}
        raise Missing(f'{source.kind} "{source.name}" not found') from error
    data = found.get("data") or {}
    if source.kind == "configmap":
        return dict(data)
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}


def field_value(pod: Json, path: str, address: str) -> str:
    """The value of a downward API field such as `metadata.name` or `metadata.labels['app']`; empty when not there."""
    if path in ("status.podIP", "status.podIPs"):
        return address
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if keyed:
        return str((pod["metadata"].get(keyed[1]) or {}).get(keyed[2], ""))
    value: object = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def expand(text: str, variables: dict[str, str]) -> str:
    """Put the values of `$(NAME)` into `text`. `$$(NAME)` stays `$(NAME)`, an unknown name as it is."""

    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        return variables.get(match[2], match[0])

    return re.sub(r"(\$?)\$\(([A-Za-z_][-A-Za-z0-9_.]*)\)", replaced, text)
