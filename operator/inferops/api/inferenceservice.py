"""InferenceService: what to serve, on which GPUs, and how to scale, roll out, place and route it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import ComputeResources, EnvVars, Model, Toleration
from inferops.api.checks import Rule, Unique
from inferops.api.formats import (
    Argument,
    ConfigMapKeyName,
    ModelName,
    ModelRevision,
    ModelUri,
    ObjectName,
    PositiveDuration,
)
from inferops.api.placement import PlacementSpec
from inferops.api.rollout import RolloutSpec
from inferops.api.scaling import ScalingSpec
from inferops.api.traffic import TrafficSpec

STAYS_BELOW = Rule(
    cel="!self.uri.contains('/../') && !self.uri.endsWith('/..')",
    holds=lambda self: ".." not in self.uri.split("/"),
    field="uri",
    message="'..' is not allowed in a path; name the folder itself",
)


class AdapterSpec(Model):
    """A LoRA adapter: served beside the model, under a name of its own."""

    rules = (STAYS_BELOW,)
    name: ModelName = Field(description="The name by which requests ask for the adapter.")
    uri: ModelUri = Field(
        description="Where the adapter is: hf://ORG/ADAPTER (with the model's HF_TOKEN), pvc://CLAIM/PATH or "
        "oci://REGISTRY/IMAGE:TAG."
    )
    rank: Annotated[int, Field(ge=1, le=512)] | None = Field(
        default=None, description="Its rank, `r` in its adapter_config.json; left out: at most 16."
    )


class ModelConfig(Model):
    """A model's config.json in a ConfigMap of the same namespace."""

    name: ObjectName = Field(description="The ConfigMap's name.")
    key: ConfigMapKeyName = Field(default="config.json", description="The key within the ConfigMap.")


class ModelSpec(Model):
    """The model: where its files are and how the engine is to load it."""

    rules = (
        STAYS_BELOW,
        Rule(
            cel="!has(self.revision) || self.uri.startsWith('hf://')",
            holds=lambda self: self.revision is None or self.uri.startswith("hf://"),
            field="revision",
            message="only an hf:// model has revisions; for s3, gs and pvc name the folder, "
            "for oci the tag or digest, in model.uri",
        ),
        Rule(
            cel="!has(self.name) || self.adapters.all(a, a.name != self.name)",
            holds=lambda self: all(adapter.name != self.name for adapter in self.adapters),
            field="adapters",
            message="an adapter has the model's own name; rename one of them",
        ),
    )
    uri: ModelUri = Field(
        description="Where the model is: hf://ORG/MODEL, s3://BUCKET/PATH, gs://BUCKET/PATH, pvc://CLAIM/PATH "
        "(a PersistentVolumeClaim in the same namespace) or oci://REGISTRY/IMAGE:TAG (mounted as an image volume; "
        "for bentoml the Bento's own image)."
    )
    name: ModelName | None = Field(
        default=None, description="The model's name in requests; left out: the name of the InferenceService."
    )
    revision: ModelRevision | None = Field(
        default=None,
        description="Commit, branch or tag of an hf:// model. Give a commit: a branch can change under the service.",
    )
    quantization: Literal["auto", "fp8", "int8", "awq", "gptq", "nvfp4"] | None = Field(
        default=None,
        description="How weights are quantized; left out: as the checkpoint says. auto: sizing may have a 16-bit "
        "checkpoint quantized to fp8 while it is loaded, where that is cheaper.",
    )
    max_model_len: Annotated[int, Field(ge=1, le=16_777_216)] | None = Field(
        default=None,
        description="Longest context in tokens, prompt and answer together; left out: the model's own limit.",
    )
    credentials_secret: ObjectName | None = Field(
        default=None,
        description="A Secret of the same namespace with what the source needs: key HF_TOKEN for hf://, "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL, AWS_DEFAULT_REGION) for s3://, "
        "key credentials.json (a service account) for gs://, a login (kubernetes.io/dockerconfigjson) for oci://.",
    )
    config: ModelConfig | None = Field(
        default=None,
        description="The model's config.json, for sizing alone: give it where the model is gated, private or not on a "
        "hub. A key hf_quant_config.json beside it is read too. It makes no new revision. Left out: as the built-in "
        "table or the hub tells.",
    )
    adapters: Annotated[list[AdapterSpec], Field(max_length=32), Unique("name")] = Field(
        default_factory=list[AdapterSpec],
        description="LoRA adapters served beside the model, by engines that can (vllm, sglang).",
    )


