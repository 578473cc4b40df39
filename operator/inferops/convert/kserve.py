"""KServe's InferenceService (serving.kserve.io/v1beta1): one predictor becomes a service, what is around it is told."""

from __future__ import annotations

from typing import Any

from inferops.api.resources import InferenceService
from inferops.convert import fit, gpus
from inferops.convert.arguments import carry_args, of_list
from inferops.convert.engines import by_image, by_name
from inferops.convert.gpus import Gpus
from inferops.convert.ledger import Draft, Field
from inferops.convert.metadata import carry_metadata
from inferops.convert.pods import carry_container, carry_pod
from inferops.convert.sources import PUT_IT, place_of

PREFIX = "serving.kserve.io/"
LEGACY = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
)  # fmt: skip
FORMATS = {
    "huggingface": "vllm",
    "vllm": "vllm",
    "sglang": "sglang",
    "triton": "triton",
    "tensorrt": "triton",
    "onnx": "onnxruntime",
}
NOT_SERVED = "no engine of ours serves {name}: build a Bento of it and name its image, runtime bentoml"
IN_TRITON = ("tensorflow", "pytorch")  # which KServe's Triton takes as well, where it is named
REPOSITORIES = ("triton", "onnxruntime")
SCALING = {
    "scaleTarget": "there is no target to tune: what a replica carries within the SLO is learned",
    "scaleMetric": "replicas follow what is asked for and the SLO",
    "scaleMetricType": "replicas follow what is asked for and the SLO",
    "autoScaling": "replicas follow what is asked for and the SLO",
}
SET_SLO = "write spec.slo; or spec.scaling.mode: external and `inferops render --scaler`"
AROUND = {
    "logger": ("payloads are not logged", "the gateway logs requests without their text (--access-log)"),
    "batcher": ("engines batch by themselves", ""),
    "labels": ("pods' labels are the admin's", "spec.podLabels of a ServingRuntime"),
    "annotations": ("pods have no annotations of users", ""),
    "deploymentStrategy": ("a new version is a rollout", "write spec.rollout.strategy: auto, surge, swap or recreate"),
    "storageContainerName": ("the engine loads the model by itself", "name the source in spec.model.uri"),
    "storageUris": ("a service has one model", "put the others beside it, as spec.model.adapters if they are such"),
    "name": ("variants are revisions, named by their content", ""),
}
MODEL = {
    "runtimeVersion": ("the engine's image is the ServingRuntime's", "an admin offers one with spec.image"),
    "storage": ("a key of the secret storage-config is no source", "write spec.model.uri and credentialsSecret"),
    "confidential": ("models are not decrypted", ""),
    "workerSpec": ("nodes are counted by spec.accelerators", ""),
}
WORKER = "workers are pods like the leader"


def convert(document: dict[str, Any], draft: Draft) -> dict[str, Any] | None:
    """Ours for an InferenceService of KServe's; None where there is none, with why in `draft.failed`."""
    predictor, found = draft.field("spec", "predictor"), Gpus()
    draft.out["spec"] = {}
    _annotations(draft, found)
    name = carry_metadata(draft)
    engine = _model(draft, predictor, found)
    if engine:
        _engine_name(draft, name, engine)
    _workers(predictor["workerSpec"], found)
    carry_pod(draft, predictor, found)
    _scaling(draft, predictor)
    _traffic(draft, predictor)
    predictor.rest_lost(AROUND)
    for key in ("transformer", "explainer"):
        draft.field("spec", key).lost(
            f"there is no {key}: requests go to the engine", "run it as a service of its own, in front of this one"
        )
    draft.field("spec", "canary").lost(
        "a version is not kept beside another by hand", "apply it as the new spec: it rolls out as a canary"
    )
    draft.field("status").ignored("the server sets it")
    if engine:
        gpus.carry(draft, found)
    return fit.finish(draft, InferenceService)


