"""The built-in models: facts of the usual ones by repository, quantized copies of them included."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from inferops.core.config_json import facts_of
from inferops.core.facts import ModelFacts, Precision

# How repositories of quantized copies end. What ends otherwise, -GGUF among it, is not known.
ENDINGS: tuple[tuple[re.Pattern[str], Precision], ...] = tuple(
    (re.compile(f"[-_.]({pattern})$"), precision)
    for pattern, precision in (
        ("fp8([-_.](dynamic|static|block|kv|per[-_]tensor))*", Precision.FP8),
        ("quantized[.]w8a(8|16)|w8a(8|16)|int8|gptq-(int8|8bit)|bnb-8bit", Precision.INT8),
        ("quantized[.]w4a16|w4a16(-g128)?|int4|(unsloth-)?bnb-4bit", Precision.INT4),
        ("awq(-(int4|4bit))?|int4-awq|gptq(-(int4|4bit))?|autoround(-int4)?", Precision.INT4),
        ("nvfp4(a16)?|fp4", Precision.NVFP4),
        ("mxfp4", Precision.MXFP4),
        ("bf16|fp16", Precision.BF16),
    )
)


@cache
def models() -> Mapping[str, ModelFacts]:
    """The built-in models by repository, such as meta-llama/Llama-3.1-8B-Instruct."""
    return MappingProxyType({name: facts_of(entry["shape"], name) for entry in _entries() for name in entry["names"]})


def built_in(uri_or_name: str) -> ModelFacts | None:
    """The facts of the model of that URI or repository; None where the table does not hold it.

    A repository is found under any organisation, and a folder or an image by its last part, whatever the case. A
    quantized copy has the precision of its ending. Nothing is guessed from the size in a name.
    """
    name = _repository(uri_or_name)
    if (found := _known(name)) is not None:
        return replace(found, name=name)
    for ending, precision in ENDINGS:
        match = ending.search(name.lower())
        if match and (found := _known(name[: match.start()])) is not None:
            return replace(found, name=name, precision=precision, checkpoint_bytes=None)
    return None


def _known(name: str) -> ModelFacts | None:
    found = _by_lower_case().get(name.lower())
    return found if found is not None else _by_lower_case().get(_last(name).lower())


def _repository(uri: str) -> str:
    """The part of a URI that names the model: ORG/MODEL of hf://, the last folder of the others, no tag."""
    scheme, separator, path = uri.partition("://")
    if not separator:
        return uri.strip("/")
    if scheme == "hf":
        return path.strip("/")
    return _last(re.sub(r"(:[^/:]*)?(@sha256:[0-9a-f]+)?$", "", path) if scheme == "oci" else path)


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


@cache
def _by_lower_case() -> Mapping[str, ModelFacts]:
    """Repositories and their last parts in lower case."""
    whole = {name.lower(): facts for name, facts in models().items()}
    return {**{_last(name): facts for name, facts in whole.items()}, **whole}


@cache
def _entries() -> list[dict[str, Any]]:
    text = resources.files(__package__).joinpath("models.yaml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = yaml.safe_load(text)["models"]
    return entries
