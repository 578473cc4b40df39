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
    }
    assert "nvidia-h100-80gb-mig-1g.10gb" in SLICES
    assert set(catalogue.runtimes()) == set(ENGINES) == {"vllm", "triton"}


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
    products = next(label for label in spec.node_labels if label.key == "nvidia.com/gpu.product")
    assert not [value for value in products.values if "MIG" in value]
    assert spec.resource_name == "nvidia.com/gpu"


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_is_less_than_its_gpu(name: str) -> None:
    spec, (base, _, profile) = SLICES[name], name.partition("-mig-")
    gpu = WHOLE[base]
    sevenths, gigabytes = (int(part) for part in re.fullmatch(r"([1-7])g\.([0-9]+)gb", profile).groups())  # type: ignore[union-attr]
    assert spec.resource_name == f"nvidia.com/mig-{profile}"
    assert [label.key for label in spec.node_labels] == [f"nvidia.com/mig-{profile}.product"]
    assert all(value.endswith(f"-MIG-{profile}") for value in spec.node_labels[0].values)
    assert 0.85 * gigabytes < spec.memory_gib < gigabytes
    assert spec.memory_gib <= gpu.memory_gib / 2
    assert spec.bandwidth_gbps <= gpu.bandwidth_gbps / 2 + 1
    assert spec.tflops.bf16 is not None and gpu.tflops.bf16 is not None
    assert sevenths / 8 < spec.tflops.bf16 / gpu.tflops.bf16 + 0.01 < sevenths / 7 + 0.05


def test_figures_are_those_of_the_data_sheets() -> None:
    h100 = WHOLE["nvidia-h100-80gb"]
    assert (h100.bandwidth_gbps, h100.tflops.bf16, h100.tflops.fp8, h100.tflops.fp4) == (3350, 989, 1978, None)
    assert h100.memory_gib == pytest.approx(81559 / 1024, abs=0.01)
    assert WHOLE["nvidia-b200"].tflops.fp4 == 9000
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
