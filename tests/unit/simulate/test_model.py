"""The engine model: what it knows of models by name, its formula, and its figures against published ones."""

from __future__ import annotations

import random
from dataclasses import replace
from math import hypot

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferops.simulate.batching import Batch
from inferops.simulate.facts import GIB, MODELS, AcceleratorSpec, model_facts, weight_bytes
from inferops.simulate.model import Deployment, DoesNotFit
from inferops.simulate.replay import Arrival, replay

# Published capacities count an H100 as 80 * 10**9 bytes; the card has 80 GiB, 7 % more.
H100 = AcceleratorSpec("nvidia-h100-80gb", 80e9 / GIB, 3350, 989, 1978)
LLAMA_8B = Deployment(model_facts("meta-llama/Llama-3.1-8B-Instruct"), H100)
LLAMA_70B = Deployment(model_facts("meta-llama/Llama-3.3-70B-Instruct"), H100, tensor_parallel=4)

# Every twentieth quantile of the prompts and answers of a chat service (Azure LLM inference trace 2023,
# conversation; CC-BY), the last one cut so that the means, 1151 and 210 tokens, are those of the trace.
# fmt: off
PROMPTS = (2, 181, 207, 372, 387, 396, 403, 414, 703, 984, 1020, 1045, 1071, 1097, 1130, 1189, 1315, 1876, 2734, 4083,
           4831)
ANSWERS = (7, 41, 54, 67, 77, 85, 91, 96, 103, 113, 129, 151, 177, 217, 384, 395, 400, 411, 424, 451, 644)
# fmt: on


@pytest.mark.parametrize(
    ("name", "known", "billions", "layers"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b", 8.03, 32),
        ("meta-llama/Meta-Llama-3-8B", "llama-3-8b", 8.03, 32),
        ("/cache/hub/models--meta-llama--Llama-3.3-70B-Instruct/snapshots/6f6073b", "llama-3.3-70b", 70.55, 80),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "qwen2.5-7b", 7.62, 28),
        ("Qwen/Qwen2.5-72B", "qwen2.5-72b", 72.71, 80),
        ("Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b", 30.53, 48),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b", 46.7, 32),
    ],
)
def test_usual_models_are_known_by_their_names(name, known, billions, layers):
    facts = model_facts(name)
    assert (facts.name, facts.params / 1e9, facts.layers, facts.guessed) == (
        known,
        pytest.approx(billions),
        layers,
        False,
    )


@pytest.mark.parametrize(
    ("name", "billions", "layers"),
    [
        ("acme/writer-7b", 7, 32),
        ("acme/writer-65b-chat", 65, 80),
        ("acme/tiny-350m", 0.35, 24),
        ("/models/current", 8.03, 32),
    ],
)
def test_other_models_are_guessed_from_the_size_in_their_names(name, billions, layers):
    facts = model_facts(name)
    assert (facts.name, facts.params / 1e9, facts.layers) == (name, pytest.approx(billions), layers)
    assert facts.guessed


@pytest.mark.parametrize(
    ("name", "quantization", "dtype", "size"),
    [
        ("m", None, "auto", 2.0),
        ("m", None, "float32", 4.0),
        ("m", "fp8", "auto", 1.0),
        ("m", "awq_marlin", "auto", 0.55),
        ("m-GPTQ-Int4", None, "bfloat16", 0.55),
        ("m-FP8", None, "auto", 1.0),
    ],
)
def test_bytes_of_a_weight(name, quantization, dtype, size):
    assert weight_bytes(name, quantization, dtype) == size


def test_an_iteration_follows_the_roofline():
    timing = LLAMA_8B.timing()
    weights, bandwidth, flops = 8.03e9 * 2, 0.73 * 3350e9, 0.65 * 989e12
    for tokens, kv in ((1, 0), (64, 50_000), (8192, 100_000)):
        expected = 0.001 + hypot(weights / bandwidth, 2 * 8.03e9 * tokens / flops) + 131_072 * kv / bandwidth
        assert timing.of(tokens, kv) == pytest.approx(expected)


def test_four_accelerators_read_four_times_as_fast():
    one, four = LLAMA_8B.timing(), replace(LLAMA_8B, tensor_parallel=4).timing()
    assert one.dense_read == pytest.approx(4 * four.dense_read)
    assert one.per_token == pytest.approx(4 * four.per_token)
    assert one.per_kv_token == pytest.approx(4 * four.per_kv_token)


