"""Which accelerator, how many: the cheapest that fits and is fast enough, and a sentence for every other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferops.api.accelerator import AcceleratorSpec
from inferops.catalogue import accelerators, built_in
from inferops.core import memory
from inferops.core.facts import ModelFacts, Precision
from inferops.core.parallel import illegal
from inferops.core.replica import Replica
from inferops.core.roofline import ceiling_tokens_per_second
from inferops.core.sizing import Ask, Option, Sizing, size, size_listed
from unit.core.models import LLAMA2_7B, LLAMA2_70B, LLAMA31_8B, LLAMA31_405B, QWEN25_05B

KNOWN = dict(accelerators())
H100, H200 = KNOWN["nvidia-h100-80gb"], KNOWN["nvidia-h200"]
FP8 = (Precision.FP8,)


def only(*names: str) -> dict[str, AcceleratorSpec]:
    return {name: KNOWN[name] for name in names}


def option(sizing: Sizing, accelerator: str, tensor: int) -> Option:
    return next(o for o in sizing.options if (o.shape.accelerator, o.shape.tensor_parallel) == (accelerator, tensor))


def why(sizing: Sizing, accelerator: str, tensor: int = 1) -> str:
    found = [r for r in sizing.rejected if (r.shape.accelerator, r.shape.tensor_parallel) == (accelerator, tensor)]
    return found[0].reason


def test_70_gb_of_fp8_weights_are_read_48_times_a_second_by_an_h100() -> None:
    assert ceiling_tokens_per_second(Replica(LLAMA2_70B, H100, precision=Precision.FP8)) == pytest.approx(48, abs=1)


def test_llama_2_70b_in_16_bits_takes_two_h100_and_its_plan_says_what_they_leave() -> None:
    found = size(LLAMA2_70B, Ask(concurrency=4), only("nvidia-h100-80gb", "nvidia-h200"))
    assert "exceed the 129.2 GiB" in why(found, "nvidia-h200")
    two = option(found, "nvidia-h100-80gb", 2)
    assert 10_000 < two.kv_tokens < 60_000
    assert found.options[0] == two


def test_in_fp8_what_serves_the_asked_concurrency_is_preferred_to_what_is_tight() -> None:
    ask = Ask(concurrency=32, precisions=FP8, tpot=0.06)
    found = size(LLAMA2_70B, ask, only("nvidia-h100-80gb", "nvidia-h200"))
    tight, roomy = option(found, "nvidia-h100-80gb", 1), option(found, "nvidia-h200", 1)
    assert tight.kv_tokens < 30_000 < 150_000 < roomy.kv_tokens
    assert found.options[0] == roomy
    assert (roomy.replicas, tight.replicas > 1) == (1, True)


def test_a_model_of_400b_takes_a_node_of_eight() -> None:
    found = size(LLAMA31_405B, Ask(context=16_384, precisions=FP8), only("nvidia-h100-80gb"))
    assert found.options[0].shape.accelerators == 8
    assert "does not fit" in why(found, "nvidia-h100-80gb", 4)


def test_without_limits_the_cheapest_fits_and_every_rejection_is_a_sentence_with_numbers() -> None:
    found = size(LLAMA2_7B, Ask(concurrency=1), KNOWN)
    prices = [round(o.usd_per_hour, 6) for o in found.options if o.usd_per_hour is not None]
    assert prices == sorted(prices)
    for rejection in found.rejected:
        assert any(digit in rejection.reason for digit in "0123456789"), rejection
        assert rejection.reason[0].islower() and not rejection.reason.endswith(".")


def test_a_context_that_does_not_fit_names_the_one_that_does() -> None:
    reason = why(size(LLAMA31_8B, Ask(), only("nvidia-l4")), "nvidia-l4")
    assert "not the 131,072 asked for; set maxModelLen to at most" in reason
    longest = int(reason.rsplit(" ", 1)[1])
    assert size_listed(LLAMA31_8B, Ask(context=longest), [("nvidia-l4", 1, 1)], KNOWN).options


def test_too_slow_says_how_slow() -> None:
    reason = why(size(LLAMA2_7B, Ask(tpot=0.002, ttft=0.001), only("nvidia-l4")), "nvidia-l4")
    assert "ms a token, above the TPOT of 2 ms" in reason
    assert "ms to the first token, above the TTFT of 1 ms" in reason


def test_a_split_of_the_users_that_is_illegal_says_why() -> None:
    found = size_listed(QWEN25_05B, Ask(), [("nvidia-l4", 4, 1), ("unknown", 1, 1)], KNOWN)
    assert [r.reason for r in found.rejected] == ["cannot be split so: its 14 attention heads cannot be divided by 4"]


def test_quantizing_needs_an_accelerator_that_computes_in_it() -> None:
    found = size(LLAMA31_8B, Ask(precisions=(None, Precision.FP8), context=8192), only("nvidia-a100-80gb"))
    assert {o.shape.precision for o in found.options} == {Precision.BF16}
    assert "cannot quantize to fp8" in found.rejected[0].reason


def test_weights_of_32_bits_are_loaded_into_16() -> None:
    wide = replace(LLAMA2_7B, precision=Precision.FP32)
    found = size(wide, Ask(), only("nvidia-h100-80gb")).options[0]
    assert (found.shape.precision, round(found.weights_gib, 1)) == (Precision.BF16, 12.6)


def test_an_encoder_is_judged_by_what_it_reads_on_one_accelerator() -> None:
    facts = built_in("BAAI/bge-m3")
    assert facts is not None
    found = size(facts, Ask(tpot=0.001, ttft=0.5), KNOWN)
    assert found.options and {o.shape.accelerators for o in found.options} == {1}
    assert {(o.kv_tokens, o.tpot) for o in found.options} == {(0, 0.0)}
    assert all(o.tokens_per_second > 5 * Ask().prompt for o in found.options)


def test_what_is_quantized_is_not_quantized_again() -> None:
    packed = replace(LLAMA2_70B, precision=Precision.MXFP4)
    auto = size(packed, Ask(precisions=(None, Precision.FP8)), only("nvidia-h100-80gb"))
    assert {one.shape.precision for one in (*auto.options, *auto.rejected)} == {Precision.MXFP4}
    assert "the checkpoint is in mxfp4 already" in why(size(packed, Ask(precisions=FP8), KNOWN), "nvidia-h100-80gb")


def test_large_models_span_nodes_only_where_a_full_node_is_too_small() -> None:
    found = size(LLAMA31_405B, Ask(context=16_384), only("nvidia-h100-80gb"))
    assert (found.options[0].shape.pipeline_parallel, found.options[0].shape.tensor_parallel) == (2, 8)
    assert str(found.options[0].shape) == "16x nvidia-h100-80gb on 2 nodes at bf16"


def test_a_slice_takes_no_tensor_parallelism() -> None:
    slices = {name: spec for name, spec in KNOWN.items() if spec.slice}
    assert slices
    assert all(o.shape.accelerators == 1 for o in size(LLAMA31_8B, Ask(context=4096), slices).options)


models = st.sampled_from([LLAMA2_7B, LLAMA2_70B, LLAMA31_8B, LLAMA31_405B, QWEN25_05B])
asks = st.builds(
    Ask,
    context=st.one_of(st.none(), st.integers(256, 200_000)),
    concurrency=st.integers(1, 300),
    prompt=st.integers(1, 8192),
    output=st.integers(1, 2048),
    ttft=st.one_of(st.none(), st.floats(0.05, 5)),
    tpot=st.one_of(st.none(), st.floats(0.005, 0.5)),
    precisions=st.sampled_from([(None,), (None, Precision.FP8), FP8]),
)


@settings(max_examples=60)
@given(models, asks, st.sets(st.sampled_from(sorted(KNOWN)), min_size=1, max_size=4))
def test_what_an_option_promises(facts: ModelFacts, ask: Ask, names: set[str]) -> None:
    found = size(facts, ask, only(*names))
    for o in found.options:
        accelerator = KNOWN[o.shape.accelerator]
        assert illegal(facts, o.shape.tensor_parallel, o.shape.pipeline_parallel) == ""
        precision = None if o.shape.precision is facts.precision else o.shape.precision
        replica = Replica(facts, accelerator, o.shape.tensor_parallel, o.shape.pipeline_parallel, precision)
        assert memory.budget(replica, min(ask.context or facts.context, facts.context)).fits
        assert o.tpot <= (ask.tpot or o.tpot) * (1 + 1e-9)
        assert o.ttft <= (ask.ttft or o.ttft) * (1 + 1e-9)
        assert o.replicas * o.concurrency >= ask.concurrency
        assert o.load <= o.concurrency
        assert o.tokens_per_second > 0
    assert size(facts, ask, only(*names)) == found


@settings(max_examples=60)
@given(models, asks, st.floats(1, 3), st.floats(1, 3), st.sampled_from([1, 2]))
def test_more_memory_bandwidth_or_gpus_never_make_a_plan_unfit(
    facts: ModelFacts, ask: Ask, memory_more: float, bandwidth_more: float, gpus_more: int
) -> None:
    larger = H100.model_copy(
        update={
            "memory_gib": H100.memory_gib * memory_more,
            "bandwidth_gbps": H100.bandwidth_gbps * bandwidth_more,
            "max_per_node": H100.max_per_node * gpus_more,
        }
    )
    before, after = size(facts, ask, {"gpu": H100}), size(facts, ask, {"gpu": larger})
    there = {o.shape for o in after.options}
    lost = [o.shape for o in before.options if o.shape not in there and o.shape.pipeline_parallel == 1]
    assert not lost
    assert bool(after.options) >= bool(before.options)
