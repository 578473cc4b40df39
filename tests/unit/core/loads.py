"""Models, accelerators and loads of any kind, for what must hold of every prediction."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from inferops.api.accelerator import AcceleratorSpec
from inferops.catalogue import accelerators
from inferops.core.facts import Layers, ModelFacts, Precision
from inferops.core.replica import Replica
from unit.core.models import LLAMA2_7B, LLAMA2_70B, LLAMA31_8B, QWEN25_05B

MIXTURE = ModelFacts(
    name="a mixture of experts",
    architecture="MixtureForCausalLM",
    params=235e9,
    active_params=22e9,
    expert_params=227e9,
    embedding_params=1.2e9,
    experts=128,
    experts_per_token=8,
    hidden=4096,
    intermediate=1536,
    vocabulary=151_936,
    heads=64,
    context=40_960,
    layers=(Layers(94, kv_heads=4, key_dim=128, value_dim=128),),
    precision=Precision.FP8,
)
LATENT = replace(MIXTURE, name="latent attention", heads=128, layers=(Layers(61, latent_dim=576),))
WINDOWED = replace(
    LLAMA31_8B,
    name="windows and states",
    layers=(
        Layers(16, kv_heads=8, key_dim=128, value_dim=128, window=1024),
        Layers(8, kv_heads=8, key_dim=128, value_dim=128),
        Layers(8, state_values=1_000_000),
    ),
)
ENCODER = replace(QWEN25_05B, name="an encoder", decoder=False, layers=(Layers(24),))
MODELS = (LLAMA2_7B, LLAMA2_70B, LLAMA31_8B, QWEN25_05B, MIXTURE, LATENT, WINDOWED)


def accelerator(**changes: object) -> AcceleratorSpec:
    """An H100 but for `changes`, by the fields' names in Python."""
    return accelerators()["nvidia-h100-80gb"].model_copy(update={"link_gbps": 450.0, **changes})


@st.composite
def replicas(draw: st.DrawFn) -> Replica:
    """A replica, whether or not it fits and is legal: predictions do not judge that."""
    names = sorted(accelerators())
    return Replica(
        draw(st.sampled_from(MODELS)),
        accelerators()[draw(st.sampled_from(names))],
        tensor_parallel=draw(st.sampled_from([1, 2, 4, 8, 16])),
        pipeline_parallel=draw(st.integers(1, 3)),
        precision=draw(st.one_of(st.none(), st.sampled_from(Precision))),
        kv_precision=draw(st.sampled_from([Precision.BF16, Precision.FP8])),
    )


PROMPTS = st.integers(1, 60_000)
OUTPUTS = st.integers(1, 8000)
CONCURRENCIES = st.integers(1, 3000)
