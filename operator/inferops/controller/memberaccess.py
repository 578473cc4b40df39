"""With which credentials a member is reached: read from where its InferenceCluster says they are."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256

from kubernetes.aio.client import Configuration

from inferops.api.conditions import Reason
from inferops.api.inferencecluster import ClusterAccess
from inferops.core.engine import Obstacle
from inferops.kube.access import AccessRefused, member_configuration
from inferops.kube.client import Reader
from inferops.kube.kinds import SECRET

HUB = "hub"


class NoAccess(Exception):
    """A member cannot be asked; `obstacle` says why, and what helps."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.message)
        self.obstacle = obstacle


@dataclass(frozen=True, slots=True)
class Credentials:
    """Those of now, with a mark by which others are known. None: those that one has by the mark are still good."""

    mark: str
    configuration: Configuration | None


async def credentials(
    kube: Reader, hub: Configuration, namespace: str, access: ClusterAccess, mark: str, *, denied: bool
) -> Credentials:
    """Those for `access`, from the operator's `namespace` of the hub. `mark`: of those that one has; `denied`:
    they were refused. Raises NoAccess, and KubeError where the hub does not tell."""
    if access.hub:
        return Credentials(HUB, hub if mark != HUB else None)
    ref = access.kubeconfig_secret
    assert ref is not None, "the API has one of the ways"
    secret = await kube.get(SECRET, namespace, ref.name)
    text = ((secret or {}).get("data") or {}).get(ref.key)
    if text is None:
        where = f"Secret {namespace}/{ref.name}"
        what = f"{where} has no key {ref.key}" if secret is not None else f"there is no {where}"
        why = f"spec.access.kubeconfigSecret: {what}; create it with a kubeconfig, or name another"
        raise NoAccess(Obstacle(Reason.KUBECONFIG_NOT_FOUND, why))
    content = b64decode(text)
    found = sha256(content).hexdigest()
    if found == mark and not (access.allow and denied):  # what it names may have changed
        return Credentials(found, None)
    try:
        return Credentials(found, await member_configuration(content, access.allow))
    except AccessRefused as refused:
        raise NoAccess(Obstacle(Reason.KUBECONFIG_REFUSED, str(refused))) from None
