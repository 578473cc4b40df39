"""The pod of a replica: one container with the engine, as Pod Security's `restricted` wants it."""

from __future__ import annotations

from typing import Any

from inferops.core.revision import revision_name
from inferops.render import labels, nodes
from inferops.render.claims import REQUEST
from inferops.render.quantity import canonical, times
from inferops.runtimes.base import CACHE_PATH, Endpoint, Launch, ServingEngine

CONTAINER = "engine"
MARGIN_SECONDS = 30  # between the end of the drain and the kill, for the engine to end by itself


def image(launch: Launch, engine: ServingEngine) -> str:
    """The engine's image: the ServingRuntime's, else the built-in one."""
    return launch.runtime.image or engine.image_for(launch) or engine.image


def template(launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    """The pod template of a revision's Deployment, or of the leader or the workers of its LeaderWorkerSet."""
    service, revision = launch.service, launch.revision.hash
    role = {labels.ROLE: labels.WORKER if launch.worker else labels.LEADER} if launch.nodes > 1 else {}
    annotations = engine.annotations(launch)
    return {
        "metadata": {
            # The admin's labels never displace those by which pods are found.
            "labels": {**launch.runtime.pod_labels, **labels.labels(service, revision), **role},
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": _spec(launch, engine),
    }


def grace_seconds(launch: Launch) -> int:
    """Seconds from a pod's deletion to its kill: longer than everything that it does to go away in peace."""
    return launch.runtime.drain.pre_stop_seconds + launch.runtime.drain.timeout_seconds + MARGIN_SECONDS


def _spec(launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    runtime, source = launch.runtime, engine.source(launch)
    user = runtime.run_as_user or engine.user
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # Else a Service named vllm would set VLLM_PORT.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(launch),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **nodes.placement(launch),
        "containers": [_container(launch, engine)],
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": canonical(runtime.shared_memory)}},
            {"name": "cache", "emptyDir": {}},
            *source.volumes,
        ],
    }
    pull_secrets = dict.fromkeys((*runtime.image_pull_secrets, *source.pull_secrets))
    if pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    if runtime.priority_class_name is not None:
        spec["priorityClassName"] = runtime.priority_class_name
    if launch.claimed:
        name = revision_name(launch.service, launch.revision.hash)
        spec["resourceClaims"] = [{"name": REQUEST, "resourceClaimTemplateName": name}]
    if launch.accelerator.runtime_class_name is not None:
        spec["runtimeClassName"] = launch.accelerator.runtime_class_name
    return spec


def _container(launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    drain = launch.runtime.drain
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image(launch, engine),
        "imagePullPolicy": "IfNotPresent",
        "command": list(launch.runtime.command or engine.command),
        "args": engine.args(launch),
        "env": engine.env(launch),
        **({} if launch.worker else _server(launch, engine)),
        "resources": _resources(launch),
        # The end of the log says why an engine did not start.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # The root file system stays writable: the CDI hook of the NVIDIA toolkit updates the linker's cache in it.
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},
            {"name": "cache", "mountPath": CACHE_PATH},
            *engine.source(launch).mounts,
        ],
    }
    if drain.pre_stop_seconds and not launch.worker:
        # Endpoints and load balancers learn of the end while the engine still answers.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": drain.pre_stop_seconds}}}
    return container


def _resources(launch: Launch) -> dict[str, Any]:
    """GPUs and memory with request and limit, CPU with a request alone: a limit would throttle the scheduler loop."""
    wanted, each = launch.revision.runtime.resources, launch.runtime.resources
    count = launch.revision.accelerator.count // launch.nodes
    cpu = canonical(wanted.cpu) if wanted.cpu else times(each.cpu, count) if each.cpu else None
    memory = canonical(wanted.memory) if wanted.memory else times(each.memory, count) if each.memory else None
    devices = {} if launch.claimed else {launch.accelerator.resource_name: str(count)}
    limits = {**devices, **({"memory": memory} if memory else {})}
    claims = {"claims": [{"name": REQUEST}]} if launch.claimed else {}
    return {"requests": {**({"cpu": cpu} if cpu else {}), **limits}, "limits": limits, **claims}


def _server(launch: Launch, engine: ServingEngine) -> dict[str, Any]:
    """Ports and probes. A worker has none: the leader's fail when it is gone, and then the group starts anew."""

    def probe(endpoint: Endpoint, name: str) -> dict[str, Any]:
        times_of: dict[str, Any] = getattr(launch.runtime.probes, name).dump()
        return {"httpGet": {"path": endpoint.path, "port": endpoint.port, "scheme": "HTTP"}, **times_of}

    return {
        "ports": [{"name": port.name, "containerPort": port.number, "protocol": "TCP"} for port in engine.ports],
        "startupProbe": probe(engine.startup, "startup"),
        "readinessProbe": probe(engine.readiness, "readiness"),
        "livenessProbe": probe(engine.liveness, "liveness"),
    }