class RuntimeSpec(Model):
    """Which engine serves the model, and what to tell it."""

    name: ObjectName = Field(
        default="vllm",
        description="A ServingRuntime: a built-in one (vllm, sglang, tensorrt-llm, triton, onnxruntime, "
        "text-embeddings-inference, bentoml) or one of the admin's.",
    )
    args: list[Argument] = Field(
        default_factory=list,
        max_length=64,
        description="Arguments for the engine, one word an item, never a shell. Arguments that the operator sets "
        "itself, or that the ServingRuntime does not allow, are refused.",
    )
    env: EnvVars = Field(default_factory=list, description="Environment variables of the engine's container.")
    resources: ComputeResources = Field(
        default_factory=ComputeResources,
        description="CPU and memory of the engine's container; left out: as the ServingRuntime says, times the GPUs.",
    )


class AcceleratorChoice(Model):
    """One way to run a replica: so many accelerators of a type."""

    rules = (
        Rule(
            cel="self.count % self.nodes == 0",
            holds=lambda self: self.count % self.nodes == 0,
            field="nodes",
            message="must divide count, the accelerators of the whole replica, for example count: 16 with nodes: 2; "
            "change one of them",
        ),
    )
    type: ObjectName = Field(description="An Accelerator: a built-in type such as nvidia-h100-80gb, or the admin's.")
    count: int = Field(
        default=1, ge=1, le=64, description="Accelerators of one replica, over all of its nodes together."
    )
    nodes: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Nodes that one replica spans, with equal shares of `count`. More than one makes it a "
        "LeaderWorkerSet, which must be installed in the cluster.",
    )
    spot: bool = Field(
        default=False, description="Whether to run on spot nodes. False never lands on them, true only on them."
    )


class SLOSpec(Model):
    """What users are promised. Rollouts are judged and replicas are counted by it."""

    rules = (
        # A rule and not a bound of the schema: the API server would tell of a bound without its decimals.
        Rule(
            cel="self.attainment >= 0.5 && self.attainment <= 0.99999",
            holds=lambda self: 0.5 <= self.attainment <= 0.99999,
            field="attainment",
            message="must be a share from 0.5 to 0.99999, for example 0.99 for 99 of 100 requests",
        ),
    )
    ttft: PositiveDuration | None = Field(default=None, description="Time to first token, for example 800ms.")
    tpot: PositiveDuration | None = Field(
        default=None, description="Time per output token after the first, for example 50ms."
    )
    error_rate: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Share of requests that may fail, for example 0.001."
    )
    attainment: float = Field(default=0.99, description="Share of requests that are to meet ttft and tpot.")


class LoadSpec(Model):
    """The traffic that sizing reckons with."""

    concurrency: int = Field(default=16, ge=1, le=1_000_000, description="Requests at once, over all replicas.")
    prompt_tokens: int = Field(default=1024, ge=1, le=16_777_216, description="Tokens of a usual prompt.")
    output_tokens: int = Field(default=256, ge=1, le=16_777_216, description="Tokens of a usual answer.")


class InferenceServiceSpec(Model):
    """What to serve and how. Everything but `model.uri` has a default."""

    rules = (
        Rule(
            cel="self.accelerators.all(a, self.accelerators.exists_one(b, "
            "a.type == b.type && a.count == b.count && a.nodes == b.nodes && a.spot == b.spot))",
            holds=lambda self: (
                len({(a.type, a.count, a.nodes, a.spot) for a in self.accelerators}) == len(self.accelerators)
            ),
            field="accelerators",
            message="the same choice stands twice; remove one of them",
        ),
        Rule(
            cel="self.scaling.mode != 'latency' || has(self.slo.ttft) || has(self.slo.tpot)",
            holds=lambda self: self.scaling.mode != "latency" or self.slo.ttft is not None or self.slo.tpot is not None,
            field="scaling.mode",
            message="latency needs slo.ttft or slo.tpot to go by; set one of them or choose another mode",
        ),
    )
    model: ModelSpec = Field(description="The model to serve.")
    runtime: RuntimeSpec = Field(default_factory=RuntimeSpec, description="The engine that serves it.")
    accelerators: list[AcceleratorChoice] = Field(
        default_factory=list,
        max_length=8,
        description="Accelerators of a replica, in order of preference; left out: the cheapest that fits.",
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=64,
        description="Taints of nodes that the pods tolerate, beside those that the Accelerator has. A change restarts "
        "nothing: the next revision has it.",
    )
    slo: SLOSpec = Field(default_factory=SLOSpec, description="Service level objectives.")
    load: LoadSpec = Field(default_factory=LoadSpec, description="The traffic that sizing reckons with.")
    scaling: ScalingSpec = Field(default_factory=ScalingSpec, description="How many replicas.")
    rollout: RolloutSpec = Field(default_factory=RolloutSpec, description="How new revisions are rolled out.")
    placement: PlacementSpec = Field(default_factory=PlacementSpec, description="In which clusters.")
    traffic: TrafficSpec = Field(default_factory=TrafficSpec, description="How requests reach it.")
