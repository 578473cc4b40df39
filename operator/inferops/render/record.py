"""A revision on record: a ControllerRevision that holds what is served and the objects as they were rendered.

From it any later version of the operator restores the revision's children unchanged, so that neither an upgrade of
the operator nor a change of the ServingRuntime touches a running pod. The API server lets nobody change its data.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferops.api.base import Toleration
from inferops.api.resources import InferenceService
from inferops.core.revision import RevisionSpec, revision_name
from inferops.render import claims, labels
from inferops.render.restricted import violations

KINDS = {"service": "Service", "pdb": "PodDisruptionBudget"}
WORKLOADS = {"deployment": "Deployment", "lws": "LeaderWorkerSet"}  # of which a revision has one
CLAIMS = "claims"  # a ResourceClaimTemplate, of revisions that claim their accelerators
GROUP_FIELDS = {"size", "restartPolicy", "leaderTemplate", "workerTemplate"}


@dataclass(frozen=True, slots=True)
class Record:
    """A revision with its objects as they are applied; the workload without its replicas."""

    spec: RevisionSpec
    image: str  # the engine's
    objects: Mapping[str, dict[str, Any]]  # by the keys of KINDS, one of WORKLOADS, and perhaps CLAIMS

    @property
    def workload(self) -> dict[str, Any]:
        """The Deployment or LeaderWorkerSet."""
        return next(self.objects[key] for key in WORKLOADS if key in self.objects)


def tolerations_of(record: Record) -> tuple[Toleration, ...]:
    """What its pods tolerate. Raises KeyError, TypeError and ValueError where somebody else wrote it."""
    spec = record.workload["spec"]
    template = spec["template"] if "template" in spec else spec["leaderWorkerTemplate"]["workerTemplate"]
    return tuple(Toleration.model_validate(each) for each in template["spec"].get("tolerations", ()))


def render_record(service: InferenceService, revision: str, order: int, record: Record) -> dict[str, Any]:
    """The ControllerRevision of the revision with the hash `revision`; `order` counts up as revisions are made."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": labels.metadata(service, revision_name(service.metadata.name, revision), revision),
        "revision": order,
        "data": {
            "spec": record.spec.dump(),
            "image": record.image,
            "objects": copy.deepcopy(dict(record.objects)),
        },
    }


def read_record(data: Mapping[str, Any], name: str = "", namespace: str = "") -> Record:
    """The record in the `data` of the ControllerRevision `namespace`/`name`; a name left out is not compared.

    Its objects are those of `data`, not copies: nobody changes either, and copying was a fifth of a reconcile.

    Raises ValueError where the data is none of ours: whoever may write ControllerRevisions must not get the operator
    to write elsewhere, or to start pods that he may not start himself.
    """
    try:
        kinds = {**_workload_of(data["objects"]), **KINDS}
        kinds |= {CLAIMS: "ResourceClaimTemplate"} if CLAIMS in data["objects"] else {}
        objects = {key: dict(data["objects"][key]) for key in kinds}
        for key, kind in kinds.items():
            _check_identity(key, objects[key], kind, name, namespace)
        for key in WORKLOADS.keys() & objects.keys():
            if beyond := [found for template in _templates(objects[key]) for found in violations(template["spec"])]:
                raise ValueError(f"data.objects.{key}: its pod has {', '.join(beyond)}, which the operator never sets")
        if CLAIMS in objects and (beyond := claims.beyond(objects[CLAIMS])):
            raise ValueError(f"data.objects.claims: it has {', '.join(beyond)}, which the operator never sets")
        return Record(spec=RevisionSpec.model_validate(data["spec"]), image=str(data["image"]), objects=objects)
    except (AttributeError, KeyError, TypeError) as wrong:
        raise ValueError(f"data: no record of a revision, {wrong!r} is missing or of another kind") from wrong


def _workload_of(objects: Mapping[str, Any]) -> dict[str, str]:
    found = {key: kind for key, kind in WORKLOADS.items() if key in objects}
    if len(found) != 1:
        raise ValueError(f"data.objects: there must be one of {', '.join(WORKLOADS)}, and there is {len(found)}")
    return found


def _templates(workload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The pod templates of a workload. Raises ValueError where it could make more than these pods."""
    if workload["kind"] == "Deployment":
        return [workload["spec"]["template"]]
    group = workload["spec"]["leaderWorkerTemplate"]
    if beyond := sorted(set(group) - GROUP_FIELDS):
        raise ValueError(f"data.objects.lws: its group has {', '.join(beyond)}, which the operator never sets")
    return [group["leaderTemplate"], group["workerTemplate"]]


def _check_identity(key: str, found: Mapping[str, Any], kind: str, name: str, namespace: str) -> None:
    meta = found["metadata"]
    expected = (kind, name or meta["name"], namespace or meta["namespace"])
    is_ = (found["kind"], meta["name"], meta["namespace"])
    if is_ != expected:
        raise ValueError(f"data.objects.{key}: is {' '.join(map(str, is_))}, and not {' '.join(expected)}")
