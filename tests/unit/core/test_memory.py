"""What fits an accelerator: the examples that every guide names, and what no figure may break."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.accelerator import AcceleratorSpec
from inferops.catalogue import accelerators
from inferops.core import memory
from inferops.core.facts import ModelFacts, Precision
from inferops.core.memory import GIB
from inferops.core.parallel import illegal, splits
from inferops.core.replica import Replica
from unit.core.models import LLAMA2_7B, LLAMA2_70B, LLAMA31_8B, LLAMA31_405B, QWEN25_05B

KNOWN = accelerators()
H100, H200, L4 = KNOWN["nvidia-h100-80gb"], KNOWN["nvidia-h200"], KNOWN["nvidia-l4"]


def test_llama_2_70b_weighs_140_gb_in_16_bits_and_70_in_fp8() -> None:
    assert LLAMA2_70B.weight_bytes() == pytest.approx(140e9, rel=0.02)
    assert LLAMA2_70B.weight_bytes(Precision.FP8) == pytest.approx(70e9, rel=0.02)


def test_its_cache_takes_327680_bytes_a_token_and_a_third_of_a_gigabyte_more_than_one_for_4096() -> None:
    assert LLAMA2_70B.kv_bytes_per_token() == 327_680
    assert LLAMA2_70B.kv_bytes(4096) == pytest.approx(1.34e9, rel=0.005)


def test_in_16_bits_it_leaves_no_cache_on_one_h200_and_some_on_two_h100() -> None:
    assert memory.kv_tokens(Replica(LLAMA2_70B, H200), 4096) == 0
    assert 10_000 < memory.kv_tokens(Replica(LLAMA2_70B, H100, tensor_parallel=2), 4096) < 60_000


def test_in_fp8_one_h100_is_tight_and_one_h200_roomy() -> None:
    tight = memory.kv_tokens(Replica(LLAMA2_70B, H100, precision=Precision.FP8), 4096)
    roomy = memory.kv_tokens(Replica(LLAMA2_70B, H200, precision=Precision.FP8), 4096)
    assert 4096 <= tight < 30_000
    assert roomy > 8 * tight


@pytest.mark.parametrize("precision", [Precision.INT4, Precision.INT8])
def test_a_7b_model_in_4_or_8_bits_fits_an_l4(precision: Precision) -> None:
    assert memory.budget(Replica(LLAMA2_7B, L4, precision=precision), 4096).fits


def test_above_400b_takes_a_node_of_eight() -> None:
    context = 16_384
    fitting = [
        tensor
        for tensor, pipeline in splits(LLAMA31_405B, H200)
        if memory.budget(Replica(LLAMA31_405B, H200, tensor, pipeline), context).fits
    ]
    assert fitting[0] == 8
    fp8 = Replica(LLAMA31_405B, H100, 8, precision=Precision.FP8)
    assert memory.budget(fp8, context).fits
    assert not memory.budget(replace(fp8, tensor_parallel=4), context).fits


def test_the_measured_peaks_of_activations() -> None:
    """vLLM 0.19 on an H100: Llama 1.89 GiB."""
    assert memory.budget(Replica(LLAMA31_8B, H100), 8192).activations / GIB == pytest.approx(1.89, rel=0.05)


def test_activations_are_not_divided_by_tensor_parallelism() -> None:
    one, eight = (memory.budget(Replica(LLAMA31_8B, H100, size), 8192) for size in (1, 8))
    assert eight.activations == pytest.approx(one.activations, rel=0.05)
    assert eight.weights == one.weights / 8


def test_an_8b_model_does_not_hold_its_own_context_on_an_l4_and_is_told_what_it_holds() -> None:
    replica = Replica(LLAMA31_8B, L4)
    assert not memory.budget(replica, LLAMA31_8B.context).fits
    longest = memory.longest_context(replica)
    assert 8_000 < longest < 40_000
    assert memory.budget(replica, longest).fits
    assert not memory.budget(replica, longest + 200).fits


def test_why_a_split_is_illegal() -> None:
    assert "14 attention heads" in illegal(QWEN25_05B, 4)
    assert illegal(QWEN25_05B, 2) == ""
    assert "KV heads" in illegal(replace(QWEN25_05B, heads=24, intermediate=4800), 3)
    assert "stages" in illegal(QWEN25_05B, 1, 25)


models = st.sampled_from([LLAMA2_7B, LLAMA2_70B, LLAMA31_8B, LLAMA31_405B, QWEN25_05B])
precisions = st.sampled_from([None, Precision.FP8, Precision.INT4, Precision.NVFP4])


@st.composite
def gpus(draw: st.DrawFn) -> AcceleratorSpec:
    gib = draw(st.floats(4, 300))
    return H100.model_copy(update={"memory_gib": gib, "max_per_node": draw(st.sampled_from([1, 2, 4, 8]))})


@given(models, gpus(), precisions, st.integers(1, 200_000))
def test_every_split_is_legal_and_what_fits_never_exceeds_the_memory(
    facts: ModelFacts, gpu: AcceleratorSpec, precision: Precision | None, context: int
) -> None:
    for tensor, pipeline in splits(facts, gpu):
        assert illegal(facts, tensor, pipeline) == ""
        assert tensor <= gpu.max_per_node
        replica = Replica(facts, gpu, tensor, pipeline, precision)
        found = memory.budget(replica, context)
        if found.fits:
            held = found.weights + found.activations + found.overhead + found.sequence
            assert held <= replica.utilization * gpu.memory_gib * GIB * (1 + 1e-9)
            assert memory.longest_context(replica) >= min(context, facts.context)
            count = memory.most_sequences(replica, context, context)
            assert count >= 1
            assert count * memory.sequence_bytes(replica, context) <= found.free * (1 + 1e-9)


@given(models, gpus(), precisions, st.integers(1, 200_000), st.floats(0, 200))
def test_more_memory_never_makes_it_unfit(
    facts: ModelFacts, gpu: AcceleratorSpec, precision: Precision | None, context: int, more: float
) -> None:
    larger = gpu.model_copy(update={"memory_gib": gpu.memory_gib + more})
    for tensor, pipeline in splits(facts, gpu):
        if memory.budget(Replica(facts, gpu, tensor, pipeline, precision), context).fits:
            assert memory.budget(Replica(facts, larger, tensor, pipeline, precision), context).fits
