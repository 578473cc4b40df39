"""What decisions see, built by hand: services, nodes, pods, revisions, observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.conditions import Condition, Reason
from inferops.api.inferenceservice import AcceleratorChoice
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.resources import InferenceService
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.core.engine import Obstacle
from inferops.core.observation import NodeView, Observation, PodView, RevisionView, WorkloadView
from inferops.core.revision import RevisionSpec, revision_of

NOW = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
LONG = timedelta(hours=1)
MODEL = {"uri": "hf://Qwen/Qwen3-8B"}
# A new revision takes over once it is ready, and nothing is left of the one before.
AT_ONCE = {"steps": [], "retainPrevious": "0s"}
REFUSED_ARGUMENT = "--refused"


def accelerator(label: str, *values: str, resource: str = "nvidia.com/gpu", **more: Any) -> AcceleratorSpec:
    facts = {"memoryGiB": 24, "bandwidthGBps": 300, "tflops": {"bf16": 100}}
    labels = [{"key": label, "values": list(values)}]
    return AcceleratorSpec.model_validate({"nodeLabels": labels, "resourceName": resource, **facts, **more})


PRODUCT = "nvidia.com/gpu.product"
SLICE = "nvidia.com/mig-1g.10gb"
ACCELERATORS = {
    "l4": accelerator(PRODUCT, "NVIDIA-L4"),
    "h100": accelerator(PRODUCT, "NVIDIA-H100", "NVIDIA-H100-SXM"),
    "mig": accelerator(f"{SLICE}.product", "H100-MIG-1g.10gb", resource=SLICE, slice=True),
}
LABELS = {
    "l4": {PRODUCT: "NVIDIA-L4"},
    "h100": {PRODUCT: "NVIDIA-H100-SXM"},
    "mig": {PRODUCT: "NVIDIA-H100", f"{SLICE}.product": "H100-MIG-1g.10gb"},
}


@dataclass(frozen=True)
class AnyEngine:
    """An engine that takes everything but one argument."""

    name: str = "vllm"
    http_alone: bool = True

    def memory_share(self, runtime: ServingRuntimeSpec, args: Sequence[str]) -> float | None:
        return 0.9

    def obstacle(
        self, revision: RevisionSpec, runtime: ServingRuntimeSpec, accelerator: AcceleratorSpec
    ) -> Obstacle | None:
        if REFUSED_ARGUMENT not in revision.runtime.args:
            return None
        return Obstacle(Reason.ARGUMENT_NOT_ALLOWED, f"spec.runtime.args[0]: {REFUSED_ARGUMENT} is refused; remove it")


def service(
    *choices: Any,
    status: InferenceServiceStatus | None = None,
    generation: int = 1,
    model: Mapping[str, Any] = MODEL,
    **spec: Any,
) -> InferenceService:
    """A service that runs on `choices` (types, or whole choices); without any on one L4."""
    accelerators = [{"type": choice} if isinstance(choice, str) else choice for choice in choices or ("l4",)]
    parsed = InferenceService.model_validate(
        {
            "metadata": {"name": "llama", "namespace": "chat", "uid": "uid-1", "generation": generation},
            "spec": {"model": model, "accelerators": accelerators, "rollout": AT_ONCE, **spec},
        }
    )
    return parsed if status is None else parsed.model_copy(update={"status": status})


def choice(type_: str = "l4", count: int = 1, spot: bool = False, nodes: int = 1) -> AcceleratorChoice:
    return AcceleratorChoice(type=type_, count=count, spot=spot, nodes=nodes)


def node(name: str = "node-1", type_: str = "l4", count: int = 8, *, spot: bool = False, **facts: Any) -> NodeView:
    """A node with `count` accelerators of a type; of another type: a node without any."""
    labels = {"kubernetes.io/hostname": name, **LABELS.get(type_, {})}
    if spot:
        labels["karpenter.sh/capacity-type"] = "spot"
    resource = ACCELERATORS[type_].resource_name if type_ in ACCELERATORS else "example.com/other"
    return NodeView(name, labels, {resource: count}, **facts)


def pods(revision: str, ready: int = 0, loading: int = 0, homeless: int = 0, **facts: Any) -> tuple[PodView, ...]:
    """Pods of a revision: ready ones, ones on a node, ones without; `facts` are of those that are not ready."""
    states = [*[(True, True)] * ready, *[(True, False)] * loading, *[(False, False)] * homeless]
    return tuple(
        PodView(f"llama-{revision}-{number}", revision, node="node-1", ready=True, started=True, ready_since=NOW - LONG)
        if is_ready
        else PodView(
            f"llama-{revision}-{number}", revision, node="node-1" if placed else "", **{"started": placed, **facts}
        )
        for number, (placed, is_ready) in enumerate(states)
    )


def revision(
    of: InferenceService | RevisionSpec, order: int = 1, *, record: bool = True, failure: str = "", **states: Any
) -> RevisionView:
    """A revision that exists, with its Deployment and its pods (see `pods`)."""
    spec = of if isinstance(of, RevisionSpec) else revision_of(of.spec, of.spec.accelerators[0])
    return RevisionView(
        hash=spec.hash,
        spec=spec if record else None,
        image="vllm/vllm-openai:v1" if record else "",
        order=order if record else 0,
        workload=WorkloadView(failure=failure),
        pods=pods(spec.hash, **states),
    )


def seen(
    of: InferenceService, *revisions: RevisionView, nodes: Sequence[NodeView] = (node(),), **more: Any
) -> Observation:
    """What is seen of a service. `routed_to` and `stable` (as on record) may be given as revisions."""
    if (stable := more.pop("stable", None)) is not None:
        status = of.status.model_copy(update={"stable_revision": stable.hash})
        of = of.model_copy(update={"status": status})
    if isinstance(more.get("routed_to"), RevisionView):
        more["routed_to"] = more["routed_to"].hash
    known: dict[str, Any] = {
        "runtime": ServingRuntimeSpec(engine="vllm", image="vllm/vllm-openai:v1"),
        "runtime_names": ("triton", "vllm"),
        "engine": AnyEngine(),
        "accelerators": ACCELERATORS,
    }
    return Observation(of, NOW, nodes=tuple(nodes), revisions=revisions, **{**known, **more})


def by_type(conditions: Iterable[Condition]) -> dict[str, Condition]:
    return {condition.type: condition for condition in conditions}


def told(conditions: Iterable[Condition]) -> dict[str, tuple[str, str]]:
    """Status and reason by type."""
    return {condition.type: (condition.status, condition.reason) for condition in conditions}
