"""A revision on record: a ControllerRevision that holds what is served and the objects as they were rendered.

From it any later version of the operator restores the revision's children unchanged, so that neither an upgrade of
the operator nor a change of the ServingRuntime touches a running pod. The API server lets nobody change its data.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inferops.api.resources import InferenceService
from inferops.core.revision import RevisionSpec, revision_name
from inferops.render import labels
from inferops.render.restricted import violations

KINDS = {"deployment": "Deployment", "service": "Service", "pdb": "PodDisruptionBudget"}


@dataclass(frozen=True, slots=True)
class Record:
    """A revision with its objects as they are applied; the Deployment without its replicas."""

    spec: RevisionSpec
    image: str  # the engine's
    objects: Mapping[str, dict[str, Any]]  # by the keys of KINDS


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
            "objects": {name: copy.deepcopy(record.objects[name]) for name in KINDS},
        },
    }


def read_record(data: Mapping[str, Any], name: str = "", namespace: str = "") -> Record:
    """The record in the `data` of the ControllerRevision `namespace`/`name`; a name left out is not compared.

    Raises ValueError where the data is none of ours: whoever may write ControllerRevisions must not get the operator
    to write elsewhere, or to start pods that he may not start himself.
    """
    try:
        objects = {key: copy.deepcopy(dict(data["objects"][key])) for key in KINDS}
        for key, kind in KINDS.items():
            _check_identity(key, objects[key], kind, name, namespace)
        if beyond := violations(objects["deployment"]["spec"]["template"]["spec"]):
            raise ValueError(f"data.objects.deployment: its pod has {', '.join(beyond)}, which the operator never sets")
        return Record(spec=RevisionSpec.model_validate(data["spec"]), image=str(data["image"]), objects=objects)
    except (AttributeError, KeyError, TypeError) as wrong:
        raise ValueError(f"data: no record of a revision, {wrong!r} is missing or of another kind") from wrong


def _check_identity(key: str, found: Mapping[str, Any], kind: str, name: str, namespace: str) -> None:
    meta = found["metadata"]
    expected = (kind, name or meta["name"], namespace or meta["namespace"])
    is_ = (found["kind"], meta["name"], meta["namespace"])
    if is_ != expected:
        raise ValueError(f"data.objects.{key}: is {' '.join(map(str, is_))}, and not {' '.join(expected)}")
