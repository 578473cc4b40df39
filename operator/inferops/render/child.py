"""The InferenceService that is written into a member cluster: the user's own, narrowed to what that cluster is to have.

The member's operator serves it as any other. So a member that the hub does not reach goes on scaling, waking up and
rolling back by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferops.api import API_VERSION
from inferops.api.base import Toleration
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.resources import InferenceService
from inferops.api.rollout import ACTION
from inferops.core.clusters.naming import HUB, PARENT, PARENT_NAME, hub_name
from inferops.core.clusters.version import Version, version_of

TOLERATIONS = 64  # as many as the API takes
STANDBY = "10m"  # without a request, after which a cluster that stands by goes to zero
VERSION = "inferops.dev/version"  # annotation: hash of the model and runtime that the cluster was given


def render_child(
    service: InferenceService,
    hub: str,
    choice: AcceleratorChoice,
    least: int,
    most: int,
    *,
    fixed: bool,
    others: Sequence[tuple[str, str]] = (),
    version: Version | None = None,
    action: str = "",
    ttft: str | None = None,
    tolerations: Sequence[Toleration] = (),
    here: bool = False,
) -> dict[str, Any]:
    """`service` for one cluster, which has `most` replicas where that is `fixed`, and scales from `least` up to them
    else. `others`: clusters to which it may spill over with the URL of their gateways, nearest first, unless an
    endpoint picker keeps requests from the gateways here. `version`: the model and runtime that it is to have there;
    None: the newest. `action`: what is asked of its rollout there. `ttft`: what the way to the clients leaves of
    slo.ttft there; None: all of it. `tolerations`: further taints of the nodes there. `here`: it is the hub's own
    cluster, where the name is taken by `service` itself. What is left out is as the member's own API has it by
    default."""
    after = service.spec.scaling.scale_to_zero_after
    scaling = service.spec.scaling.model_copy(
        update={
            "mode": "fixed" if fixed else service.spec.scaling.mode,
            "replicas": most if fixed else None,
            "min_replicas": 0 if fixed else least,
            "max_replicas": None if fixed else max(most, 1),
            "schedule": [],
            # which none of them would, where others hold what is to be there at any time
            "scale_to_zero_after": after if fixed or least or after is not None else STANDBY,
        }
    )
    given = version if version is not None else version_of(service.spec)
    parts = {"model": given.model, "runtime": given.runtime, "accelerators": [choice], "scaling": scaling}
    if ttft is not None:
        parts["slo"] = service.spec.slo.model_copy(update={"ttft": ttft})
    rollout = service.spec.rollout.model_copy(update={"clusters": None})
    spec = service.spec.model_copy(update={**parts, "rollout": rollout})
    content = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"placement"})
    own = spec.tolerations
    tolerated = [*own, *(each for each in tolerations if each not in own)][:TOLERATIONS]
    content["tolerations"] = [each.model_dump(by_alias=True, exclude_none=True) for each in tolerated]
    traffic = content.setdefault("traffic", {})
    if here or not most:  # here the service is exported itself; other clusters' clients would wait for replicas
        traffic.pop("export", None)
    if others and "spillover" not in traffic and spec.traffic.endpoint_picker is None:
        traffic["spillover"] = [{"name": name, "url": url} for name, url in others]
    content = {key: value for key, value in content.items() if value}
    asked = {ACTION: action} if action else {}
    name, named = service.metadata.name, {}
    if here:
        name, named = hub_name(name), {PARENT_NAME: name}
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": service.metadata.namespace,
            "labels": {HUB: hub},
            "annotations": {PARENT: service.metadata.uid, VERSION: given.hash, **named, **asked},
        },
        "spec": content,
    }