def test_kv_heads_are_replicated_beyond_their_number():
    facts = model_facts("Qwen/Qwen2.5-7B")
    assert facts.kv_heads == 4
    assert facts.kv_bytes_per_token(2, 8) == facts.kv_bytes_per_token(2, 4) == facts.kv_bytes_per_token(2, 1) / 4


def test_fp8_halves_the_weights_and_doubles_the_arithmetic_where_there_is_any():
    bf16, fp8 = LLAMA_8B.timing(), replace(LLAMA_8B, weight_bytes=1.0).timing()
    assert fp8.dense_read == pytest.approx(bf16.dense_read / 2)
    assert fp8.per_token == pytest.approx(bf16.per_token / 2)
    ampere = replace(LLAMA_8B, weight_bytes=1.0, accelerator=AcceleratorSpec("a100", 80, 2039, 312))
    assert ampere.timing().per_token == pytest.approx(2 * 8.03e9 / (0.65 * 312e12))


def test_few_tokens_read_few_experts():
    mixtral = Deployment(model_facts("Mixtral-8x7B"), H100, tensor_parallel=2).timing()
    every = (46.7e9 * 2) / (0.73 * 3350e9 * 2)
    active = (12.9e9 * 2) / (0.73 * 3350e9 * 2)
    assert mixtral.base(1) == pytest.approx(0.001 + active, rel=0.01)
    assert mixtral.base(64) == pytest.approx(0.001 + every, rel=0.03)


@given(st.sampled_from(MODELS), st.integers(1, 8192), st.integers(1, 8192), st.integers(0, 10**6))
def test_more_work_takes_longer(model, tokens, more, kv):
    timing = Deployment(model, H100, tensor_parallel=8).timing()
    assert timing.of(tokens, kv) < timing.of(tokens + more, kv) < timing.of(tokens + more, kv + 1000)


@pytest.mark.parametrize(("deployment", "published"), [(LLAMA_8B, 404_000), (LLAMA_70B, 412_000)])
def test_kv_capacity_is_the_published_one(deployment, published):
    assert deployment.kv_tokens() == pytest.approx(published, rel=0.005)


def test_the_memory_of_the_card_is_seven_percent_more():
    card = replace(LLAMA_8B, accelerator=replace(H100, memory_gib=80))
    assert card.kv_tokens() == pytest.approx(404_000 * 1.10, rel=0.01)


def test_a_model_that_does_not_fit_says_what_is_missing():
    with pytest.raises(DoesNotFit, match=r"needs 131.4 GiB for its weights; 1x nvidia-h100-80gb leave 64.3 GiB"):
        replace(LLAMA_70B, tensor_parallel=1).kv_tokens()


def within_slo(deployment: Deployment, rate: float, requests: int = 5000) -> float:
    """Share of a chat service's requests with TTFT <= 1 s and TPOT <= 50 ms at `rate` requests/s, Poisson."""
    rng, at, arrivals = random.Random(7), 0.0, []
    for _ in range(requests):
        at += rng.expovariate(rate)
        arrivals.append(Arrival(at, draw(rng, PROMPTS), draw(rng, ANSWERS)))
    served = replay(Batch(deployment.timing(), deployment.kv_tokens()), arrivals)
    good = sum(
        seq.first_token - seq.arrived <= 1.0 and seq.finished - seq.first_token <= 0.05 * max(1, seq.output - 1)
        for seq in served
    )
    return good / requests


def draw(rng: random.Random, quantiles: tuple[int, ...]) -> int:
    """A value whose distribution has these quantiles, linear between them."""
    place = rng.random() * (len(quantiles) - 1)
    low = int(place)
    return round(quantiles[low] + (quantiles[low + 1] - quantiles[low]) * (place - low))


@pytest.mark.parametrize(("deployment", "published", "tolerance"), [(LLAMA_8B, 16, 2), (LLAMA_70B, 6, 1)])
def test_capacity_on_chat_is_the_published_one(deployment, published, tolerance):
    """Published: about 16 and 6 requests/s a replica. The rate up to which 99 % meet both objectives lies within
    2 and 1 of them (it is 17 and 7 here): what "meets" means, and the seed, move it by as much."""
    assert within_slo(deployment, published - tolerance) >= 0.99
    assert within_slo(deployment, published + tolerance + 1) < 0.99
