"""Reads the fields of a config.json under any of the names that architectures give them, and refuses what is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 10_000_000_000  # no size in a config.json is larger; what is, is a mistake
MOST_LAYERS = 2_000
REMEDY = "give the model's whole config.json, as its repository has it"


class BadConfig(ValueError):
    """A config.json from which a model's size cannot be told. The message names the field and the remedy."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a language model; those of `parts` that come first win. A null counts as left out."""

    name: str  # of the model, for messages
    parts: tuple[Mapping[str, Any], ...]

    def bad(self, field: str, wrong: str, remedy: str = REMEDY) -> BadConfig:
        """The error for a field."""
        return BadConfig(f"config.json of {self.name}: {field} {wrong}; {remedy}")

    def raw(self, *names: str) -> tuple[str, Any]:
        """The first of `names` that is given, and its value; the value is None where none is."""
        for part in self.parts:
            for name in names:
                if part.get(name) is not None:
                    return name, part[name]
        return names[0], None

    def maybe(self, *names: str, low: int = 0, high: int = MOST) -> int | None:
        """A whole number, or None where it is left out. A list of equal numbers, one a layer, counts as its first.

        Raises BadConfig on anything else, and outside `low` to `high`.
        """
        name, value = self.raw(*names)
        if isinstance(value, list) and value:
            value = value[0]
        return None if value is None else self._whole(name, value, low, high)

    def at(self, layer: int, *names: str, low: int = 0) -> int | None:
        """Like `maybe`, of one layer, where a list gives one number a layer."""
        name, value = self.raw(*names)
        if not isinstance(value, list):
            return None if value is None else self._whole(name, value, low, MOST)
        if layer >= len(value):
            raise self.bad(name, f"has {len(value)} entries, too few for its layers")
        return self._whole(name, value[layer], low, MOST)

    def size(self, *names: str, default: int | None = None, high: int = MOST) -> int:
        """A number of at least 1. Zero and null count as left out; without a `default` that is refused."""
        found = self.maybe(*names, high=high) or default
        if not found:
            others = f" (or {', '.join(names[1:])})" if names[1:] else ""
            raise self.bad(f"{names[0]}{others}", "is missing")
        return found

    def flag(self, *names: str, default: bool = False) -> bool:
        """A truth value."""
        name, value = self.raw(*names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.bad(name, f"is {_shown(value)} and not true or false")
        return value

    def text(self, *names: str) -> str:
        """A string; empty where it is left out."""
        name, value = self.raw(*names)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.bad(name, f"is {_shown(value)} and not a string")
        return value

    def number(self, *names: str) -> float | None:
        """A finite number above 0, or None where it is left out."""
        name, value = self.raw(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
            raise self.bad(name, f"is {_shown(value)} and not a number above 0")
        return float(value)

    def items(self, *names: str) -> Sequence[Any] | None:
        """A list, or None where it is left out."""
        name, value = self.raw(*names)
        if value is not None and not isinstance(value, list):
            raise self.bad(name, f"is {_shown(value)} and not a list")
        return value

    def indices(self, *names: str) -> frozenset[int]:
        """The layers that a list names by their numbers; none where it is left out."""
        return frozenset(entry for entry in self.items(*names) or () if isinstance(entry, int))

    def per_layer(self, layers: int, *names: str) -> Sequence[Any] | None:
        """A list of at least `layers` entries (those of layers for speculation follow), or None."""
        value = self.items(*names)
        if value is not None and len(value) < layers:
            raise self.bad(self.raw(*names)[0], f"has {len(value)} entries for {layers} layers")
        return value

    def inner(self, *names: str) -> Fields | None:
        """The fields of an object within, or None where it is left out."""
        name, value = self.raw(*names)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.bad(name, f"is {_shown(value)} and not an object")
        return Fields(self.name, (value,))

    def _whole(self, name: str, value: Any, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(name, f"is {_shown(value)} and not a number")
        if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
            raise self.bad(name, f"is {value} and not a whole number")
        if not low <= value <= high:
            raise self.bad(name, f"is {_shown(value)}, which is not within {low} and {high}")
        return int(value)


def _shown(value: Any) -> str:
    """A value of somebody else's for a message, cut to what fits in one."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    shown = repr(value) if isinstance(value, str | int | float | bool) else f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def fields_of(config: Mapping[str, Any], name: str) -> Fields:
    """The language model's fields of a whole config.json; those of a multimodal one stand in an object within."""
    if not isinstance(config, Mapping):
        raise BadConfig(f"config.json of {name}: is {_shown(config)} and not an object; {REMEDY}")
    whole = Fields(name, (config,))
    speaker = whole.inner("thinker_config") or whole
    nested = speaker.inner("text_config", "llm_config", "language_config", "language_model_config")
    parts = (*nested.parts, config) if nested else (config,)
    within = [inner.parts[0] for key in ("attn_config", "ffn_config") if (inner := Fields(name, parts).inner(key))]
    known = Fields(name, (*parts, *within))
    kind = known.text("model_type")
    return Fields(name, (*known.parts, LEFT_OUT.get(kind, {}) if nested else {}, USUAL.get(kind, {})))


# What a multimodal model's text_config leaves out where it is the default of its architecture.
_LLAMA = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
_LLAMA_TEXT = {**_LLAMA, "vocab_size": 32000, "max_position_embeddings": 2048}
_MISTRAL_TEXT = {**_LLAMA_TEXT, "intermediate_size": 14336, "num_key_value_heads": 8, "max_position_embeddings": 131072}
LEFT_OUT: dict[str, Mapping[str, Any]] = {"llama": _LLAMA_TEXT, "mistral": _MISTRAL_TEXT}
_GEMMA3 = {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 131072}
_GEMMA3_TEXT = {**_GEMMA3, "vocab_size": 262208, "sliding_window": 4096, "sliding_window_pattern": 6}
# What a whole config.json leaves out.
_FALCON = {"max_position_embeddings": 2048, "tie_word_embeddings": True}
_TIED = {"tie_word_embeddings": True}
USUAL: dict[str, Mapping[str, Any]] = {
    "gemma": _TIED,
    "gemma2": {**_TIED, "sliding_window_pattern": 2},
    "gemma3_text": {**_TIED, **_GEMMA3_TEXT},
    "gemma3n_text": {**_TIED, "vocab_size_per_layer_input": 262144},
    "gemma4_text": _TIED,
    "cohere": _TIED,
    "cohere2": {**_TIED, "sliding_window_pattern": 4},
    "falcon": _FALCON,
    "RefinedWebModel": _FALCON,
    "RefinedWeb": _FALCON,
    "bloom": {"max_position_embeddings": 2048, "tie_word_embeddings": True},
    "gpt2": _TIED,
    "gpt_bigcode": _TIED,
    "opt": _TIED,
    "mpt": _TIED,
    "starcoder2": _TIED,
    "gpt_oss": {"sliding_window_pattern": 2},
    "llama4_text": {"no_rope_layer_interval": 4},
}
