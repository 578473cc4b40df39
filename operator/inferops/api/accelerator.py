"""Accelerator: a type of GPU, or a slice of one: how its nodes are recognised, what it can do, what it costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import Model, Toleration
from inferops.api.checks import Rule
from inferops.api.formats import AttributeName, AttributeValue, Day, LabelKey, LabelValue, ObjectName, ResourceName


class NodeLabel(Model):
    """A label by which a node with this accelerator is recognised."""

    key: LabelKey = Field(description="The label's key, for example nvidia.com/gpu.product.")
    values: list[LabelValue] = Field(min_length=1, max_length=16, description="Values that mean this accelerator.")


class Throughput(Model):
    """Dense arithmetic throughput by precision, in TFLOPS (TOPS for int8). Left out: not supported."""

    rules = (
        Rule(
            cel="has(self.bf16) || has(self.fp8) || has(self.int8) || has(self.fp4)",
            holds=lambda self: any((self.bf16, self.fp8, self.int8, self.fp4)),
            field="bf16",
            message="at least one precision is needed, else no speed can be told; give bf16, for example 121",
        ),
    )
    bf16: Annotated[float, Field(gt=0)] | None = Field(default=None, description="bfloat16 and float16.")
    fp8: Annotated[float, Field(gt=0)] | None = Field(default=None, description="8-bit floating point.")
    int8: Annotated[float, Field(gt=0)] | None = Field(default=None, description="8-bit integers.")
    fp4: Annotated[float, Field(gt=0)] | None = Field(default=None, description="4-bit floating point.")


class Price(Model):
    """What an hour costs."""

    usd_per_hour: float = Field(ge=0, description="US dollars an hour for one accelerator, on demand.")
    spot_usd_per_hour: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="US dollars an hour for one accelerator on spot nodes."
    )
    date: Day = Field(description="Day of the price, YYYY-MM-DD.")


class DeviceAttribute(Model):
    """An attribute of a device, as its driver publishes it."""

    name: AttributeName = Field(description="The attribute's name in the driver's own domain, such as productName.")
    values: list[AttributeValue] = Field(
        min_length=1, max_length=16, description="Texts that mean this accelerator, such as NVIDIA H100 80GB HBM3."
    )


class DeviceSpec(Model):
    """How an accelerator is claimed by dynamic resource allocation (DRA)."""

    class_name: ObjectName = Field(description="The DeviceClass, for example gpu.nvidia.com.")
    driver: ObjectName = Field(
        default="gpu.nvidia.com", description="The driver whose ResourceSlices list the devices."
    )
    attributes: list[DeviceAttribute] = Field(
        default_factory=list, max_length=8, description="Attributes that all must hold; left out: any of the driver's."
    )


class AcceleratorSpec(Model):
    """The facts of one accelerator type."""

    vendor: Literal["nvidia", "amd"] = Field(default="nvidia", description="Who makes it.")
    node_labels: list[NodeLabel] = Field(
        min_length=1,
        max_length=8,
        description="How its nodes are recognised: a node has the accelerator when any one of these labels matches.",
    )
    resource_name: ResourceName = Field(
        default="nvidia.com/gpu",
        description="The extended resource that pods request, for example nvidia.com/mig-1g.10gb for a MIG slice.",
    )
    device: DeviceSpec | None = Field(
        default=None,
        description="How pods claim it where no node offers the extended resource but drivers list such devices in "
        "ResourceSlices (DRA, Kubernetes 1.34 and later).",
    )
    slice: bool = Field(
        default=False,
        description="Whether it is a slice of a GPU (MIG). Slices have no link among them: no tensor parallelism.",
    )
    memory_gib: Annotated[float, Field(gt=0, alias="memoryGiB")] = Field(description="Memory of one, in GiB.")
    bandwidth_gbps: Annotated[float, Field(gt=0, alias="bandwidthGBps")] = Field(
        description="Memory bandwidth of one, in GB/s."
    )
    link_gbps: Annotated[float, Field(gt=0, alias="linkGBps")] = Field(
        default=32,
        description="Bandwidth between two of one node in one direction, in GB/s: 450 for NVLink of an H100, "
        "32 for PCIe 4.0 x16.",
    )
    max_per_node: int = Field(
        default=8,
        ge=1,
        le=128,
        description="How many of them the largest usual node has; a larger replica spans nodes.",
    )
    tflops: Throughput = Field(description="Dense arithmetic throughput of one, by precision.")
    tolerations: list[Toleration] = Field(
        default_factory=lambda: [
            Toleration(key="nvidia.com/gpu", operator="Exists"),
            Toleration(key="sku", operator="Equal", value="gpu", effect="NoSchedule"),
        ],
        max_length=16,
        description="Taints of its nodes that the pods tolerate; left out: nvidia.com/gpu, which GKE sets and EKS and "
        "the GPU operator name, and sku=gpu, which AKS names.",
    )
    runtime_class_name: ObjectName | None = Field(
        default=None,
        description="RuntimeClass of the pods, for example nvidia on k3s, RKE2 and other clusters whose container "
        "runtime does not take NVIDIA's by default; left out: the cluster's default.",
    )
    price: Price | None = Field(default=None, description="What an hour of one costs.")
