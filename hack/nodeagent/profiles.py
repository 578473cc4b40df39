"""What a bench node is: its GPUs, labels, taints and capacity, as a real node of that kind shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nodeagent.client import Json
from nodeagent.hardware import GPUS, SLICES, Gpu, Slice

CPU_NODE_CPUS, CPU_NODE_GIB = 32, 128
EPHEMERAL_STORAGE_GIB = 2048
CLOUDS = ("gke", "eks", "aks", "karpenter", "none")
SHAPE = re.compile(r"(?:(?P<nodes>[0-9]+)x)?(?P<number>[0-9]+)x(?P<name>[a-z][a-z0-9.-]*)")
KINDS = {"mig": "nvidia-h100-80gb-mig-1g.10gb", "cpu": None}  # of nodes, as against GPUs
HOW = (
    "write [NODESx]GPUSxGPU, NODESxmig or NODESxcpu, then [:cloud=gke][:spot][:region=R][:zone=Z], "
    "for example 2x8xnvidia-h100-80gb:spot"
)


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """A kind of node. With `gpu` None it is a node without GPUs; with `slice` every GPU is cut into MIG slices."""

    short: str  # the stem of its nodes' names
    gpu_type: str | None = None  # a name of GPUS
    gpus: int = 0
    slice: Slice | None = None
    cloud: str = "none"
    spot: bool = False
    region: str = "bench-1"
    zone: str = "bench-1a"
    pods: int = 110
    tainted: bool = True

    @property
    def gpu(self) -> Gpu | None:
        """The GPU's facts."""
        return GPUS[self.gpu_type] if self.gpu_type else None

    @property
    def accelerator(self) -> str | None:
        """The name of the Accelerator that pods on such a node get, in the built-in catalogue."""
        return f"{self.gpu_type}-mig-{self.slice.profile}" if self.slice else self.gpu_type

    @property
    def instance_type(self) -> str:
        """The cloud's name for such a machine, else the bench's."""
        known = self.gpu.machines if self.gpu else {}
        cloud = "eks" if self.cloud == "karpenter" else self.cloud
        return known.get(cloud, f"bench-{self.short}-{self.gpus}")

    @property
    def devices(self) -> dict[str, int]:
        """Extended resources. Under the mixed MIG strategy a GPU that is cut counts no longer as a whole one."""
        if not self.gpu:
            return {}
        if self.slice:
            return {self.gpu.resource: 0, self.slice.resource: self.gpus * self.slice.per_gpu}
        return {self.gpu.resource: self.gpus}

    def capacity(self) -> dict[str, str]:
        """The node's capacity."""
        cpus = self.gpus * self.gpu.cpus if self.gpu else CPU_NODE_CPUS
        gib = self.gpus * self.gpu.host_gib if self.gpu else CPU_NODE_GIB
        plain = {
            "cpu": str(cpus),
            "memory": f"{gib}Gi",
            "ephemeral-storage": f"{EPHEMERAL_STORAGE_GIB}Gi",
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
            "pods": str(self.pods),
        }
        return plain | {name: str(count) for name, count in self.devices.items()}

    def allocatable(self) -> dict[str, str]:
        """What pods may use: the capacity less half a CPU, 2 GiB and a tenth of the disk for the system."""
        capacity = self.capacity()
        gib = int(capacity["memory"].removesuffix("Gi")) - 2
        kept = {
            "cpu": f"{int(capacity['cpu']) * 1000 - 500}m",
            "memory": f"{gib}Gi",
            "ephemeral-storage": f"{EPHEMERAL_STORAGE_GIB * 9 // 10}Gi",
        }
        return capacity | kept

    def labels(self, node: str) -> dict[str, str]:
        """All labels of a node of this kind named `node`."""
        common = {
            "kubernetes.io/hostname": node,
            "kubernetes.io/arch": self.gpu.arch if self.gpu else "amd64",
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": self.instance_type,
            "topology.kubernetes.io/region": self.region,
            "topology.kubernetes.io/zone": self.zone,
        }
        return common | _cloud_labels(self) | _gpu_labels(self) | _slice_labels(self)

    def taints(self) -> list[Json]:
        """The taints of such a node."""
        taints: list[Json] = []
        if self.gpu and self.tainted:
            taints.append({"key": self.gpu.resource, "value": "present", "effect": "NoSchedule"})
        if self.gpu and self.gpu.arch == "arm64" and self.cloud == "gke":
            taints.append({"key": "kubernetes.io/arch", "value": "arm64", "effect": "NoSchedule"})
        if self.spot and self.cloud == "aks":
            taints.append({"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"})
        return taints


def _gpu_labels(profile: NodeProfile) -> dict[str, str]:
    gpu = profile.gpu
    if not gpu:
        return {}
    if gpu.vendor == "amd":
        vram = f"{round(gpu.memory_mib / 1024)}G"
        return {"amd.com/gpu.product-name": gpu.product, "amd.com/gpu.vram": vram, "amd.com/gpu.family": gpu.family}
    labels = {
        "present": "true",
        "product": gpu.product,
        "memory": str(gpu.memory_mib),
        "count": str(profile.gpus),
        "family": gpu.family,
        "machine": profile.instance_type,
        "mode": "compute",
        "replicas": "0" if profile.slice else "1",
        "sharing-strategy": "none",
        "compute.major": str(gpu.compute[0]),
        "compute.minor": str(gpu.compute[1]),
    }
    rest = {
        "nvidia.com/mig.capable": str(gpu.mig).lower(),
        "nvidia.com/mig.strategy": "mixed" if profile.slice else "single",
        "nvidia.com/mps.capable": "false",
        "nvidia.com/vgpu.present": "false",
    }
    return {f"nvidia.com/gpu.{name}": value for name, value in labels.items()} | rest


