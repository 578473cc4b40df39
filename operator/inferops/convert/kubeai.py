"""KubeAI's Model (kubeai.org/v1)."""

from __future__ import annotations

from typing import Any

from inferops.api.resources import InferenceService
from inferops.convert import fit, gpus
from inferops.convert.arguments import carry_args, of_list
from inferops.convert.gpus import PROFILES, Gpus, whole
from inferops.convert.ledger import Draft, Field
from inferops.convert.metadata import carry_metadata
from inferops.convert.sources import PUT_IT, place_of

ENGINES = {"VLLM": "vllm", "Infinity": "text-embeddings-inference"}
NOT_SERVED = {
    "OLlama": "GGUF files of Ollama are not served: name the same model on the hub, model.uri hf://ORG/MODEL, for vLLM",
    "FasterWhisper": "CTranslate2 files are not served: name the model itself, hf://openai/whisper-large-v3, for vLLM",
}
FEATURES = {"vllm": ("TextGeneration", "TextEmbedding"), "text-embeddings-inference": ("TextEmbedding",)}
OTHER = {
    "image": ("the engine's image is the ServingRuntime's", "an admin offers one with spec.image"),
    "envFrom": ("variables are named one by one", "write spec.runtime.env, with valueFromSecret for secrets"),
    "files": ("files are not mounted", "put them beside the model, or into the image of a ServingRuntime"),
    "priorityClassName": ("a user's priority could evict others", "spec.priorityClassName of a ServingRuntime"),
    "owner": ("models of the API have no owner", ""),
    "cacheProfile": (
        "a model is not copied to a shared disk",
        "put it on a PersistentVolumeClaim once and name it by model.uri pvc://CLAIM/PATH",
    ),
    "targetRequests": (
        "there is no target to tune: what a replica carries within the SLO is learned",
        "write spec.slo; a hard limit is spec.traffic.maxConcurrency",
    ),
}


def convert(document: dict[str, Any], draft: Draft) -> dict[str, Any] | None:
    """Ours for a Model of KubeAI's; None where there is none, with why in `draft.failed`."""
    spec, found = draft.field("spec"), Gpus()
    draft.out["spec"] = {}
    for key, each in draft.field("metadata", "annotations").fields():
        if "kubeai.org/" in key:
            each.lost("an annotation that KubeAI reads", "see whether a field of spec says the same")
    name = carry_metadata(draft)
    engine = ENGINES.get(spec["engine"].text(), "")
    if engine:
        spec["engine"].became("spec", "runtime", "name", value=engine)
        _source(draft, spec, name)
        _adapters(draft, spec["adapters"])
        carry_args(draft, of_list(spec["args"]), engine, found)
        _env(draft, spec["env"])
        _profile(draft, spec["resourceProfile"], found)
        _features(spec["features"], engine)
        gpus.carry(draft, found)
    else:
        given = spec["engine"].text()
        draft.failed = f"spec.engine: {NOT_SERVED.get(given, 'it names no engine that is known here')}"
    _scaling(draft, spec)
    _balancing(spec["loadBalancing"])
    spec.rest_lost(OTHER)
    draft.field("status").ignored("the server sets it")
    return fit.finish(draft, InferenceService)


def _source(draft: Draft, spec: Field, name: str) -> None:
    url = spec["url"]
    place = place_of(url.text().partition("?")[0])
    if place.wrong:
        draft.failed = f"spec.url: {place.wrong}; {PUT_IT}"
        return
    note = "what follows '?' is not carried over" if "?" in url.text() else ""
    url.became("spec", "model", "uri", value=place.uri, note=note)
    if place.revision:
        draft.put(("spec", "model", "revision"), place.revision)
    if name and draft.got(("metadata", "name")) != name:
        draft.put(("spec", "model", "name"), name)  # by which requests know it
    if not place.uri.startswith("pvc://"):
        draft.differs(
            "KubeAI has logins for hubs and buckets of its own",
            "where the model is gated or private, name a Secret in spec.model.credentialsSecret",
            "spec", "url",
        )  # fmt: skip


