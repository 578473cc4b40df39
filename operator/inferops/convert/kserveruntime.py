"""KServe's ServingRuntime and ClusterServingRuntime (serving.kserve.io/v1alpha1)."""

from __future__ import annotations

from typing import Any

from inferops.api.resources import ServingRuntime
from inferops.catalogue import runtimes
from inferops.convert import fit
from inferops.convert.arguments import carry_args, of_list
from inferops.convert.engines import by_image, by_name
from inferops.convert.gpus import Gpus, is_gpu
from inferops.convert.ledger import Draft, Field, Options, at
from inferops.convert.metadata import carry_metadata
from inferops.convert.pods import CONTAINER, POD, RESTRICTED

_NO_OPTIONS = Options()
MAIN = "kserve-container"
PROBES = {"startupProbe": "startup", "readinessProbe": "readiness", "livenessProbe": "liveness"}
TIMES = ("periodSeconds", "timeoutSeconds", "failureThreshold")
MODELMESH = ("many models in one server are not served", "make an InferenceService of each")
OTHER = {
    "supportedModelFormats": (
        "a service names its runtime; none is chosen by a format",
        "write spec.runtime.name in the InferenceService",
    ),
    "workerSpec": (
        "workers are pods like the leader",
        "nodes are counted by spec.accelerators of the InferenceService",
    ),
    "grpcEndpoint": MODELMESH,
    "grpcDataEndpoint": MODELMESH,
    "httpDataEndpoint": MODELMESH,
    "replicas": MODELMESH,
    "storageHelper": MODELMESH,
    "builtInAdapter": MODELMESH,
    "annotations": ("pods have no annotations of users", ""),
    "tolerations": (
        "they belong to the service or to the Accelerator",
        "write spec.tolerations of the InferenceService",
    ),
    "nodeSelector": ("nodes are chosen by accelerator", "an admin offers an Accelerator with spec.nodeLabels"),
}


def engine_of(document: dict[str, Any]) -> str:
    """The engine of a runtime, by its image, command, or name; empty: none of ours."""
    container = _main(Draft(document, _NO_OPTIONS).field("spec", "containers"))
    name = at(document, ("metadata", "name"))
    return (by_image(container) if container else "") or by_name(name if isinstance(name, str) else "")


def convert(document: dict[str, Any], draft: Draft) -> dict[str, Any] | None:
    """Ours for a runtime of KServe's; None where there is none, with why in `draft.failed`."""
    spec, engine = draft.field("spec"), engine_of(document)
    draft.out["spec"] = {}
    for key, each in draft.field("metadata", "annotations").fields():
        if "kserve" in key or "opendatahub" in key:
            each.lost("an annotation that KServe reads", "")
    name = carry_metadata(draft, namespaced=False)
    draft.failed = draft.failed or _unfit(spec, engine)
    if not draft.failed:
        draft.put(("spec", "engine"), engine)
        if name in runtimes():
            draft.differs(
                "it replaces the built-in runtime of this name for every service", "rename it", "metadata", "name"
            )
        _container(draft, spec, engine)
    spec["multiModel"].built_in("a server has one model")
    spec["disabled"].built_in("what is applied is in use")
    for each in spec["protocolVersions"].items():
        each.built_in("an engine speaks what it speaks")
    for key, each in spec["labels"].fields():
        each.became("spec", "podLabels", key)
    for each in spec["imagePullSecrets"].items():
        if each["name"].text():
            each["name"].became(*draft.end("spec", "imagePullSecrets"))
    spec.rest_lost({**POD, **OTHER})
    draft.field("status").ignored("the server sets it")
    return fit.finish(draft, ServingRuntime)


def _unfit(spec: Field, engine: str) -> str:
    """Why nothing can be made of a runtime; empty: something can."""
    if not engine:
        return "spec.containers: no engine of ours is known by its image, command or name"
    if spec["multiModel"].value is True:
        return f"spec.multiModel: {MODELMESH[0]}; {MODELMESH[1]}"
    return "spec.disabled: it is not in use; leave it out" if spec["disabled"].value is True else ""


def _main(containers: Field) -> Field:
    """The engine's container."""
    every = containers.items()
    return next((each for each in every if each["name"].value == MAIN), every[0] if every else containers[0])