def _engine_name(draft: Draft, name: str, engine: str) -> None:
    """Keep the name by which requests know the model, where the resource had to get another."""
    fitting = draft.got(("metadata", "name"))
    if name and fitting != name and engine not in REPOSITORIES and draft.got(("spec", "model", "name")) is None:
        draft.put(("spec", "model", "name"), name)


def _annotations(draft: Draft, found: Gpus) -> None:
    notes = draft.field("metadata", "annotations")
    for key, each in notes.fields():
        if key == PREFIX + "autoscalerClass":
            _autoscaler(draft, each)
        elif key == PREFIX + "deploymentMode":
            each.built_in("replicas are Deployments, scaled to zero and back by the gateway; there is one mode")
        elif key == PREFIX + "gke-accelerator" and each.text():
            selector = Field(draft, ("metadata", "annotations"), {"cloud.google.com/gke-accelerator": each.text()})
            inner = Gpus()
            gpus.read_selector(inner, selector)
            found.types += [(each, kind) for _, kind in inner.types]
            if not inner.types:
                each.lost("no Accelerator is known by that label", "convert with --accelerator TYPE")
        elif key == PREFIX + "enable-prometheus-scraping":
            each.built_in("engines' metrics are scraped by a PodMonitor")
        elif key == PREFIX + "stop" and each.value == "true":
            each.became("spec", "scaling", "mode", value="fixed")
            draft.put(("spec", "scaling", "replicas"), 0)
        elif key.startswith(
            (PREFIX, "autoscaling.knative.dev/", "serving.knative.dev/", "sidecar.istio.io/", "prometheus")
        ):
            each.lost("an annotation that KServe, Knative or Istio reads", "see whether a field of spec says the same")


def _autoscaler(draft: Draft, each: Field) -> None:
    if each.value == "external":
        each.became("spec", "scaling", "mode")
    elif each.value == "none":
        each.became("spec", "scaling", "mode", value="fixed", note="with minReplicas as replicas")
        replicas = draft.field("spec", "predictor", "minReplicas").number()
        draft.put(("spec", "scaling", "replicas"), 1 if replicas is None else replicas)
    else:
        each.lost("replicas are scaled by the operator, by what is asked for and the SLO", SET_SLO)


def _model(draft: Draft, predictor: Field, found: Gpus) -> str:
    """Carry the model and its engine. Returns the engine; empty: it has failed."""
    legacy = [key for key in LEGACY if predictor[key]]
    if predictor["model"]:
        return _of_format(draft, predictor, predictor["model"], "", found)
    if legacy:
        return _of_format(draft, predictor, predictor[legacy[0]], legacy[0], found)
    if predictor["containers"].items():
        return _custom(draft, predictor["containers"], found)
    draft.failed = "spec.predictor: it names no model"
    return ""


def _of_format(draft: Draft, predictor: Field, model: Field, legacy: str, found: Gpus) -> str:
    name = legacy or model["modelFormat"]["name"].text().lower()
    runtime = model["runtime"]
    engine = _named_runtime(draft, runtime) or FORMATS.get(name, "")
    if not engine:
        told = NOT_SERVED.format(name=name or "a model without a format")
        other = "; or put it into a model repository and name runtime triton" if name in IN_TRITON else ""
        draft.failed = f"{'.'.join(map(str, model.path))}: {told}{other}"
        return ""
    if draft.got(("spec", "runtime", "name")) is None:
        draft.put(("spec", "runtime", "name"), engine)
    target = ("spec", "runtime", "name")
    if model["modelFormat"]["name"].text():
        model["modelFormat"]["name"].counted(*target)
    model["modelFormat"]["version"].lost(
        "an engine's version is its image's", "an admin offers a ServingRuntime with it"
    )
    _protocol(model["protocolVersion"], engine)
    _source(draft, predictor, model, engine)
    words = of_list(model["args"])
    if engine == "vllm" and draft.got(("spec", "model", "uri")) is None:
        words += _model_id(model["env"])
    if _shell(model):
        model["args"].lost("they are a shell's", "write the engine's arguments in spec.runtime.args")
        words = []
    carry_args(draft, words, engine, found)
    if draft.got(("spec", "model", "uri")) is None and not draft.failed:
        draft.failed = (
            f"{'.'.join(map(str, model.path))}: neither storageUri nor an argument names a model; write storageUri"
        )
    carry_container(draft, model, found)
    model.rest_lost(MODEL)
    return engine


