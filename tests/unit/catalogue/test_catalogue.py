"""The built-in catalogue holds what it says, and gives way to the admin."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from pydantic import TypeAdapter

from inferops import catalogue
from inferops.api.formats import ObjectName
from inferops.api.resources import Accelerator
from inferops.runtimes import ENGINES

ACCELERATORS = catalogue.accelerators()
WHOLE = {name: spec for name, spec in ACCELERATORS.items() if not spec.slice}
SLICES = {name: spec for name, spec in ACCELERATORS.items() if spec.slice}


def test_the_types_that_there_are() -> None:
    assert set(WHOLE) == {
        "nvidia-l4",
        "nvidia-a10g",
        "nvidia-l40s",
        "nvidia-a100-40gb",
        "nvidia-a100-80gb",
        "nvidia-h100-80gb",
        "nvidia-h200",
        "nvidia-b200",
        "nvidia-b300",
        "nvidia-gb200",
        "nvidia-rtx-pro-6000",
        "nvidia-rtx-4090",
        "nvidia-rtx-5090",
        "amd-mi300x",
    }
    assert "nvidia-h100-80gb-mig-1g.10gb" in SLICES
    assert set(catalogue.runtimes()) == set(ENGINES) >= {"vllm", "triton"}


@pytest.mark.parametrize("name", ACCELERATORS)
def test_an_entry_is_a_resource_that_the_api_takes(name: str) -> None:
    TypeAdapter(ObjectName).validate_python(name)
    spec = ACCELERATORS[name]
    again = Accelerator.model_validate({"metadata": {"name": name}, "spec": spec.dump()})
    assert again.spec == spec


def test_a_node_label_means_one_accelerator() -> None:
    labels = Counter(
        (label.key, value) for spec in ACCELERATORS.values() for label in spec.node_labels for value in label.values
    )
    assert [label for label, count in labels.items() if count > 1] == []
    assert not [value for _, value in labels if value.endswith("-SHARED")]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_gpu_is_found_by_feature_discovery(name: str) -> None:
    spec = WHOLE[name]
    key = "nvidia.com/gpu.product" if spec.vendor == "nvidia" else "amd.com/gpu.product-name"
    products = next(label for label in spec.node_labels if label.key == key)
    assert not [value for value in products.values if "MIG" in value]
    assert spec.resource_name == f"{spec.vendor}.com/gpu"
    assert spec.resource_name in [toleration.key for toleration in spec.tolerations]


def test_every_mig_profile_of_a_gpu_is_there() -> None:
    profiles: dict[str, list[str]] = {}
    for name in SLICES:
        gpu, _, profile = name.partition("-mig-")
        profiles.setdefault(gpu, []).append(profile)
    assert profiles == {
        "nvidia-a100-40gb": ["1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"],
        "nvidia-a100-80gb": ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"],
        "nvidia-h100-80gb": ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"],
        "nvidia-h200": ["1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"],
    }


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_is_less_than_its_gpu(name: str) -> None:
    spec, (base, _, profile) = SLICES[name], name.partition("-mig-")
    gpu = WHOLE[base]
    sevenths, gigabytes = (int(part) for part in re.fullmatch(r"([1-7])g\.([0-9]+)gb", profile).groups())  # type: ignore[union-attr]
    assert spec.resource_name == f"nvidia.com/mig-{profile}"
    assert [label.key for label in spec.node_labels] == [f"nvidia.com/mig-{profile}.product"]
    assert all(value.endswith(f"-MIG-{profile}") for value in spec.node_labels[0].values)
    assert 0.85 * gigabytes < spec.memory_gib < gigabytes
    eighths = round(8 * gigabytes / gpu.memory_gib)
    assert spec.memory_gib <= gpu.memory_gib * eighths / 8
    assert spec.bandwidth_gbps == pytest.approx(gpu.bandwidth_gbps * eighths / 8, abs=1)
    assert spec.tflops.bf16 is not None and gpu.tflops.bf16 is not None
    assert sevenths / 8 < spec.tflops.bf16 / gpu.tflops.bf16 + 0.02 < max(sevenths, eighths) / 7 + 0.05
    assert spec.tflops.model_dump(exclude_none=True).keys() == gpu.tflops.model_dump(exclude_none=True).keys()
    assert spec.price is not None and gpu.price is not None
    share = max(sevenths / 7, eighths / 8)
    assert spec.price.usd_per_hour == pytest.approx(gpu.price.usd_per_hour * share, abs=0.006)
    assert spec.max_per_node == gpu.max_per_node * min(7 // sevenths, 8 // eighths)


@pytest.mark.parametrize("name", ACCELERATORS)
def test_a_price_has_its_day(name: str) -> None:
    price = ACCELERATORS[name].price
    assert price is not None and price.usd_per_hour > 0 and price.date == "2026-11-21"


def test_links_and_servers() -> None:
    links = {name: (spec.link_gbps, spec.max_per_node) for name, spec in WHOLE.items()}
    assert links == {
        "nvidia-l4": (32, 8),
        "nvidia-a10g": (32, 8),
        "nvidia-l40s": (32, 8),
        "nvidia-a100-40gb": (300, 8),
        "nvidia-a100-80gb": (300, 8),
        "nvidia-h100-80gb": (450, 8),
        "nvidia-h200": (450, 8),
        "nvidia-b200": (900, 8),
        "nvidia-b300": (900, 8),
        "nvidia-gb200": (900, 4),
        "nvidia-rtx-pro-6000": (64, 8),
        "nvidia-rtx-4090": (32, 8),
        "nvidia-rtx-5090": (64, 8),
        "amd-mi300x": (448, 8),
    }


def test_figures_are_those_of_the_data_sheets() -> None:
    h100 = WHOLE["nvidia-h100-80gb"]
    assert (h100.bandwidth_gbps, h100.tflops.bf16, h100.tflops.fp8, h100.tflops.fp4) == (3350, 989, 1978, None)
    assert h100.memory_gib == pytest.approx(81559 / 1024, abs=0.01)
    assert WHOLE["nvidia-b200"].tflops.fp4 == 9000
    assert WHOLE["amd-mi300x"].memory_gib == pytest.approx(206_141_652_992 / 2**30, abs=0.01)
    assert WHOLE["nvidia-b300"].memory_gib == pytest.approx(275040 / 1024, abs=0.01)
    assert WHOLE["nvidia-a100-80gb"].tflops.fp8 is None


def test_an_admins_resource_replaces_the_built_in_wholly() -> None:
    mine = WHOLE["nvidia-l4"].model_copy(update={"memory_gib": 20.0, "price": None})
    merged = catalogue.merged(ACCELERATORS, {"nvidia-l4": mine, "mine": mine})
    assert merged["nvidia-l4"] is mine and merged["mine"] is mine
    assert merged["nvidia-h200"] is ACCELERATORS["nvidia-h200"]
    assert ACCELERATORS["nvidia-l4"].price is not None


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ACCELERATORS["mine"] = WHOLE["nvidia-l4"]  # type: ignore[index]
