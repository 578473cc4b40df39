"""Which model a command line means: by its config.json, by the built-in table, else a guess from its name.

Engines are simulated without their weights, so every name has to have a shape. In this order: the config.json of the
folder that is named, where it can be read; the built-in model that a part of the name or path names; the built-in model
of a usual dense architecture nearest to the size in the name ("-7b"); Llama-3.1-8B.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log
from pathlib import Path

from inferops.catalogue import built_in, models
from inferops.catalogue.modeltable import ENDINGS
from inferops.core.config_json import facts_of
from inferops.core.facts import UNQUANTIZED, ModelFacts, Precision

FALLBACK = "meta-llama/Llama-3.1-8B"
USUAL = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
SIZE = re.compile(r"(?:^|[-_/])(\d+(?:\.\d+)?)([bm])(?=$|[-_/.])")
# Words of --quantization by which engines quantize what they load, or name how it is stored.
METHODS: tuple[tuple[str, Precision], ...] = (
    ("nvfp4", Precision.NVFP4),
    ("modelopt_fp4", Precision.NVFP4),
    ("mxfp4", Precision.MXFP4),
    ("fp8", Precision.FP8),
    ("int8", Precision.INT8),
    ("w8a8", Precision.INT8),
    ("int4", Precision.INT4),
    ("awq", Precision.INT4),
    ("gptq", Precision.INT4),
    ("w4a", Precision.INT4),
    ("bitsandbytes", Precision.INT4),
)


@dataclass(frozen=True, slots=True)
class Named:
    """What a name means."""

    facts: ModelFacts
    guessed: bool = False  # from the name alone


def model_named(name: str) -> Named:
    """The model `name`: a repository name, a path, or a cache folder that contains the repository's name."""
    if (found := _of_folder(Path(name), name)) is not None:
        return Named(found)
    for part in _parts(name):
        if (found := built_in(part)) is not None:
            return Named(found)
    return Named(_guess(name), guessed=True)


def params_in(name: str) -> float | None:
    """The number of weights that `name` states, as in "-7b" or "-350m"; None when it states none."""
    sizes = [float(number) * (1e9 if unit == "b" else 1e6) for number, unit in SIZE.findall(name.lower())]
    return sizes[-1] if sizes and sizes[-1] > 0 else None


def precision_asked(facts: ModelFacts, quantization: str | None, dtype: str = "auto") -> Precision | None:
    """How an engine stores the weights: by --quantization and --dtype; None: as the checkpoint is."""
    if facts.precision not in UNQUANTIZED:
        return None
    if quantization is not None:
        return next((stored for word, stored in METHODS if word in quantization.lower()), None)
    if dtype in ("float32", "float"):
        return Precision.FP32
    return None if dtype == "auto" else Precision.BF16


def _of_folder(folder: Path, name: str) -> ModelFacts | None:
    """The facts by the files of a model's folder; None where they cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        sidecar = folder / "hf_quant_config.json"
        return facts_of(
            config, name, quantization_config=json.loads(sidecar.read_bytes()) if sidecar.is_file() else None
        )
    except (OSError, ValueError):  # BadConfig is one
        return None


def _parts(name: str) -> Iterator[str]:
    """The name, then the parts of its path, the last one first: a folder of a cache is models--ORG--MODEL."""
    yield name
    for part in reversed(name.split("/")):
        yield part.removeprefix("models--").replace("--", "/")


def _guess(name: str) -> ModelFacts:
    params = params_in(name.replace("--", "/"))
    shape = models()[FALLBACK] if params is None else _nearest(params)
    return replace(shape, name=name, precision=_ending(name) or shape.precision)


def _nearest(params: float) -> ModelFacts:
    """The usual dense decoder of the table, without windows, whose size is nearest to `params`, by ratio."""
    usual = [
        facts
        for facts in models().values()
        if facts.architecture in USUAL
        and facts.precision is Precision.BF16
        and all(group.window is None for group in facts.layers)
    ]
    return min(usual, key=lambda facts: abs(log(facts.params / params)))


def _ending(name: str) -> Precision | None:
    """The precision that the end of a repository's name tells."""
    ends = [part.lower() for part in _parts(name) if part]
    return next((precision for end in ends for pattern, precision in ENDINGS if pattern.search(end)), None)