def _shell(model: Field) -> bool:
    first = model["command"][0].text().rpartition("/")[2]
    return first in ("sh", "bash", "dash")


def _model_id(env: Field) -> list[tuple[Field, str]]:
    """The model that KServe's huggingfaceserver takes from a variable."""
    for each in env.items():
        if each["name"].value == "MODEL_ID" and each["value"].text():
            each["name"].built_in("its value is the model")
            return [(each["value"], f"--model-id={each['value'].text()}")]
    return []


def _named_runtime(draft: Draft, runtime: Field) -> str:
    """The engine of the runtime that is named: one of the same input, or one whose name tells it."""
    name = runtime.text()
    if not name:
        return ""
    if name in draft.runtimes:
        runtime.became("spec", "runtime", "name", note="the ServingRuntime of that name in this input")
        return draft.runtimes[name]
    engine = by_name(name)
    if engine:
        note = "the built-in one; arguments, image and resources of the old runtime are not in this input"
        runtime.became("spec", "runtime", "name", value=engine, note=note)
    else:
        runtime.lost("that runtime is not in this input", "convert it together with this, or have an admin offer it")
    return engine


def _protocol(protocol: Field, engine: str) -> None:
    if engine in REPOSITORIES and protocol.value in ("v2", "grpc-v2"):
        protocol.built_in("Triton speaks it")
    elif protocol.value == "openai":
        protocol.built_in("the engine speaks it")
    else:
        spoken = "the open inference protocol (v2)" if engine in REPOSITORIES else "the OpenAI API"
        protocol.lost(f"requests come by {spoken}", "change the clients")


def _source(draft: Draft, predictor: Field, model: Field, engine: str) -> None:
    stored = model["storageUri"]
    if not stored and len(predictor["storageUris"].items()) == 1:
        single = predictor["storageUris"][0]
        stored = single["uri"]
        single["mountPath"].built_in("the operator mounts the model and tells the engine where")
    if not stored:
        return
    place = place_of(stored.text())
    if place.wrong:
        draft.failed = f"{'.'.join(map(str, stored.path))}: {place.wrong}; {PUT_IT}"
        return
    note = ""
    if place.uri.startswith(("s3://", "gs://")):
        note = "name the Secret with its keys in model.credentialsSecret; KServe takes it from the ServiceAccount"
    stored.became("spec", "model", "uri", value=place.uri, note=note)
    if place.revision:
        draft.put(("spec", "model", "revision"), place.revision)
    if engine in REPOSITORIES:
        draft.differs(
            "the folder must be a model repository: NAME/VERSION/model.onnx, .plan, …", "", "spec", "predictor"
        )


def _custom(draft: Draft, containers: Field, found: Gpus) -> str:
    """A predictor of containers: the engine is told by the image."""
    every = containers.items()
    chosen = next((each for each in every if each["name"].value == "kserve-container"), every[0])
    engine = by_image(chosen)
    if not engine:
        draft.failed = "spec.predictor.containers: no engine of ours is known by this image; " + NOT_SERVED.format(
            name="what is in it"
        )
        return ""
    draft.put(("spec", "runtime", "name"), engine)
    words = of_list(chosen["command"]) + of_list(chosen["args"]) if not _shell(chosen) else []
    carry_args(draft, _after_command(words), engine, found)
    carry_container(draft, chosen, found)
    if not chosen["args"].said():
        chosen["args"].lost("they are a shell's", "write them in spec.runtime.args")
    uri = draft.got(("spec", "model", "uri"))
    if uri and uri.startswith("hf://") and engine in ("vllm", "sglang"):
        model = draft.out["spec"]["model"]
        model.setdefault("name", uri.removeprefix("hf://"))  # by which requests know it, where nobody said another
    if uri is None:
        draft.failed = "spec.predictor.containers: no argument names a model that ours could load; write spec.model.uri"
    return engine


