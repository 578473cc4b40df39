"""The simulated engine is as fast as sizing predicts: step by step, and under load."""

from __future__ import annotations

from statistics import mean

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from inferops.catalogue import accelerators, models
from inferops.core import latency
from inferops.core.parallel import illegal
from inferops.core.replica import Replica
from inferops.core.roofline import Step, step_seconds
from inferops.simulate.batching import Batch
from inferops.simulate.model import Deployment
from inferops.simulate.sequence import Sequence
from inferops.simulate.timing import Chunk, iteration_time

KNOWN, MODELS = accelerators(), models()
H100 = KNOWN["nvidia-h100-80gb"]
ONE_OF_A_KIND = {(*facts.layers, facts.experts, facts.hidden): name for name, facts in MODELS.items()}.values()
DECODERS = [name for name in ONE_OF_A_KIND if MODELS[name].decoder]


@example("google/gemma-3-27b-it", "nvidia-h100-80gb", 1, 1, 200, 900, 3000)
@example("deepseek-ai/DeepSeek-V3", "nvidia-h200", 8, 1, 64, 4000, 8192)
@given(
    st.sampled_from(DECODERS),
    st.sampled_from(sorted(KNOWN)),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2]),
    st.integers(0, 512),
    st.integers(0, 150_000),
    st.integers(0, 16_384),
)
def test_every_step_takes_as_long_as_the_roofline_says(
    model: str, accelerator: str, tensor: int, stages: int, decoding: int, context: int, prompt: int
) -> None:
    assume(decoding + prompt > 0)
    replica = Replica(MODELS[model], KNOWN[accelerator], tensor, stages)
    assume(not illegal(replica.facts, tensor, stages))
    chunks = [Chunk(prompt, 0)] if prompt else []
    expected = step_seconds(replica, Step(decoding, context if decoding else 0, prompt, prompt))
    found = iteration_time(replica).of(decoding * stages, decoding * context * stages, chunks)
    assert found == pytest.approx(expected, rel=1e-9)


@given(st.sampled_from(sorted(set(MODELS) - set(DECODERS))), st.integers(1, 2**16))
def test_so_does_the_only_step_of_an_encoder(model: str, prompt: int) -> None:
    replica = Replica(MODELS[model], H100)
    assert iteration_time(replica).of(0, 0, [Chunk(prompt, 0)]) == pytest.approx(
        step_seconds(replica, Step(0, 0, prompt, prompt)), rel=1e-9
    )


@given(st.sampled_from(DECODERS), st.lists(st.integers(1, 2048), min_size=1, max_size=6))
def test_chunks_of_a_prompt_attend_to_as_much_as_the_whole(model: str, sizes: list[int]) -> None:
    facts = MODELS[model]
    assume(not facts.experts and all(group.window is None for group in facts.layers))
    timing = iteration_time(Replica(facts, H100))
    apart = sum(timing.of(0, 0, [Chunk(size, sum(sizes[:number]))]) for number, size in enumerate(sizes))
    again = (len(sizes) - 1) * (timing.fixed + timing.prompts)  # what each iteration costs besides
    assert apart == pytest.approx(timing.of(0, 0, [Chunk(sum(sizes), 0)]) + again, rel=1e-9)


@given(st.sampled_from(DECODERS), st.integers(1, 256), st.integers(0, 10_000), st.integers(1, 3000))
def test_it_grows_as_it_says(model: str, decoding: int, context: int, iterations: int) -> None:
    timing = iteration_time(Replica(MODELS[model], H100))
    growth, steady = timing.growth(decoding, decoding * context)
    last = min(iterations, int(min(steady, iterations))) - 1
    first = timing.of(decoding, decoding * context)
    assert timing.of(decoding, decoding * (context + last)) == pytest.approx(first + last * growth, rel=1e-9)


def closed_loop(deployment: Deployment, prompt: int, output: int, concurrency: int) -> list[Sequence]:
    """Requests of a replica in which `concurrency` are at work at all times, those of the middle of the time."""
    batch, now = Batch(deployment.timing(), deployment.kv_tokens()), 0.0
    done: list[Sequence] = []
    for begun in range(concurrency):  # spread over the first round, as after a while under load
        batch.add(prompt, max(1, output * (begun + 1) // concurrency), now)
    while len(done) < 12 * concurrency and (step := batch.step(now)) is not None:
        now = step.end
        for seq in step.finished:
            done.append(seq)
            batch.add(prompt, output, now)
    return done[concurrency * 2 :]


@pytest.mark.parametrize(
    ("model", "accelerator", "tensor", "prompt", "output", "concurrency"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "nvidia-l4", 1, 512, 256, 4),
        ("meta-llama/Llama-3.1-8B-Instruct", "nvidia-h100-80gb", 1, 1024, 256, 32),
        ("meta-llama/Llama-3.3-70B-Instruct", "nvidia-h100-80gb", 4, 1024, 256, 16),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "nvidia-h100-80gb", 2, 256, 256, 8),
        ("google/gemma-3-27b-it", "nvidia-h200", 1, 2048, 128, 8),
    ],
)
def test_under_load_tokens_come_as_fast_as_sizing_predicts(
    model: str, accelerator: str, tensor: int, prompt: int, output: int, concurrency: int
) -> None:
    replica = Replica(MODELS[model], KNOWN[accelerator], tensor)
    served = closed_loop(Deployment(replica, accelerator, prompt + output), prompt, output, concurrency)
    seen = mean((seq.finished - seq.first_token) / (output - 1) for seq in served if seq.finished and seq.first_token)
    assert seen == pytest.approx(latency.tpot(replica, prompt, output, concurrency), rel=0.05)
