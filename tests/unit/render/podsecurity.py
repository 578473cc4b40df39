"""Pod Security's `restricted`, as the Pod Security Standards table says it, field by field. Raises AssertionError."""

from __future__ import annotations

from typing import Any

ALLOWED_VOLUMES = {
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


def assert_restricted(pod: dict[str, Any]) -> None:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        assert not pod.get(field), field
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        assert len(kinds) == 1 and kinds <= ALLOWED_VOLUMES, volume
    outer = pod.get("securityContext", {})
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    assert containers
    for container in containers:
        inner = container.get("securityContext", {})
        assert not inner.get("privileged")
        assert inner["allowPrivilegeEscalation"] is False
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert inner.get("runAsNonRoot", outer.get("runAsNonRoot")) is True
        assert inner.get("runAsUser", outer.get("runAsUser")) not in (None, 0)
        profile = inner.get("seccompProfile", outer.get("seccompProfile"))
        assert profile == {"type": "RuntimeDefault"}
        assert not any("hostPort" in port for port in container.get("ports", []))
        assert "procMount" not in inner and "seLinuxOptions" not in inner
