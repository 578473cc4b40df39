"""The objects of one revision: its Deployment or LeaderWorkerSet, its Service and its PodDisruptionBudget."""

from __future__ import annotations

from typing import Any

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.resources import InferenceService
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.clusters.naming import known_as
from inferops.core.revision import RevisionSpec, revision_name
from inferops.render import labels, pod
from inferops.render.claims import claim_template
from inferops.render.group import leader_worker_set
from inferops.render.record import Record
from inferops.runtimes.base import Launch, ServingEngine

PULL_SECONDS = 3600  # an image of 10 GB and more over a slow line


def render_revision(
    service: InferenceService,
    revision: RevisionSpec,
    runtime: ServingRuntimeSpec,
    accelerator: AcceleratorSpec,
    engine: ServingEngine,
    zoned: bool = True,
    claimed: bool = False,
) -> Record:
    """`revision` with its objects, on nodes that tell their zones where they are `zoned`, and with accelerators that
    come by ResourceClaims where they are `claimed`.

    Requires that the engine has no obstacle to it and that `service` has a uid. The same input gives the same objects,
    key by key. Raises ValueError where `service` has no uid.
    """
    launch = Launch(
        service.metadata.name,
        revision,
        runtime,
        accelerator,
        zoned=zoned,
        claimed=claimed,
        tolerations=tuple(service.spec.tolerations),
        known_as=known_as(service),
    )
    return Record(
        spec=revision,
        image=pod.image(launch, engine),
        objects={
            **_workload(service, launch, engine),
            **claim_template(service, launch),
            "service": _service(service, launch, engine),
            "pdb": _disruption_budget(service, launch),
        },
    )


def with_replicas(workload: dict[str, Any], replicas: int) -> dict[str, Any]:
    """A copy of a Deployment or LeaderWorkerSet that asks for `replicas`."""
    return {**workload, "spec": {**workload["spec"], "replicas": replicas}}


def _workload(service: InferenceService, launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    if launch.nodes > 1:
        return {"lws": leader_worker_set(service, launch, engine)}
    return {"deployment": _deployment(service, launch, engine)}


def _metadata(service: InferenceService, launch: Launch) -> dict[str, Any]:
    hash_ = launch.revision.hash
    return labels.metadata(service, revision_name(service.metadata.name, hash_), hash_)


def _deployment(service: InferenceService, launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    startup = launch.runtime.probes.startup
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(service, launch),
        "spec": {
            "selector": {"matchLabels": labels.selector(launch.service, launch.revision.hash)},
            # Where all GPUs are in use a surge would wait for ever.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "progressDeadlineSeconds": startup.period_seconds * startup.failure_threshold + PULL_SECONDS,
            "revisionHistoryLimit": 1,
            "template": pod.template(launch, engine),
        },
    }


def _service(service: InferenceService, launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(service, launch),
        "spec": {
            # Without an address of its own: those are few in many clusters, the API server hands them out one at a
            # time, and gateways go to the endpoints anyway. So its ports are the containers' own.
            "clusterIP": "None",
            "selector": labels.endpoints(launch.service, launch.revision.hash, launch.nodes),
            "ports": [
                {"name": port.name, "port": port.number, "protocol": "TCP", "targetPort": port.name}
                for port in engine.ports
                if port.name != "metrics"
            ],
        },
    }


def _disruption_budget(service: InferenceService, launch: Launch) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(service, launch),
        "spec": {
            # One at a time also where there is only one: a node must be drainable. Of a group, one pod that goes takes
            # all along, and another group's has to wait until they are back.
            "maxUnavailable": 1,
            "selector": {"matchLabels": labels.selector(launch.service, launch.revision.hash)},
            # A pod that does not serve may always go.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