def _adapters(draft: Draft, adapters: Field) -> None:
    for each in adapters.items():
        place = place_of(each["url"].text())
        if place.wrong or not each["name"].text():
            each.lost(place.wrong or "it has no name", "name it in spec.model.adapters by hf://, pvc:// or oci://")
            continue
        target = draft.end("spec", "model", "adapters")
        note = "requests ask for it by this name, without the model's name before it"
        each["name"].became(*target, "name", note=note)
        each["url"].became(*target, "uri", value=place.uri)


def _env(draft: Draft, env: Field) -> None:
    for key, each in env.fields():
        if not isinstance(each.value, str):
            each.lost("its value is no text", "write it in quotes")
            continue
        place = draft.end("spec", "runtime", "env")
        draft.put((*place, "name"), key)
        each.became(*place, "value")


def _profile(draft: Draft, profile: Field, found: Gpus) -> None:
    """A profile and how many times, as nvidia-gpu-l4:2."""
    name, _, number = profile.text().partition(":")
    kind = draft.options.profiles.get(name) or PROFILES.get(name, "") or draft.options.accelerator
    if not name:
        return
    if name.startswith("cpu") and not kind:
        profile.lost("ours run on accelerators", "leave it out: sizing takes the cheapest that fits")
    elif not kind:
        profile.lost(f"no Accelerator is known for {name}", f"convert with --accelerator {name}=TYPE")
    else:
        found.types.append((profile, kind))
        found.named("tensor", profile, max(found.degree("tensor"), whole(number) or 1))


def _features(features: Field, engine: str) -> None:
    for each in features.items():
        if each.value in FEATURES[engine]:
            each.built_in("what a model can do is asked of the engine")
        else:
            each.lost(f"{engine} was taken, which does not say that it can", "name the engine in spec.runtime.name")


def _scaling(draft: Draft, spec: Field) -> None:
    place = ("spec", "scaling")
    lowest, highest, replicas = spec["minReplicas"], spec["maxReplicas"], spec["replicas"]
    fewest = lowest.number() or 0
    if spec["autoscalingDisabled"].value is True:
        spec["autoscalingDisabled"].became(*place, "mode", value="fixed")
        number = replicas.number()
        draft.put((*place, "replicas"), 1 if number is None else number)
        if number is not None:
            replicas.counted(*place, "replicas")
        lowest.lost("the number is fixed, by scaling.replicas")
        highest.lost("the number is fixed, by scaling.replicas")
        spec["scaleDownDelaySeconds"].lost("the number is fixed, by scaling.replicas")
        return
    spec["autoscalingDisabled"].built_in("replicas are scaled by the operator")
    replicas.ignored("KubeAI's autoscaler set it")
    draft.put((*place, "minReplicas"), fewest)
    if lowest.number() is not None:
        lowest.counted(*place, "minReplicas")
    if fewest == 0:
        draft.put((*place, "scaleToZeroAfter"), "10m")
        draft.differs(
            "KubeAI keeps none by default and goes there by its mean over 10 minutes; here it is 10m without a request",
            "write spec.scaling.scaleToZeroAfter; requests must come through the built-in gateway to wake it",
            "spec", "minReplicas",
        )  # fmt: skip
    most = highest.number()
    if most:
        note = "" if most >= fewest else "raised to minReplicas"
        highest.became(*place, "maxReplicas", value=max(most, fewest), note=note)
    else:
        draft.differs(
            "KubeAI sets no limit; ours stay at minReplicas, at 1 where that is 0, so that no cost surprises",
            "write spec.scaling.maxReplicas",
            "spec", "maxReplicas",
        )  # fmt: skip
    delay = spec["scaleDownDelaySeconds"]
    if delay.number() is not None and 0 <= (delay.number() or 0) < 1_000_000:
        delay.became(*place, "scaleDown", "after", value=f"{delay.value}s")


def _balancing(balancing: Field) -> None:
    """How requests are dealt: by prefix and load in any case."""
    why = "the gateway deals requests by prefix and load together, within bounds of its own"
    if balancing.value == {}:
        balancing.built_in(why)
    for key, each in balancing.fields():
        if key == "strategy":
            each.built_in(why)
        elif key == "prefixHash":
            each.lost(why, "see docs/traffic.md")
