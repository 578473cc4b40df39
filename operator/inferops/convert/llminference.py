"""KServe's LLMInferenceService (serving.kserve.io/v1alpha1 and v1alpha2)."""

from __future__ import annotations

import shlex
from typing import Any

from inferops.api.resources import InferenceService
from inferops.convert import fit, gpus
from inferops.convert.arguments import carry_args, of_list
from inferops.convert.gpus import Gpus
from inferops.convert.ledger import Draft, Field
from inferops.convert.metadata import carry_metadata
from inferops.convert.pods import carry_container, carry_pod
from inferops.convert.sources import PUT_IT, place_of

MORE = "VLLM_ADDITIONAL_ARGS"
DEGREES = {
    "data": ("replicas do not share a process", "write spec.scaling.minReplicas"),
    "dataLocal": ("replicas do not share a process", "write spec.scaling.minReplicas"),
    "dataRPCPort": ("replicas do not share a process", ""),
}
OTHER = {
    "prefill": ("prompts and answers are computed by the same replica", "leave it out: replicas are sized for both"),
    "baseRefs": ("configurations are not merged", "write what they say in this resource before you convert it"),
    "tracing": ("engines are not traced", "write the engine's own arguments in spec.runtime.args"),
    "labels": ("pods' labels are the admin's", "spec.podLabels of a ServingRuntime"),
    "annotations": ("pods have no annotations of users", ""),
    "kvCacheOffloading": ("it names a module to load", "an admin allows --kv-transfer-config in a ServingRuntime"),
    "rolloutStrategy": ("a new version is a rollout", "write spec.rollout.strategy: auto, surge, swap or recreate"),
}


def convert(document: dict[str, Any], draft: Draft) -> dict[str, Any] | None:
    """Ours for an LLMInferenceService; None where there is none, with why in `draft.failed`."""
    spec, found = draft.field("spec"), Gpus()
    draft.out["spec"] = {}
    for key, each in draft.field("metadata", "annotations").fields():
        if "kserve.io/" in key:
            each.lost("an annotation that KServe reads", "see whether a field of spec says the same")
    name = carry_metadata(draft)
    _model(draft, spec["model"], name)
    _parallelism(draft, spec["parallelism"], found)
    _template(draft, spec["template"], found)
    _worker(spec, found)
    _scaling(draft, spec)
    _router(draft, spec["router"])
    spec["storageInitializer"]["enabled"].built_in("the engine loads the model by itself")
    if spec["storageInitializer"].value == {}:
        spec["storageInitializer"].built_in("the engine loads the model by itself")
    spec.rest_lost(OTHER)
    draft.field("status").ignored("the server sets it")
    gpus.carry(draft, found)
    return fit.finish(draft, InferenceService)


def _model(draft: Draft, model: Field, name: str) -> None:
    place = place_of(model["uri"].text())
    if place.wrong:
        draft.failed = f"spec.model.uri: {place.wrong}; {PUT_IT}"
        return
    model["uri"].became("spec", "model", "uri", value=place.uri)
    if place.revision:
        draft.put(("spec", "model", "revision"), place.revision)
    if model["name"].text():
        model["name"].became("spec", "model", "name")
    elif draft.got(("metadata", "name")) != name:
        draft.put(("spec", "model", "name"), name)
    lora = model["lora"]
    rank = lora["maxRank"].number()
    for each in lora["adapters"].items():
        where = place_of(each["uri"].text())
        if where.wrong or not each["name"].text():
            each.lost(where.wrong or "it has no name", "name it in spec.model.adapters by hf://, pvc:// or oci://")
            continue
        target = draft.end("spec", "model", "adapters")
        each["name"].became(*target, "name")
        each["uri"].became(*target, "uri", value=where.uri)
        if rank:
            draft.put((*target, "rank"), rank)
    if rank and draft.got(("spec", "model", "adapters")):
        lora["maxRank"].counted("spec", "model", "adapters", 0, "rank")
    for key in ("maxAdapters", "maxCpuAdapters"):
        lora[key].built_in("as many as there are adapters, at most 8 in a batch")
    model["confidential"].lost("models are not decrypted", "")


