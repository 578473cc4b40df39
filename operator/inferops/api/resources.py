"""The four kinds as whole objects: metadata, spec and status, with what kubectl and the CRD need to know of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Metadata, Model
from inferops.api.checks import Rule
from inferops.api.inferencecluster import InferenceClusterSpec, InferenceClusterStatus
from inferops.api.inferenceservice import InferenceServiceSpec
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.servingruntime import ServingRuntimeSpec

NAME_LIMIT = 50  # leaves room for "-" and a hash in the 63 characters of a Service's name and of a label
NAME_START = "^[a-z]([-a-z0-9]*[a-z0-9])?$"  # a Service's name is a DNS-1035 label


class InferenceService(Model):
    """A model to serve, as one object: the operator turns it into running, GPU-scheduled engines."""

    rules = (
        Rule(
            cel=f"size(self.metadata.name) <= {NAME_LIMIT} && self.metadata.name.matches('{NAME_START}')",
            holds=lambda self: (
                len(self.metadata.name) <= NAME_LIMIT and re.search(NAME_START, self.metadata.name) is not None
            ),
            field="metadata.name",
            message=f"must be at most {NAME_LIMIT} characters: lower-case letters, digits and '-', a letter at its "
            "start and no '-' at its end; Services are named after it",
        ),
        Rule(
            cel="has(self.spec.model.name) || self.spec.model.adapters.all(a, a.name != self.metadata.name)",
            holds=lambda self: (
                self.spec.model.name is not None
                or all(adapter.name != self.metadata.name for adapter in self.spec.model.adapters)
            ),
            field="spec.model.adapters",
            message="an adapter has the name of the service, which is the model's own; rename it or set model.name",
        ),
    )

    metadata: Metadata = Field(description="Name, namespace and what the API server adds.")
    spec: InferenceServiceSpec = Field(description="What to serve and how.")
    status: InferenceServiceStatus = Field(
        default_factory=InferenceServiceStatus, description="What the operator saw and did."
    )


class ServingRuntime(Model):
    """An engine as the admin offers it. One of a built-in's name replaces that built-in."""

    metadata: Metadata = Field(description="Name, namespace and what the API server adds.")
    spec: ServingRuntimeSpec = Field(description="The engine and what users may set.")


class Accelerator(Model):
    """A type of GPU or a slice of one. One of a built-in's name replaces that built-in."""

    metadata: Metadata = Field(description="Name, namespace and what the API server adds.")
    spec: AcceleratorSpec = Field(description="The accelerator's facts.")


class InferenceCluster(Model):
    """A member cluster on which services can be placed."""

    metadata: Metadata = Field(description="Name, namespace and what the API server adds.")
    spec: InferenceClusterSpec = Field(description="How the cluster is reached and what it may hold.")
    status: InferenceClusterStatus = Field(
        default_factory=InferenceClusterStatus, description="What the operator knows of the cluster."
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of `kubectl get`. Priority 0 is always shown, 1 with -o wide."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beyond its schema."""

    model: type[Model]
    plural: str
    short: tuple[str, ...]
    namespaced: bool
    columns: tuple[Column, ...]
    status: bool = False
    scale: bool = False
    categories: tuple[str, ...] = ()  # beside the one of all our kinds

    @property
    def name(self) -> str:
        return self.model.__name__

    @property
    def singular(self) -> str:
        return self.name.lower()


def _condition(kind: str) -> str:
    return f".status.conditions[?(@.type=='{kind}')]"


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS: tuple[Kind, ...] = (
    Kind(
        model=InferenceService,
        plural="inferenceservices",
        short=("infs",),
        namespaced=True,
        columns=(
            Column("Ready", _condition("Ready") + ".status"),
            Column("Available", _condition("Available") + ".status"),
            Column("Reason", _condition("Ready") + ".reason"),
            Column("Replicas", ".status.readyReplicas", "integer"),
            Column("Revision", ".status.stableRevision"),
            Column("Rollout", ".status.rollout.phase"),
            Column("Canary", ".status.revisions[?(@.role=='Canary')].weight", "integer"),
            Column("Model", ".spec.model.uri", priority=1),
            Column("URL", ".status.url", priority=1),
            _AGE,
        ),
        status=True,
        scale=True,
        categories=("all",),
    ),
    Kind(
        model=ServingRuntime,
        plural="servingruntimes",
        short=("infsr",),
        namespaced=False,
        columns=(Column("Engine", ".spec.engine"), Column("Image", ".spec.image"), _AGE),
    ),
    Kind(
        model=Accelerator,
        plural="accelerators",
        short=("infacc",),
        namespaced=False,
        columns=(
            Column("Resource", ".spec.resourceName"),
            Column("GiB", ".spec.memoryGiB", "number"),
            Column("USD/h", ".spec.price.usdPerHour", "number"),
            _AGE,
        ),
    ),
    Kind(
        model=InferenceCluster,
        plural="inferenceclusters",
        short=("infc",),
        namespaced=True,
        columns=(
            Column("Region", ".spec.region"),
            Column("Ready", _condition("Ready") + ".status"),
            Column("Reason", _condition("Ready") + ".reason"),
            _AGE,
        ),
        status=True,
    ),
)
