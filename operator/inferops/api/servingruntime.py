"""ServingRuntime: an engine as the admin offers it: image, defaults, probes, drain, and what users may set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import ComputeResources, EnvVars, Model
from inferops.api.checks import Rule
from inferops.api.formats import Argument, Bytes, Cpu, Flag, Image, Labels, ObjectName


class ProbeTimes(Model):
    """How often a probe runs and when it gives up."""

    period_seconds: int = Field(default=10, ge=1, le=600, description="Seconds between two probes.")
    timeout_seconds: int = Field(default=5, ge=1, le=600, description="Seconds until a probe counts as failed.")
    failure_threshold: int = Field(default=3, ge=1, le=10_000, description="Failures in a row until it acts.")


class StartupTimes(ProbeTimes):
    """Times of the startup probe: half an hour to load the model."""

    failure_threshold: int = Field(default=180, ge=1, le=10_000, description="Failures in a row until it restarts.")


class ReadinessTimes(ProbeTimes):
    """Times of the readiness probe."""

    period_seconds: int = Field(default=5, ge=1, le=600, description="Seconds between two probes.")


class LivenessTimes(ProbeTimes):
    """Times of the liveness probe: a busy engine answers late and is not restarted for it."""

    timeout_seconds: int = Field(default=10, ge=1, le=600, description="Seconds until a probe counts as failed.")
    failure_threshold: int = Field(default=6, ge=1, le=10_000, description="Failures in a row until it restarts.")


class Probes(Model):
    """The engine's probes. Paths and ports are the engine's own."""

    startup: StartupTimes = Field(
        default_factory=StartupTimes,
        description="Until the model is loaded: period x threshold is the longest load that is waited for.",
    )
    readiness: ReadinessTimes = Field(default_factory=ReadinessTimes, description="Whether it gets requests.")
    liveness: LivenessTimes = Field(default_factory=LivenessTimes, description="Whether it is restarted.")


class Drain(Model):
    """How a replica goes away without losing a request."""

    pre_stop_seconds: int = Field(
        default=15,
        ge=0,
        le=3600,
        description="Seconds between the replica's removal from the endpoints and its SIGTERM: "
        "the time that load balancers need to notice.",
    )
    timeout_seconds: int = Field(
        default=120, ge=0, le=86_400, description="Seconds that requests in flight get to finish after SIGTERM."
    )


class RuntimeResources(ComputeResources):
    """CPU and memory for each accelerator of a replica."""

    cpu: Cpu = Field(default="4", description="CPU request, for example `8`; no limit is set.")
    memory: Bytes = Field(default="32Gi", description="Memory request and limit, for example `64Gi`.")


class AllowedArgs(Model):
    """Which arguments users may pass. Those that the operator sets are refused in any case."""

    allow: list[Flag] = Field(
        default_factory=lambda: ["*"],
        max_length=256,
        description="Flags that users may pass; a trailing * stands for any ending.",
    )
    deny: list[Flag] | None = Field(
        default=None,
        max_length=256,
        description="Flags that users may not pass, stronger than `allow`; left out: those of the engine that "
        "load code, read files or weaken its security.",
    )


class ServingRuntimeSpec(Model):
    """An engine as the admin offers it. What is left out is the engine's built-in default."""

    rules = (
        Rule(
            cel="!has(self.image) || !self.image.endsWith(':latest')",
            holds=lambda self: self.image is None or not self.image.endswith(":latest"),
            field="image",
            message="the tag latest changes under running services; name a version or a digest",
        ),
    )
    engine: Literal[
        "vllm", "sglang", "tensorrt-llm", "triton", "onnxruntime", "text-embeddings-inference", "bentoml"
    ] = Field(description="The engine, which decides arguments, ports, probes, metrics.")
    image: Image | None = Field(default=None, description="The engine's image; left out: the built-in one.")
    image_pull_secrets: list[ObjectName] = Field(
        default_factory=list, max_length=8, description="Secrets for pulling it, in the namespace of the service."
    )
    command: list[Argument] | None = Field(
        default=None, max_length=16, description="The container's command; left out: the engine's own."
    )
    args: list[Argument] = Field(
        default_factory=list, max_length=64, description="Arguments passed to every service, before the user's."
    )
    user_args: AllowedArgs = Field(default_factory=AllowedArgs, description="Which arguments users may pass.")
    env: EnvVars = Field(default_factory=list, description="Environment variables of every service; the user's win.")
    probes: Probes = Field(default_factory=Probes, description="How often probes run and when they give up.")
    drain: Drain = Field(default_factory=Drain, description="How a replica goes away.")
    resources: RuntimeResources = Field(
        default_factory=RuntimeResources, description="CPU and memory for each accelerator of a replica."
    )
    shared_memory: Bytes = Field(
        default="16Gi", description="Size of /dev/shm, through which the processes of tensor parallelism talk."
    )
    run_as_user: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="User id of the container; left out: the engine's own."
    )
    pod_labels: Labels = Field(default_factory=dict, description="Further labels of the pods.")
    priority_class_name: ObjectName | None = Field(default=None, description="Priority class of the pods.")
