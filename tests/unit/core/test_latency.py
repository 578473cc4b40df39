"""What clients see under load: how it grows, what is bounded by what, and how much load limits allow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.core import latency
from inferops.core.calibration import IDEAL
from inferops.core.facts import Precision
from inferops.core.replica import Replica
from inferops.core.roofline import Step, step_seconds
from unit.core.loads import CONCURRENCIES, OUTPUTS, PROMPTS, accelerator, replicas
from unit.core.models import LLAMA2_70B, LLAMA31_8B

EIGHT_B = Replica(LLAMA31_8B, accelerator())


def test_a_single_request_decodes_undisturbed() -> None:
    alone = step_seconds(EIGHT_B, Step(1, 1024 + 128))
    assert latency.tpot(EIGHT_B, 1024, 256, 1) == pytest.approx(alone)


def test_an_8b_model_on_an_h100_is_as_fast_as_engines_are() -> None:
    """16 GB of weights at 3350 GB/s are 4.8 ms; engines that are measured take 6 to 9 ms for a few requests."""
    assert 0.0055 < latency.tpot(EIGHT_B, 1024, 512, 1) < 0.0085
    assert latency.tpot(EIGHT_B, 1024, 512, 1, IDEAL) == pytest.approx(0.0048, rel=0.05)


def test_a_70b_model_in_fp8_on_one_h100_gives_a_stream_some_30_to_48_tokens_a_second() -> None:
    replica = Replica(LLAMA2_70B, accelerator(), precision=Precision.FP8)
    assert 30 < 1 / latency.tpot(replica, 512, 512, 1) < 48


def test_long_prompts_of_others_slow_every_token_down() -> None:
    short, long = (latency.tpot(EIGHT_B, prompt, 256, 32) for prompt in (128, 8192))
    assert long > 4 * short
    assert latency.tpot(EIGHT_B, 8192, 8192, 32) < long  # long answers call for fewer prompts in the same time


def test_the_first_token_waits_for_the_prompts_that_come_together() -> None:
    one, ten, hundred = (latency.ttft(EIGHT_B, 4096, 256, number) for number in (1, 11, 101))
    own = one - latency.REQUEST_SECONDS
    assert ten > one + 0.9 * (own - latency.tpot(EIGHT_B, 4096, 256, 1))
    assert hundred > 4 * ten


def test_batching_serves_far_more_tokens_than_a_single_stream() -> None:
    one, many = (latency.tokens_per_second(EIGHT_B, 256, 512, number) for number in (1, 64))
    assert 20 * one < many < 64 * one


def test_stages_take_turns_with_their_parts_of_the_sequences() -> None:
    staged = replace(EIGHT_B, pipeline_parallel=2)
    assert latency.tpot(staged, 1024, 256, 2) > latency.tpot(EIGHT_B, 1024, 256, 1)  # over a link
    assert latency.tpot(staged, 4096, 256, 64) < latency.tpot(EIGHT_B, 4096, 256, 64)


@pytest.mark.parametrize(
    ("case", "tpot", "ttft", "most", "expected"),
    [
        ("without limits it is what fits", None, None, 48, 48),
        ("nothing fits", None, None, 0, 0),
        ("less than nothing fits", None, None, -3, 0),
        ("no engine is that fast between tokens", 0.0001, None, 48, 0),
        ("nor to the first", None, 0.0001, 48, 0),
        ("limits that all keep", 10.0, 1000.0, 48, 48),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_concurrency_within(case: str, tpot: float | None, ttft: float | None, most: int, expected: int) -> None:
    assert latency.concurrency_within(EIGHT_B, 1024, 256, tpot=tpot, ttft=ttft, most=most) == expected, case


@given(replicas(), PROMPTS, OUTPUTS, CONCURRENCIES, CONCURRENCIES)
def test_more_requests_are_never_served_faster(
    replica: Replica, prompt: int, output: int, one: int, other: int
) -> None:
    few, many = sorted((one, other))
    for seen in (latency.tpot, latency.ttft):
        assert seen(replica, prompt, output, few) <= seen(replica, prompt, output, many) * (1 + 1e-9)


@given(replicas(), PROMPTS, OUTPUTS, CONCURRENCIES, st.floats(1, 10))
def test_a_better_accelerator_never_serves_slower(
    replica: Replica, prompt: int, output: int, concurrency: int, more: float
) -> None:
    had = replica.accelerator
    tflops = had.tflops.model_copy(update={"bf16": (had.tflops.bf16 or 0) * more})
    for change in (
        {"bandwidth_gbps": had.bandwidth_gbps * more},
        {"link_gbps": had.link_gbps * more},
        {"tflops": tflops},
    ):
        better = replace(replica, accelerator=had.model_copy(update=change))
        for seen in (latency.tpot, latency.ttft):
            load = (prompt, output, concurrency)
            assert seen(better, *load) <= seen(replica, *load) * (1 + 1e-9)


@given(replicas(), PROMPTS, OUTPUTS, st.floats(0.001, 1), st.floats(0.06, 30), st.integers(0, 1024))
def test_the_concurrency_found_keeps_the_limits_and_the_next_does_not(
    replica: Replica, prompt: int, output: int, tpot: float, ttft: float, most: int
) -> None:
    found = latency.concurrency_within(replica, prompt, output, tpot=tpot, ttft=ttft, most=most)

    def keeps(number: int) -> bool:
        load = (replica, prompt, output, number)
        return latency.tpot(*load) <= tpot and latency.ttft(*load) <= ttft

    assert 0 <= found <= most
    assert found == 0 or keeps(found)
    assert found == most or not keeps(found + 1)
