"""Resources of KServe and KubeAI at random: their known fields, some not of their form, and some that nobody knows.

Drawn from a seeded generator and not field by field by hypothesis, which takes a hundred times as long for such sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Maker = Callable[[Random], Any]


def junk(random: Random, depth: int = 2) -> Any:
    """Anything that JSON can hold."""
    inner = [lambda: [junk(random, depth - 1)], lambda: {text(random): junk(random, depth - 1)}] if depth else []
    return random.choice([lambda: None, lambda: True, lambda: random.randint(-3, 300), lambda: text(random), *inner])()


def text(random: Random) -> str:
    return "".join(random.choices("ab -_.:/=\n\x1b{}[]#é'\"", k=random.randint(0, 6)))


def one_of(*values: Any) -> Maker:
    return lambda random: random.choice(values)


def number(lowest: int, highest: int) -> Maker:
    return lambda random: random.randint(lowest, highest)


def some(item: Maker, most: int = 3) -> Maker:
    return lambda random: [item(random) for _ in range(random.randint(0, most))]


def named(keys: Maker, value: Maker, most: int = 3) -> Maker:
    return lambda random: {keys(random): value(random) for _ in range(random.randint(0, most))}


def mapping(**fields: Maker) -> Maker:
    def made(random: Random) -> dict[str, Any]:
        known = {name: maker(random) for name, maker in fields.items() if random.random() < 0.85}
        for name in known:
            if random.random() < 0.03:
                known[name] = junk(random)
        return {**known, **({text(random) or "new": junk(random)} if random.random() < 0.1 else {})}

    return made


URI = one_of(
    "hf://a/b", "hf://a/b:main", "s3://bucket/x", "pvc://claim/x", "gs://bucket", "oci://r/i:1", "oss://a", "x"
)
QUANTITY = one_of(1, "2", "500m", "64Gi", "1e3", "", -1, "0")
ARGS = some(
    one_of(
        "--model=/mnt/models", "--max-model-len", "4096", "--max_model_len=1", "-tp", "2", "--port",
        "--trust-remote-code", "--tensor-parallel-size=4", "--enable-prefix-caching", "--lora-modules",
        "sql=a/b", "serve", "x y", "--a b",
        "--served-model-name=x", "--quantization=fp8", "--api-key=s", "--max-num-seqs", "--", "-", "", "{{.Name}}",
        "--pipeline-parallel-size=2", "--model_id=c/d", "--revision", "main", "--=", "--log-verbose=1", "--kv.x",
        "--model=c/d", "--model=s3://bucket/y", "--backend=vllm", "--max-num-seqs=64", "--x=--y", "$(HOME)", "-O3", 7,
    ),
    6,
)  # fmt: skip
REFERENCE = mapping(name=one_of("s"), key=one_of("k", "HF_TOKEN"), optional=one_of(True))
VARIABLE = mapping(
    name=one_of("A", "A", "HF_TOKEN", "LD_PRELOAD", "1", "VLLM_ADDITIONAL_ARGS", "MODEL_ID"),
    value=one_of("", "v", "--max-model-len 8192 --x", "c/d", "'"),
)
SECRET = mapping(name=one_of("A", "HF_TOKEN", "B"), valueFrom=mapping(secretKeyRef=REFERENCE))
AMOUNTS = named(
    one_of("cpu", "memory", "nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "ephemeral-storage", "x/y"), QUANTITY
)
CONTAINER: dict[str, Maker] = {
    "name": one_of("kserve-container", "main", "other"),
    "image": one_of("vllm/vllm-openai:v1", "tritonserver", "sglang", "other:latest", "text-embeddings-inference:1"),
    "command": some(one_of("sh", "-c", "vllm", "serve", "python3", "-m", "tritonserver")),
    "args": ARGS,
    "env": lambda random: [*some(VARIABLE)(random), *some(SECRET, 1)(random)],
    "resources": mapping(limits=AMOUNTS, requests=AMOUNTS, claims=junk),
    "startupProbe": mapping(periodSeconds=number(-1, 700), httpGet=junk),
    "securityContext": mapping(runAsUser=number(-1, 1000), privileged=one_of(True, False)),
    "volumeMounts": some(mapping(name=one_of("shm"), mountPath=one_of("/dev/shm", "/x"))),
    "ports": junk,
}
TOLERATION = mapping(
    key=one_of("k", "", "a b"), operator=one_of("Equal", "Exists", "Lt"), value=one_of("", "v", "a b"),
    effect=one_of("NoSchedule", "Never"), tolerationSeconds=one_of(3),
)  # fmt: skip
POD: dict[str, Maker] = {
    "containers": some(mapping(**CONTAINER), 2),
    "tolerations": some(TOLERATION, 2),
    "nodeSelector": named(
        one_of("nvidia.com/gpu.product", "cloud.google.com/gke-spot", "karpenter.sh/capacity-type", "zone"),
        one_of("NVIDIA-L4", "NVIDIA-H200", "true", "spot", "a", 3),
    ),
    "volumes": some(
        mapping(name=one_of("shm"), emptyDir=mapping(medium=one_of("Memory"), sizeLimit=one_of("1Gi", "x")))
    ),
    "serviceAccountName": one_of("a"),
    "imagePullSecrets": some(mapping(name=one_of("a", "B")), 2),
    "affinity": junk,
}
COUNT = one_of(-1, 0, 1, 2, 5, 100, 2000, 10**9)
METADATA = mapping(
    name=one_of("a", "a", "b", "b", "llama", "llama-3.1-8b", "9b", "A_b", "x" * 60, "-", ""),
    namespace=one_of("chat", "Chat", ""),
    labels=named(one_of("a", "a b", "app.kubernetes.io/managed-by"), one_of("v", "a b", "")),
    annotations=named(
        one_of("a", "B/c", "serving.kserve.io/autoscalerClass", "serving.kserve.io/stop", "kubeai.org/x",
               "serving.kserve.io/gke-accelerator", "serving.kserve.io/deploymentMode"),
        one_of("none", "external", "true", "nvidia-l4", "x\ny"),
    ),
    uid=one_of("u"),
    ownerReferences=one_of([{"uid": "a"}]),
)  # fmt: skip
PROTOCOL = one_of("v1", "v2", "openai")
FRAMEWORK = mapping(storageUri=URI, protocolVersion=PROTOCOL, runtimeVersion=text, **CONTAINER)
MODEL = mapping(
    modelFormat=mapping(name=one_of("huggingface", "vLLM", "triton", "onnx", "sklearn"), version=text),
    runtime=one_of("kserve-vllmserver", "kserve-tritonserver", "ours"), storageUri=URI, storage=mapping(key=text),
    protocolVersion=PROTOCOL, **CONTAINER,
)  # fmt: skip
COMMON: dict[str, Maker] = {
    "minReplicas": COUNT, "maxReplicas": COUNT, "scaleTarget": COUNT, "containerConcurrency": COUNT, "timeout": COUNT,
    "canaryTrafficPercent": number(-1, 120), "storageUris": some(mapping(uri=URI, mountPath=text), 2), "logger": junk,
    "workerSpec": mapping(pipelineParallelSize=number(-1, 5), tensorParallelSize=number(-1, 9), **POD), **POD,
}  # fmt: skip
PREDICTOR: tuple[Maker, ...] = (
    mapping(model=MODEL, **COMMON), mapping(triton=FRAMEWORK, **COMMON), mapping(huggingface=FRAMEWORK, **COMMON),
    mapping(onnx=FRAMEWORK, model=MODEL, **COMMON), mapping(**COMMON),
)  # fmt: skip


def kserve(random: Random) -> dict[str, Any]:
    spec = mapping(predictor=random.choice(PREDICTOR), transformer=junk, canary=junk)(random)
    kind = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
    return {**kind, "metadata": METADATA(random), "spec": spec, "status": junk(random)}


def runtime(random: Random) -> dict[str, Any]:
    spec = mapping(
        multiModel=one_of(*[False] * 9, True), disabled=one_of(*[False] * 9, True), protocolVersions=one_of(["v1"]),
        supportedModelFormats=junk, labels=named(one_of("a", "a b"), one_of("v", "a b")), **POD,
    )  # fmt: skip
    kind = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": random.choice(["ServingRuntime", "ClusterServingRuntime"]),
    }
    return {**kind, "metadata": METADATA(random), "spec": spec(random)}


def llm(random: Random) -> dict[str, Any]:
    adapters = some(mapping(name=one_of("x", "y"), uri=URI))
    http = mapping(spec=mapping(hostnames=some(one_of("a.b", "A B")), rules=junk), refs=junk)
    spec = mapping(
        model=mapping(uri=URI, name=one_of("a", "a/b", "a b"), lora=mapping(adapters=adapters, maxRank=COUNT)),
        replicas=COUNT, scaling=mapping(minReplicas=COUNT, maxReplicas=COUNT, wva=junk),
        parallelism=mapping(tensor=number(-1, 9), pipeline=number(-1, 5), expert=one_of(True, False), data=COUNT),
        template=mapping(**POD), worker=mapping(**POD), prefill=junk, baseRefs=junk, storageInitializer=junk,
        router=mapping(
            route=mapping(http=http, weight=COUNT), scheduler=junk,
            gateway=mapping(refs=some(mapping(name=one_of("g"), namespace=one_of("infra", "A")), 2)),
        ),
    )  # fmt: skip
    version = random.choice(["serving.kserve.io/v1alpha1", "serving.kserve.io/v1alpha2"])
    return {"apiVersion": version, "kind": "LLMInferenceService", "metadata": METADATA(random), "spec": spec(random)}


def kubeai(random: Random) -> dict[str, Any]:
    spec = mapping(
        url=one_of("hf://a/b", "pvc://c?x=y", "s3://bucket/a", "ollama://x"),
        engine=one_of("VLLM", "VLLM", "Infinity", "OLlama", "FasterWhisper"),
        resourceProfile=one_of("nvidia-gpu-l4:2", "cpu:1", "nvidia-gpu-t4:1", ":", "nvidia-gpu-h100", "x:y"),
        features=some(one_of("TextGeneration", "TextEmbedding", "SpeechToText")), args=ARGS, replicas=COUNT,
        env=named(one_of("A", "1", "LD_PRELOAD"), one_of("v", "")), minReplicas=COUNT, maxReplicas=COUNT,
        targetRequests=COUNT, scaleDownDelaySeconds=COUNT, autoscalingDisabled=one_of(True, False),
        adapters=some(mapping(name=one_of("x", "y", "a b"), url=URI)), files=junk, owner=text,
        loadBalancing=mapping(strategy=text, prefixHash=junk),
    )  # fmt: skip
    kind = {"apiVersion": "kubeai.org/v1", "kind": "Model"}
    return {**kind, "metadata": METADATA(random), "spec": spec(random), "status": junk(random)}
