"""The GPUs that a bench node may have, with the values that GPU feature discovery and the clouds report for them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU type. `product` and `memory_mib` are what the driver says, `compute` its compute capability."""

    product: str
    memory_mib: int
    family: str
    compute: tuple[int, int]
    cpus: int  # of a usual server, for each GPU
    host_gib: int  # likewise
    vendor: str = "nvidia"
    arch: str = "amd64"
    mig: bool = False
    gke: str | None = None  # the value of cloud.google.com/gke-accelerator, where GKE has it
    ec2: str | None = None  # the value of karpenter.k8s.aws/instance-gpu-name
    machines: dict[str, str] = field(default_factory=dict)  # instance type by cloud, of its largest usual server

    @property
    def resource(self) -> str:
        """The extended resource of whole ones."""
        return f"{self.vendor}.com/gpu"


@dataclass(frozen=True, slots=True)
class Slice:
    """One MIG profile of a GPU: how many fit on it, and what one of them reports."""

    profile: str
    per_gpu: int
    memory_mib: int
    multiprocessors: int

    @property
    def resource(self) -> str:
        """The extended resource of the mixed strategy."""
        return f"nvidia.com/mig-{self.profile}"


GPUS: dict[str, Gpu] = {
    "nvidia-l4": Gpu(
        product="NVIDIA-L4",
        memory_mib=23034,
        family="ada-lovelace",
        compute=(8, 9),
        cpus=12,
        host_gib=48,
        gke="nvidia-l4",
        ec2="l4",
        machines={"gke": "g2-standard-48", "eks": "g6.12xlarge"},
    ),
    "nvidia-a10g": Gpu(
        product="NVIDIA-A10G",
        memory_mib=23028,
        family="ampere",
        compute=(8, 6),
        cpus=12,
        host_gib=48,
        ec2="a10g",
        machines={"eks": "g5.12xlarge"},
    ),
    "nvidia-l40s": Gpu(
        product="NVIDIA-L40S",
        memory_mib=46068,
        family="ada-lovelace",
        compute=(8, 9),
        cpus=24,
        host_gib=192,
        ec2="l40s",
        machines={"eks": "g6e.48xlarge"},
    ),
    "nvidia-a100-40gb": Gpu(
        product="NVIDIA-A100-SXM4-40GB",
        memory_mib=40960,
        family="ampere",
        compute=(8, 0),
        cpus=12,
        host_gib=85,
        mig=True,
        gke="nvidia-tesla-a100",
        ec2="a100",
        machines={"gke": "a2-highgpu-8g", "eks": "p4d.24xlarge", "aks": "Standard_ND96asr_v4"},
    ),
    "nvidia-a100-80gb": Gpu(
        product="NVIDIA-A100-SXM4-80GB",
        memory_mib=81920,
        family="ampere",
        compute=(8, 0),
        cpus=12,
        host_gib=170,
        mig=True,
        gke="nvidia-a100-80gb",
        ec2="a100",
        machines={"gke": "a2-ultragpu-8g", "eks": "p4de.24xlarge", "aks": "Standard_ND96amsr_A100_v4"},
    ),
    "nvidia-h100-80gb": Gpu(
        product="NVIDIA-H100-80GB-HBM3",
        memory_mib=81559,
        family="hopper",
        compute=(9, 0),
        cpus=24,
        host_gib=240,
        mig=True,
        gke="nvidia-h100-80gb",
        ec2="h100",
        machines={"gke": "a3-highgpu-8g", "eks": "p5.48xlarge", "aks": "Standard_ND96isr_H100_v5"},
    ),
    "nvidia-h200": Gpu(
        product="NVIDIA-H200",
        memory_mib=143771,
        family="hopper",
        compute=(9, 0),
        cpus=24,
        host_gib=240,
        mig=True,
        gke="nvidia-h200-141gb",
        ec2="h200",
        machines={"gke": "a3-ultragpu-8g", "eks": "p5en.48xlarge", "aks": "Standard_ND96isr_H200_v5"},
    ),
    "nvidia-b200": Gpu(
        product="NVIDIA-B200",
        memory_mib=183359,
        family="blackwell",
        compute=(10, 0),
        cpus=24,
        host_gib=480,
        mig=True,
        gke="nvidia-b200",
        ec2="b200",
        machines={"gke": "a4-highgpu-8g", "eks": "p6-b200.48xlarge"},
    ),
    "nvidia-b300": Gpu(
        product="NVIDIA-B300-SXM6-AC",
        memory_mib=275040,
        family="blackwell",
        compute=(10, 3),
        cpus=24,
        host_gib=512,
        mig=True,
        ec2="b300",
        machines={"eks": "p6-b300.48xlarge"},
    ),
    "nvidia-gb200": Gpu(
        product="NVIDIA-GB200",
        memory_mib=189471,
        family="blackwell",
        compute=(10, 0),
        cpus=36,
        host_gib=240,
        arch="arm64",
        mig=True,
        gke="nvidia-gb200",
        machines={"gke": "a4x-highgpu-4g", "eks": "p6e-gb200.36xlarge", "aks": "Standard_ND128isr_NDR_GB200_v6"},
    ),
    "nvidia-rtx-pro-6000": Gpu(
        product="NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",
        memory_mib=97887,
        family="blackwell",
        compute=(12, 0),
        cpus=24,
        host_gib=256,
        mig=True,
        gke="nvidia-rtx-pro-6000",
        machines={"gke": "g4-standard-384", "eks": "g7e.48xlarge"},
    ),
    "nvidia-rtx-4090": Gpu(
        product="NVIDIA-GeForce-RTX-4090",
        memory_mib=24564,
        family="ada-lovelace",
        compute=(8, 9),
        cpus=12,
        host_gib=64,
    ),
    "nvidia-rtx-5090": Gpu(
        product="NVIDIA-GeForce-RTX-5090",
        memory_mib=32607,
        family="blackwell",
        compute=(12, 0),
        cpus=12,
        host_gib=64,
    ),
    "amd-mi300x": Gpu(
        product="AMD_Instinct_MI300X_OAM",
        memory_mib=196592,
        family="AI",
        compute=(9, 4),
        cpus=12,
        host_gib=230,
        vendor="amd",
        machines={"aks": "Standard_ND96isr_MI300X_v5"},
    ),
}

