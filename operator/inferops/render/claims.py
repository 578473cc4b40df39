"""Accelerators by dynamic resource allocation: the template from which each pod of a revision gets its ResourceClaim.

Source: resource.k8s.io/v1, which Kubernetes has since 1.34.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inferops.api.accelerator import DeviceSpec
from inferops.api.resources import InferenceService
from inferops.core.revision import revision_name
from inferops.render import labels
from inferops.runtimes.base import Launch

REQUEST = "accelerators"  # in the claim, and the claim in the pod


def claim_template(service: InferenceService, launch: Launch) -> dict[str, dict[str, Any]]:
    """The ResourceClaimTemplate of a revision whose pods claim their accelerators; nothing for others."""
    device, revision = launch.accelerator.device, launch.revision.hash
    if not launch.claimed or device is None:
        return {}
    exactly = {
        "deviceClassName": device.class_name,
        "allocationMode": "ExactCount",
        "count": launch.revision.accelerator.count // launch.nodes,
        "selectors": [{"cel": {"expression": expression(device)}}],
    }
    return {
        "claims": {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": labels.metadata(service, revision_name(service.metadata.name, revision), revision),
            "spec": {"spec": {"devices": {"requests": [{"name": REQUEST, "exactly": exactly}]}}},
        }
    }


def expression(device: DeviceSpec) -> str:
    """Which devices are meant, in CEL. A device without an attribute is none of them, and no error either."""
    domain = f"device.attributes[{json.dumps(device.driver)}]"
    terms = [f"device.driver == {json.dumps(device.driver)}"]
    for attribute in device.attributes:
        name = json.dumps(attribute.name)
        terms.append(f"{name} in {domain} && {domain}[{name}] in {json.dumps(attribute.values)}")
    return " && ".join(terms)


def beyond(template: Mapping[str, Any]) -> list[str]:
    """What of a recorded template the operator never asks for: devices that others use, for administration."""
    requests = template["spec"]["spec"]["devices"]["requests"]
    kept = {"deviceClassName", "allocationMode", "count", "selectors"}
    return sorted({key for request in requests for key in {*request} - {"name", "exactly"}} | {
        key for request in requests for key in {*request.get("exactly", ())} - kept
    })  # fmt: skip
