"""With which credentials a member is reached: read from where its InferenceCluster says they are."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256

from kubernetes.aio.client import Configuration

from inferops.api.base import SecretKey
from inferops.api.conditions import Reason
from inferops.api.inferencecluster import ClusterAccess, ClusterProfileRef
from inferops.core.engine import Obstacle
from inferops.kube import clusterprofile
from inferops.kube.access import AccessRefused, configuration_of, member_configuration
from inferops.kube.client import Reader
from inferops.kube.clusterprofile import Provider
from inferops.kube.kinds import CLUSTER_PROFILE, SECRET

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


@dataclass(frozen=True, slots=True)
class Sources:
    """Where credentials come from."""

    kube: Reader  # of the hub
    hub: Configuration
    namespace: str  # of the operator
    providers: tuple[Provider, ...] = ()  # that log in to the clusters of ClusterProfiles


async def credentials(sources: Sources, access: ClusterAccess, mark: str, *, denied: bool) -> Credentials:
    """Those for `access`. `mark`: of those that one has; `denied`: they were refused. Raises NoAccess, and KubeError
    where the hub does not tell."""
    if access.hub:
        return Credentials(HUB, sources.hub if mark != HUB else None)
    if access.cluster_profile is not None:
        return await _of_profile(sources, access.cluster_profile, access, mark, denied)
    ref = access.kubeconfig_secret
    assert ref is not None, "the API has one of the ways"
    return await _of_kubeconfig(sources, ref, access, mark, denied)


async def _of_kubeconfig(
    sources: Sources, ref: SecretKey, access: ClusterAccess, mark: str, denied: bool
) -> Credentials:
    secret = await sources.kube.get(SECRET, sources.namespace, ref.name)
    text = ((secret or {}).get("data") or {}).get(ref.key)
    if text is None:
        where = f"Secret {sources.namespace}/{ref.name}"
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
        raise NoAccess(Obstacle(Reason.KUBECONFIG_REFUSED, f"the kubeconfig's {refused}")) from None


async def _of_profile(
    sources: Sources, ref: ClusterProfileRef, access: ClusterAccess, mark: str, denied: bool
) -> Credentials:
    namespace = ref.namespace or sources.namespace
    profile = await sources.kube.get(CLUSTER_PROFILE, namespace, ref.name)
    if profile is None:
        why = (
            f"spec.access.clusterProfile: there is no ClusterProfile {namespace}/{ref.name}; create it, or name another"
        )
        raise NoAccess(Obstacle(Reason.CLUSTER_PROFILE_NOT_FOUND, why))
    try:
        to = clusterprofile.access(profile, sources.providers, access.allow)
        found = sha256(clusterprofile.mark(to)).hexdigest()
        if found == mark and not denied:  # a token renews itself, a certificate is asked for again once it is refused
            return Credentials(found, None)
        return Credentials(found, await configuration_of(to))
    except AccessRefused as refused:
        told = f"ClusterProfile {namespace}/{ref.name}: {refused}"
        raise NoAccess(Obstacle(Reason.CLUSTER_PROFILE_REFUSED, told)) from None
