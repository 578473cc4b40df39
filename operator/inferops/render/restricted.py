"""Whether a pod keeps within Pod Security's `restricted`, by the fields that could lead out of it.

Everything that is rendered does. What is read back from a cluster may have been put there by somebody else, and is
applied with the operator's rights: hence this check, which holds for the pods of older and newer versions alike.
Source: the Pod Security Standards of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
HOST = ("hostNetwork", "hostPID", "hostIPC")
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def violations(spec: Mapping[str, Any]) -> list[str]:
    """What of a pod's `spec` goes beyond `restricted`, each by its field. Empty: nothing."""
    found = [field for field in HOST if spec.get(field)]
    found += [
        f"volumes[{index}].{kind}"
        for index, volume in enumerate(spec.get("volumes") or ())
        for kind in volume
        if kind != "name" and kind not in VOLUMES
    ]
    # A service account of the namespace would lend its rights to whoever wrote the pod.
    found += ["serviceAccountName"] if spec.get("serviceAccountName", "default") != "default" else []
    # A claim that is there already holds devices for somebody else.
    found += ["resourceClaims" for claim in spec.get("resourceClaims") or () if claim.get("resourceClaimName")]
    pod = spec.get("securityContext") or {}
    for kind in CONTAINERS:
        for index, container in enumerate(spec.get(kind) or ()):
            found += [f"{kind}[{index}].{field}" for field in _of_container(container, pod)]
    return found


def _of_container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    both = {**pod, **own}
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield "securityContext.privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "securityContext.allowPrivilegeEscalation"
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "securityContext.capabilities"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield "securityContext.runAsNonRoot"
    if (both.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "securityContext.seccompProfile"
    for field in ("procMount", "sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile"):
        if both.get(field):  # none of them is ours; what is harmless among their values is not told apart
            yield f"securityContext.{field}"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "ports.hostPort"
