"""Estimates the bytes of a checkpoint that is not stored alike in all its parts, from what quantization left out.

Tools quantize some layers and leave others in 16 bits; they name those layers in lists, one by one or by patterns.
Names are looked for in such entries, and no pattern is run: it would be somebody else's.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum, auto
from typing import Any

from inferops.core.config_json.fields import Fields
from inferops.core.config_json.quantization import BY_METHOD, given_of, group_precision, named_precision
from inferops.core.facts import WEIGHT_BYTES, Precision

WIDE = WEIGHT_BYTES[Precision.BF16]
GROUP = 128  # weights that share a scale, which WEIGHT_BYTES reckons with
SKIPPED = ("ignore", "modules_to_not_convert", "exclude_modules")
LAYER = re.compile(r"layers[.\\]+([0-9]{1,9})[0-9]*\b(?P<rest>.*)", re.DOTALL)
PROJECTION = re.compile(r"[a-z_]+_proj")
# What weighs next to nothing, or is not of the language model's layers.
SMALL = re.compile(r"norm|bias|router|indexer|conv1d|embed|head\b|visual|vision|projector|mtp|([._]|^)gate([.*]|$)")
PROJECTIONS = 4  # of a usual attention: so many named ones are all of it


class Part(StrEnum):
    """A kind of weights within the layers."""

    ATTENTION = auto()  # and what stands in its place
    DENSE = auto()
    SHARED = auto()  # experts that every token passes
    EXPERTS = auto()


WORDS = (
    (Part.SHARED, ("shared_expert",)),
    (Part.EXPERTS, ("experts",)),
    (Part.ATTENTION, ("attn", "attention", "mixer")),
    (Part.DENSE, ("mlp", "feed_forward")),
)


def stored_bytes(
    fields: Fields, sidecar: Mapping[str, Any] | None, precision: Precision, weights: Mapping[Part, int], depth: int
) -> float | None:
    """Bytes of the `weights` of all layers; None where `precision` says all there is to say."""
    given = given_of(fields, sidecar)
    if given is None:
        return None
    wide = _left_out(_strings(given, *SKIPPED), depth)
    named = _named(given)
    experts_alone = not named and fields.text("expert_dtype") == "fp4"  # in 4 bits, under a method of 8
    each = _grouped(given, precision)
    if not wide and not experts_alone and len(set(named.values())) < 2 and each == WEIGHT_BYTES[precision]:
        return None
    base = BY_METHOD.get(given.text("quant_method").lower())
    rest = WIDE if base is None else WEIGHT_BYTES[base]
    total = 0.0
    for part, number in weights.items():
        if part in named:
            quantized = WEIGHT_BYTES[named[part]]
        else:
            quantized = rest if named or (experts_alone and part != Part.EXPERTS) else each
        share = wide.get(part, 0.0)
        total += number * (share * (rest if named else WIDE) + (1 - share) * quantized)
    return total


def part_of(entry: str) -> Part | None:
    """The part that the name of a module, or a pattern of such, speaks of; None where it weighs nothing."""
    lower = entry.lower()
    if SMALL.search(lower):
        return None
    return next((part for part, words in WORDS if any(word in lower for word in words)), None)


def _strings(given: Fields, *names: str) -> list[str]:
    """The strings in a list; what is none of it is passed over, since an estimate is all that hangs on it."""
    found = given.raw(*names)[1]
    return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []


def _left_out(entries: Iterable[str], depth: int) -> dict[Part, float]:
    """The share of each part that is not quantized."""
    layers: dict[Part, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    everywhere: dict[Part, float] = {}
    for entry in entries:
        match, part = LAYER.search(entry), part_of(entry)
        if match is None:
            if part is not None:
                everywhere[part] = 1.0
            continue
        layer = int(match[1])
        if layer >= depth or "mtp" in entry:
            continue
        whole = match["rest"] in ("", "*", ".*")
        for touched in Part if whole else [part] if part is not None else []:
            layers[touched][layer].add("" if whole else _projection(match["rest"]))
    shares = {
        part: sum(1.0 if "" in names else min(1.0, len(names) / PROJECTIONS) for names in found.values()) / depth
        for part, found in layers.items()
    }
    return {**shares, **everywhere}


def _projection(rest: str) -> str:
    """The one matrix that an entry names; empty where it names all of the part."""
    found = PROJECTION.search(rest)
    return found[0] if found else ""


def _named(given: Fields) -> dict[Part, Precision]:
    """How each part is stored, where layers or groups are listed with a precision of their own."""
    counts: dict[Part, Counter[Precision]] = defaultdict(Counter)
    layers = given.inner("quantized_layers")
    for name in layers.parts[0] if layers else ():
        inner = layers.inner(name) if layers else None
        if inner is not None and (part := part_of(name)) is not None:
            counts[part][named_precision(inner, inner.text("quant_algo").upper())] += 1
    groups = given.inner("config_groups") if layers is None else None
    for name in groups.parts[0] if groups else ():
        group = groups.inner(name) if groups else None
        precision = group_precision(given, group) if group else None
        if group is None or precision is None:
            continue
        for target in _strings(group, "targets"):
            if (part := part_of(target)) is not None:
                counts[part][precision] += 1
    return {part: count.most_common(1)[0][0] for part, count in counts.items()}


def _grouped(given: Fields, precision: Precision) -> float:
    """Bytes of a weight in 4-bit integers with the scale, and the zero point if any, of its group."""
    if precision != Precision.INT4:
        return WEIGHT_BYTES[precision]
    sources = [given]
    groups = given.inner("config_groups")
    for name in groups.parts[0] if groups else ():
        group = groups.inner(name) if groups else None
        sources += [weights] if group and (weights := group.inner("weights")) else []
    for source in reversed(sources):
        size = source.maybe("group_size", "q_group_size", low=-1)
        if size is not None and size != GROUP:
            scale = 2.0 if source.flag("symmetric", "sym") else 2.5
            return 0.5 + (scale / size if size > 0 else 0.0)
    return WEIGHT_BYTES[precision]