def _parallelism(draft: Draft, parallelism: Field, found: Gpus) -> None:
    for axis in ("tensor", "pipeline"):
        number = parallelism[axis].number()
        if number and number > 0:
            found.named(axis, parallelism[axis], number)
    if parallelism["expert"].value is True:
        parallelism["expert"].became(*draft.end("spec", "runtime", "args"), value="--enable-expert-parallel")
    else:
        parallelism["expert"].built_in("experts are split like any tensor")
    parallelism.rest_lost(DEGREES)


def _template(draft: Draft, template: Field, found: Gpus) -> None:
    """The engine's container is the one named main; its command is a shell's where it stands at all."""
    every = template["containers"].items()
    main = next((each for each in every if each["name"].value == "main"), every[0] if every else None)
    if main is not None:
        words = of_list(main["args"])
        for each in main["env"].items():
            if each["name"].value == MORE and each["value"].text():
                words += _split(each)
        if main["command"]:
            main["args"].lost("they are those of the command, a shell's perhaps", "write them in spec.runtime.args")
            words = [(each, word) for each, word in words if "env" in each.path]
        carry_args(draft, words, "vllm", found)
        for each in main["env"].items():
            if each["name"].value == MORE and each["value"].said():
                each["name"].built_in("its words are arguments")
        carry_container(draft, main, found)
    carry_pod(draft, template, found)


def _split(each: Field) -> list[tuple[Field, str]]:
    try:
        words = shlex.split(each["value"].text())
    except ValueError:
        return []
    return [(each["value"], word) for word in words]


def _worker(spec: Field, found: Gpus) -> None:
    """Its presence makes a replica span nodes, as many as it has pipeline stages."""
    if not spec["worker"]:
        return
    spec["worker"].lost("workers are pods like the leader", "nodes are counted by spec.accelerators")
    found.nodes = found.degree("pipeline")


def _scaling(draft: Draft, spec: Field) -> None:
    place, scaling = ("spec", "scaling"), spec["scaling"]
    number = spec["replicas"].number()
    if number == 0:
        spec["replicas"].became(*place, "replicas")
        draft.put((*place, "mode"), "fixed")
    elif number is not None:
        spec["replicas"].became(*place, "minReplicas", note="and as many at most, since no maxReplicas is set")
    for key in ("minReplicas", "maxReplicas"):
        if scaling[key].number() is not None:
            scaling[key].became(*place, key)
    for key in ("wva", "keda"):
        scaling[key].lost(
            "replicas follow what is asked for and the SLO",
            "write spec.slo; or spec.scaling.mode: external and `inferops render --scaler`",
        )


def _router(draft: Draft, router: Field) -> None:
    gateway = router["gateway"]
    if gateway.value == {}:
        gateway.lost("no Gateway is named", "write spec.traffic.gatewayRef, or run the operator with --gateway")
    for number, each in enumerate(gateway["refs"].items()):
        if number or not each["name"].text():
            each.lost("a service has one Gateway")
            continue
        for key in ("name", "namespace", "sectionName"):
            if each[key].text():
                each[key].became("spec", "traffic", "gatewayRef", key)
    _route(draft, router["route"])
    router["ingress"].lost("there is no Ingress", "write spec.traffic.gatewayRef")
    router["scheduler"].lost(
        "the built-in gateway deals requests by prefix and load; no picker is deployed",
        "leave it out, or name a picker in spec.traffic.endpointPicker",
    )


def _route(draft: Draft, route: Field) -> None:
    http = route["http"]
    for each in (route, http):
        if each.value == {}:
            each.built_in("requests come by the built-in gateway, or by traffic.gatewayRef's")
    for each in http["spec"]["hostnames"].items():
        if each.text():
            each.became(*draft.end("spec", "traffic", "hostnames"))
    for key, each in http["spec"].fields():
        if not each.said():
            each.lost("the operator writes the HTTPRoute", "" if key == "rules" else "see spec.traffic")
    http["refs"].lost("the operator writes the HTTPRoute", "write spec.traffic.hostnames and gatewayRef")
    for key in ("group", "weight"):
        route[key].lost("services do not share requests by weight", "roll a new version out, as a change of the spec")