def _slice_labels(profile: NodeProfile) -> dict[str, str]:
    piece = profile.slice
    if not piece or not profile.gpu:
        return {}
    width = piece.profile.split("g", 1)[0]
    labels = {
        "count": str(profile.gpus * piece.per_gpu),
        "product": f"{profile.gpu.product}-MIG-{piece.profile}",
        "memory": str(piece.memory_mib),
        "multiprocessors": str(piece.multiprocessors),
        "replicas": "1",
        "sharing-strategy": "none",
        "slices.ci": width,
        "slices.gi": width,
    }
    state = {"nvidia.com/mig.config": f"all-{piece.profile}", "nvidia.com/mig.config.state": "success"}
    return {f"{piece.resource}.{name}": value for name, value in labels.items()} | state


def _cloud_labels(profile: NodeProfile) -> dict[str, str]:
    pool = {"gke": "cloud.google.com/gke-nodepool", "eks": "eks.amazonaws.com/nodegroup", "aks": "agentpool"}
    labels = {pool[profile.cloud]: profile.short} if profile.cloud in pool else {}
    if profile.cloud == "gke":
        if profile.gpu and profile.gpu.gke:
            labels["cloud.google.com/gke-accelerator"] = profile.gpu.gke
        if profile.spot:
            labels["cloud.google.com/gke-spot"] = "true"
    elif profile.cloud == "eks":
        labels["eks.amazonaws.com/capacityType"] = "SPOT" if profile.spot else "ON_DEMAND"
    elif profile.cloud == "aks" and profile.spot:
        labels["kubernetes.azure.com/scalesetpriority"] = "spot"
    elif profile.cloud == "karpenter":
        labels["karpenter.sh/capacity-type"] = "spot" if profile.spot else "on-demand"
        if profile.gpu and profile.gpu.ec2:
            labels["karpenter.k8s.aws/instance-gpu-name"] = profile.gpu.ec2
    return labels


def parse_nodes(text: str) -> list[NodeProfile]:
    """Profiles of the nodes that `text` asks for, one for each: `2x8xnvidia-h100-80gb,4xnvidia-l4,1xmig,1xcpu`.

    That is two nodes with 8 H100, one with 4 L4, one with 8 H100 cut into 56 slices of 1g.10gb, and one without
    GPUs. A GPU is one of `GPUS`, or `GPU-mig-PROFILE` for one cut into slices. Raises ValueError that says what is
    wrong and what to write.
    """
    return [profile for part in text.split(",") if part.strip() for profile in _parse_part(part.strip())]


def _parse_part(part: str) -> list[NodeProfile]:
    shape, *options = part.split(":")
    match = SHAPE.fullmatch(shape)
    if not match:
        raise ValueError(f"nodes: {part!r} is not understood; {HOW}")
    name, number = match["name"], int(match["number"])
    nodes = int(match["nodes"] or 1)
    if name in KINDS:
        nodes, number = nodes * number, 8
    profile = named(name, number)
    for option in options:
        profile = _with_option(profile, option)
    return [profile] * nodes


def named(name: str, gpus: int = 8) -> NodeProfile:
    """The profile of a node with `gpus` GPUs of the type `name`. Raises ValueError for an unknown one."""
    if name == "cpu":
        return NodeProfile(short="cpu")
    gpu, _, cut = (KINDS.get(name) or name).partition("-mig-")
    if gpu not in GPUS:
        raise ValueError(f"nodes: no GPU {gpu!r}; there are {', '.join((*GPUS, *KINDS))}")
    if gpus < 1:
        raise ValueError(f"nodes: {gpus} GPUs of {gpu!r}; a node has at least one")
    short = gpu.removeprefix("nvidia-")
    if not cut:
        return NodeProfile(short, gpu, gpus)
    slices = {piece.profile: piece for piece in SLICES.get(gpu, ())}
    if cut not in slices:
        raise ValueError(f"nodes: {gpu} has no MIG profile {cut!r}; there are {', '.join(slices) or 'none'}")
    return NodeProfile(f"{short}-mig-{cut.replace('.', '-')}", gpu, gpus, slices[cut])


def _with_option(profile: NodeProfile, option: str) -> NodeProfile:
    key, _, value = option.partition("=")
    if key == "spot" and not value:
        return replace(profile, spot=True, cloud="gke" if profile.cloud == "none" else profile.cloud)
    if key == "cloud" and value in CLOUDS:
        return replace(profile, cloud=value)
    if key == "region" and value:
        return replace(profile, region=value, zone=f"{value}a")
    if key == "zone" and value:
        return replace(profile, zone=value)
    raise ValueError(f"nodes: option {option!r} is not understood; clouds are {', '.join(CLOUDS)}; {HOW}")