def _after_command(words: list[tuple[Field, str]]) -> list[tuple[Field, str]]:
    """What follows the program in a container's command."""
    number = next((place for place, (_, word) in enumerate(words) if word.startswith("--")), len(words))
    before = words[:number]
    kept = [
        pair for pair in before if "/" in pair[1] and not pair[1].startswith("/") and "." not in pair[1].split("/")[0]
    ]
    for each, word in before:
        if (each, word) not in kept and not each.said():
            each.built_in("the engine's own command is used")
    return [*kept, *words[number:]]


def _workers(workers: Field, found: Gpus) -> None:
    """Pods of a replica that spans nodes, of which each has as many GPUs."""
    if not workers:
        return
    pipeline, tensor = workers["pipelineParallelSize"], workers["tensorParallelSize"]
    if pipeline.number():
        found.nodes = max(pipeline.number() or 1, 1)
        found.named("pipeline", pipeline, found.nodes)
    if tensor.number():
        found.named("tensor", tensor, max(tensor.number() or 1, 1))
    for name, each in workers.fields():
        if name not in ("pipelineParallelSize", "tensorParallelSize"):
            each.lost(WORKER, "")


def _scaling(draft: Draft, predictor: Field) -> None:
    lowest, highest, place = predictor["minReplicas"], predictor["maxReplicas"], ("spec", "scaling")
    fewest = lowest.number()
    if fewest is not None and fewest >= 0:
        lowest.became(*place, "minReplicas")
    if fewest == 0 and draft.got((*place, "mode")) is None:
        draft.put((*place, "scaleToZeroAfter"), "10m")
        draft.differs(
            "Knative goes to zero after 60 s without a request; here it is 10m, since a model takes minutes to load",
            "write spec.scaling.scaleToZeroAfter; requests must come through the built-in gateway to wake it",
            "spec", "predictor", "minReplicas",
        )  # fmt: skip
    most = highest.number()
    if most:
        note = "" if most >= (fewest or 0) else "raised to minReplicas"
        highest.became(*place, "maxReplicas", value=max(most, fewest or 0), note=note)
    else:
        highest.built_in("0 is no limit in Knative; here maxReplicas is minReplicas, so that no cost surprises")
        draft.differs(
            "without a limit Knative adds replicas as it likes; ours stay at minReplicas, so that no cost surprises",
            "write spec.scaling.maxReplicas",
            "spec", "predictor", "maxReplicas",
        )  # fmt: skip
    for name, why in SCALING.items():
        predictor[name].lost(why, SET_SLO)


def _traffic(draft: Draft, predictor: Field) -> None:
    limit, timeout = predictor["containerConcurrency"], predictor["timeout"]
    if limit.number():
        limit.became("spec", "traffic", "maxConcurrency")
    elif limit.number() == 0:
        limit.built_in("0 is no limit, as in ours where it is left out")
    if timeout.number():
        timeout.became("spec", "traffic", "requestTimeout", value=f"{timeout.value}s")
    else:
        draft.differs(
            "KServe ends a request after 60 s behind an HTTPRoute and 300 s in Knative; ours after 1h",
            "write spec.traffic.requestTimeout",
            "spec", "predictor", "timeout",
        )  # fmt: skip
    share = predictor["canaryTrafficPercent"]
    percent = share.number()
    if percent is None:
        return
    if 0 <= percent <= 99:
        note = "applied over the version that serves now, it gets so much and waits for `inferops rollout resume`"
        share.became("spec", "rollout", "gates", 0, "at", value=[percent], note=note)
        draft.put(("spec", "rollout", "gates", 0, "name"), "canary-traffic-percent")
        draft.put(("spec", "rollout", "gates", 0, "manual"), True)
        if percent:
            draft.put(("spec", "rollout", "steps"), [{"weight": percent}])
    elif percent == 100:
        share.built_in("a new version gets all requests once it is shown to be no worse")