def _container(draft: Draft, spec: Field, engine: str) -> None:
    container, place = _main(spec["containers"]), ("spec",)
    container["name"].built_in("there is one container, the engine's")
    container["ports"].built_in("the engine's own ports are used")
    if container["image"].text():
        container["image"].became(*place, "image")
    container["command"].lost(
        "the engine's own command is used, which the operator's arguments fit",
        "write spec.command where it must differ",
    )
    _args(draft, container, engine)
    _env(draft, container["env"])
    _resources(draft, container["resources"])
    for name, probe in PROBES.items():
        for time in TIMES:
            if container[name][time].number() is not None:
                container[name][time].became(*place, "probes", probe, time)
        for _, each in container[name].fields():
            if not each.said():
                each.lost("what an engine is asked is its own; only the times can be set")
    user = container["securityContext"]["runAsUser"]
    if user.number():
        user.became(*place, "runAsUser")
    for _, each in container["securityContext"].fields():
        if not each.said():
            each.built_in(RESTRICTED)
    _shared_memory(spec, container)
    container.rest_lost(CONTAINER)
    for each in spec["containers"].items():
        if not each.said():
            each.lost("there is one container, the engine's", "")


def _args(draft: Draft, container: Field, engine: str) -> None:
    """The admin's arguments: as a user's, but what belongs to a model goes to the services."""
    if container["command"][0].text().rpartition("/")[2] in ("sh", "bash"):
        container["args"].lost("they are a shell's", "write the engine's arguments in spec.args")
        return
    inner = Draft(draft.given, draft.options)
    carry_args(
        inner,
        [(Field(inner, each.path, each.value), word) for each, word in of_list(container["args"])],
        engine,
        Gpus(),
    )
    words = inner.got(("spec", "runtime", "args")) or []
    for entry in inner.entries:
        each = Field(draft, entry.path, at(draft.given, entry.path))
        if entry.target[:3] == ("spec", "runtime", "args"):
            each.became(*draft.end("spec", "args"), value=words[int(entry.target[3])])
        elif entry.target:
            each.lost("it belongs to a model", f"write {'.'.join(map(str, entry.target))} of the InferenceService")
        else:
            draft.entries.append(entry)
    said = {entry.path for entry in draft.entries}
    for each in container["args"].items():
        if each.path not in said:
            each.lost("it depends on a service's accelerators", "spec.accelerators of the InferenceService says it")


def _env(draft: Draft, env: Field) -> None:
    last = {each["name"].text(): each.path for each in env.items()}
    for each in env.items():
        name, secret = each["name"].text(), each["valueFrom"]["secretKeyRef"]
        if not name or last[name] != each.path:
            each.lost("it has no name, or stands again below, which counts")
        elif secret["name"].text() and secret["key"].text():
            place = draft.end("spec", "env")
            each["name"].became(*place, "name")
            secret["name"].became(*place, "valueFromSecret", "name")
            secret["key"].became(*place, "valueFromSecret", "key")
            secret["optional"].lost("a Secret that is named must be there")
        elif each["valueFrom"] or not isinstance(each["value"].value, str | None):
            each.lost("a variable is given plainly or by a Secret's key")
        else:
            place = draft.end("spec", "env")
            each["name"].became(*place, "name")
            draft.put((*place, "value"), each["value"].text())
            if each["value"] and not each["value"].said():
                each["value"].counted(*place, "value")


def _resources(draft: Draft, resources: Field) -> None:
    """CPU and memory, which ours has by accelerator."""
    note = "for each accelerator of a replica, where KServe has it for the pod"
    for name, parts in (("cpu", ("requests", "limits")), ("memory", ("limits", "requests"))):
        first = next((resources[part][name] for part in parts if resources[part][name]), None)
        if first is not None and isinstance(first.value, int | str) and not isinstance(first.value, bool):
            first.became("spec", "resources", name, value=str(first.value), note=note)
    for part in ("requests", "limits"):
        for name, each in resources[part].fields():
            if is_gpu(name):
                each.lost("accelerators belong to a service", "write spec.accelerators of the InferenceService")
            elif each.value == resources["limits"][name].value and name == "memory":
                each.counted("spec", "resources", name)
            elif not each.said():
                each.lost("CPU is requested and memory limited; nothing else is asked for")


def _shared_memory(spec: Field, container: Field) -> None:
    """The volume of /dev/shm."""
    for mount in container["volumeMounts"].items():
        if mount["mountPath"].value != "/dev/shm":
            continue
        for volume in spec["volumes"].items():
            if volume["name"].value != mount["name"].value or volume["emptyDir"]["medium"].value != "Memory":
                continue
            if volume["emptyDir"]["sizeLimit"].text():
                volume["emptyDir"]["sizeLimit"].became("spec", "sharedMemory")
            for each in (volume["name"], volume["emptyDir"]["medium"], mount["name"], mount["mountPath"]):
                each.built_in("/dev/shm is mounted in any case")