SLICES: dict[str, tuple[Slice, ...]] = {
    "nvidia-a100-40gb": (
        Slice("1g.5gb", 7, 4864, 14),
        Slice("1g.10gb", 4, 9984, 14),
        Slice("2g.10gb", 3, 9984, 28),
        Slice("3g.20gb", 2, 20096, 42),
        Slice("4g.20gb", 1, 20096, 56),
        Slice("7g.40gb", 1, 40448, 98),
    ),
    "nvidia-a100-80gb": (
        Slice("1g.10gb", 7, 9728, 14),
        Slice("1g.20gb", 4, 19968, 14),
        Slice("2g.20gb", 3, 19968, 28),
        Slice("3g.40gb", 2, 40192, 42),
        Slice("4g.40gb", 1, 40192, 56),
        Slice("7g.80gb", 1, 80896, 98),
    ),
    "nvidia-h100-80gb": (
        Slice("1g.10gb", 7, 9984, 16),
        Slice("1g.20gb", 4, 20096, 26),
        Slice("2g.20gb", 3, 20096, 32),
        Slice("3g.40gb", 2, 40448, 60),
        Slice("4g.40gb", 1, 40448, 64),
        Slice("7g.80gb", 1, 81024, 132),
    ),
    "nvidia-h200": (
        Slice("1g.18gb", 7, 16384, 16),
        Slice("1g.35gb", 4, 33280, 26),
        Slice("2g.35gb", 3, 33280, 32),
        Slice("3g.71gb", 2, 71424, 60),
        Slice("4g.71gb", 1, 71424, 64),
        Slice("7g.141gb", 1, 143360, 132),
    ),
}
