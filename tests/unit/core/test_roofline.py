"""How long a step takes: the examples that every guide names, and what physics does not allow."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.api.accelerator import Throughput
from inferops.catalogue import accelerators
from inferops.core.calibration import CALIBRATED, IDEAL, Calibration
from inferops.core.facts import Precision
from inferops.core.replica import Replica
from inferops.core.roofline import Step, ceiling_tokens_per_second, step_seconds, work_of
from unit.core.loads import ENCODER, LATENT, MIXTURE, WINDOWED, accelerator, replicas
from unit.core.models import LLAMA2_70B, LLAMA31_8B

KNOWN = accelerators()
STEPS = st.builds(
    Step,
    decoding=st.floats(1, 2000),
    context=st.floats(1, 100_000),
    prefill=st.floats(0, 16_384),
    prompt=st.floats(1, 60_000),
)
MORE = st.floats(1, 20)


def test_70_gb_of_weights_are_read_48_times_a_second_on_an_h100() -> None:
    replica = Replica(LLAMA2_70B, accelerator(), precision=Precision.FP8)
    assert ceiling_tokens_per_second(replica) == pytest.approx(48, abs=0.5)
    assert ceiling_tokens_per_second(replace(replica, tensor_parallel=4)) == pytest.approx(4 * 48, abs=2)


def test_without_constants_a_single_stream_is_as_fast_as_its_weights_are_read() -> None:
    replica = Replica(LLAMA2_70B, accelerator(), precision=Precision.FP8)
    read = 1 / ceiling_tokens_per_second(replica)
    assert step_seconds(replica, Step(1, 0), IDEAL) == pytest.approx(read, rel=0.01)


def test_a_large_prompt_takes_its_arithmetic() -> None:
    replica = Replica(LLAMA31_8B, accelerator())
    work = work_of(replica, Step(0, 0, prefill=8192, prompt=8192))
    attention = 4 * 32 * 32 * 128 * 4096 * 8192  # layers, heads, dimensions of keys and values, half the prompt, tokens
    layers = 2 * (LLAMA31_8B.params - LLAMA31_8B.embedding_params) * 8192
    assert work.arithmetic * 989e12 == pytest.approx(layers + attention, rel=0.01)


@pytest.mark.parametrize(
    ("case", "stored", "figure", "tflops"),
    [
        ("fp8 is computed in fp8", Precision.FP8, {"bf16": 100, "fp8": 200}, 200),
        ("where there is none, in 16 bits", Precision.FP8, {"bf16": 100}, 100),
        ("int8 is computed in int8", Precision.INT8, {"bf16": 100, "fp8": 300, "int8": 200}, 200),
        ("4-bit weights alone are computed in 16 bits", Precision.INT4, {"bf16": 100, "fp8": 200, "fp4": 400}, 100),
        ("nvfp4 is computed in fp4", Precision.NVFP4, {"bf16": 100, "fp8": 200, "fp4": 400}, 400),
        ("nvfp4 is widened without fp4", Precision.NVFP4, {"bf16": 100, "fp8": 200}, 100),
        ("mxfp4 is computed with activations of 8 bits", Precision.MXFP4, {"bf16": 100, "fp8": 200, "fp4": 400}, 200),
        ("what states no 16 bits computes in what it has", Precision.BF16, {"fp8": 200, "fp4": 400}, 200),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_which_arithmetic(case: str, stored: Precision, figure: dict[str, float], tflops: float) -> None:
    facts = replace(LLAMA31_8B, embedding_params=0.0, active_params=LLAMA31_8B.params)
    replica = Replica(facts, accelerator(tflops=Throughput.model_validate(figure)), precision=stored)
    work = work_of(replica, Step(1, 0))
    assert work.arithmetic == pytest.approx(2 * facts.params / (tflops * 1e12), rel=1e-6), case


def test_few_tokens_read_few_experts_and_many_all() -> None:
    replica = Replica(MIXTURE, accelerator())
    dense = MIXTURE.params - MIXTURE.expert_params
    one = work_of(replica, Step(1, 0)).weights * 3350e9
    many = work_of(replica, Step(2000, 0)).weights * 3350e9
    assert one == pytest.approx(dense + MIXTURE.expert_params * 8 / 128, rel=0.05)
    assert many == pytest.approx(dense + MIXTURE.expert_params, rel=0.02)


def test_a_mixture_in_4_bits_keeps_its_attention_in_16() -> None:
    replica = Replica(MIXTURE, accelerator(), precision=Precision.NVFP4)
    read = work_of(replica, Step(1e6, 0)).weights * 3350e9
    dense = MIXTURE.params - MIXTURE.expert_params
    assert read == pytest.approx(MIXTURE.expert_params * 0.5625 + 2 * dense, rel=0.02)


def test_windows_are_read_no_further_and_states_whatever_the_length() -> None:
    replica = Replica(WINDOWED, accelerator())
    near, far = (work_of(replica, Step(1, context)).cache * 3350e9 for context in (1024, 10_240))
    layer = 2 * 2 * 8 * 128  # bytes a token: 16 bits, keys and values, heads, dimensions
    assert far - near == pytest.approx(8 * layer * (10_240 - 1024))
    states = 2 * 2 * 8 * 1_000_000  # 16 bits, read and written, layers, values
    assert near == pytest.approx(24 * layer * 1024 + states)


def test_the_latent_is_whole_on_every_accelerator_and_heads_are_divided() -> None:
    def read(facts: object, tensor: int) -> float:
        return work_of(Replica(facts, accelerator(), tensor), Step(1, 1000)).cache  # type: ignore[arg-type]

    assert read(LATENT, 8) == read(LATENT, 1)
    assert read(MIXTURE, 4) == pytest.approx(read(MIXTURE, 1) / 4)
    assert read(MIXTURE, 8) == read(MIXTURE, 4)  # four KV heads over eight accelerators are replicated


def test_a_single_accelerator_sends_nothing() -> None:
    assert work_of(Replica(LLAMA31_8B, accelerator()), Step(8, 100))[4:6] == (0.0, 0.0)


def test_over_nodes_the_network_is_what_is_waited_for() -> None:
    inside = Replica(LLAMA31_8B, accelerator(max_per_node=16), tensor_parallel=16)
    across = replace(inside, accelerator=accelerator(max_per_node=8))
    step = Step(64, 100)
    assert work_of(across, step).transfer == pytest.approx(9 * work_of(inside, step).transfer)


def test_an_encoder_reads_no_cache_and_sees_the_whole_text() -> None:
    work = work_of(Replica(ENCODER, accelerator()), Step(0, 0, prefill=512, prompt=512))
    assert work.cache == 0 and work.arithmetic > 0


@given(replicas(), STEPS, MORE, st.sampled_from(["bandwidth_gbps", "link_gbps"]))
def test_more_of_it_is_never_slower(replica: Replica, step: Step, more: float, figure: str) -> None:
    better = replica.accelerator.model_copy(update={figure: getattr(replica.accelerator, figure) * more})
    assert step_seconds(replace(replica, accelerator=better), step) <= step_seconds(replica, step) * (1 + 1e-9)


@given(replicas(), STEPS, MORE, st.sampled_from(["bf16", "fp8", "int8", "fp4"]))
def test_more_arithmetic_is_never_slower(replica: Replica, step: Step, more: float, precision: str) -> None:
    had = replica.accelerator.tflops
    now = had.model_copy(update={precision: (getattr(had, precision) or 1.0) * more})
    better = replica.accelerator.model_copy(update={"tflops": now})
    assert step_seconds(replace(replica, accelerator=better), step) <= step_seconds(replica, step) * (1 + 1e-9)


@given(replicas(), STEPS, st.sampled_from(["decoding", "context", "prefill", "prompt"]), MORE)
def test_a_larger_step_never_takes_less(replica: Replica, step: Step, field: str, more: float) -> None:
    larger = replace(step, **{field: getattr(step, field) * more})
    assert step_seconds(replica, larger) >= step_seconds(replica, step) * (1 - 1e-9)


@given(replicas(), STEPS)
def test_no_step_is_faster_than_the_data_sheet_allows(replica: Replica, step: Step) -> None:
    work = work_of(replica, step)
    assert step_seconds(replica, step) >= max(work.weights, work.arithmetic, work.transfer) > 0


@pytest.mark.parametrize("field", [field.name for field in fields(Calibration)])
def test_every_constant_counts_and_none_beats_the_data_sheet(field: str) -> None:
    replica = Replica(LATENT, accelerator(), tensor_parallel=8)
    step = Step(64, 2000, prefill=512, prompt=2000)
    value = getattr(CALIBRATED, field)
    worse = replace(CALIBRATED, **{field: value * 2 if field.endswith("_seconds") else value / 2})
    assert step_seconds(replica, step, worse) > step_seconds(replica, step)
    assert value > 0 if field.endswith("_seconds") else 0 < value <= 1
