"""Formats of strings: every pattern that a field of ours must match, with the sentence that refuses anything else."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from inferops.api.checks import IntOrString, Matching

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION_PATTERN = r"^([0-9]{1,6}(ms|s|m)|[0-9]{1,4}(h|d)){1,4}$"  # bounded, so that now + duration is a date
DURATION_MESSAGE = "must be a duration, for example 800ms, 30s, 5m or 1h30m"
Duration = Annotated[str, Field(max_length=32), Matching(DURATION_PATTERN, DURATION_MESSAGE)]
PositiveDuration = Annotated[Duration, Matching("^.*[1-9].*$", "must be longer than 0, for example 800ms, or left out")]


def seconds(duration: str) -> float:
    """Seconds of a duration such as `800ms`, `90s` or `1h30m`. Raises ValueError on anything else."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} {DURATION_MESSAGE}")
    parts = re.findall(r"([0-9]+)(ms|s|m|h|d)", duration)
    return sum(int(number) * DURATION_UNITS[unit] for number, unit in parts)


_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_NAME = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_WORD = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"  # a label's value, and the last part of its key

Name = Annotated[
    str,
    Field(max_length=63),
    Matching(f"^{_DNS_LABEL}$", "must be a name of lower-case letters, digits and '-', for example team-a"),
]
ObjectName = Annotated[
    str,
    Field(max_length=253),
    Matching(
        f"^{_DNS_NAME}$",
        "must be an object's name: lower-case letters, digits, '-' and '.', a letter or digit at both ends",
    ),
]
SecretKeyName = Annotated[
    str,
    Field(max_length=253),
    Matching("^[-._a-zA-Z0-9]+$", "must be a key of a Secret: letters, digits, '-', '_' and '.'"),
]
ConfigMapKeyName = Annotated[
    str,
    Field(max_length=253),
    Matching("^[-._a-zA-Z0-9]+$", "must be a key of a ConfigMap: letters, digits, '-', '_' and '.'"),
]
EnvName = Annotated[
    str,
    Field(max_length=128),
    Matching("^[A-Za-z_][A-Za-z0-9_]*$", "must be a variable's name: letters, digits and '_', no digit at its start"),
]
LabelKey = Annotated[
    str,
    Field(max_length=317),
    Matching(
        f"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_WORD}$", "must be a label's key, for example example.com/tier"
    ),
]
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Matching(
        f"^({_WORD})?$", "must be a label's value: letters, digits, '-', '_' and '.', a letter or digit at both ends"
    ),
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=32)]
ResourceName = Annotated[
    str,
    Field(max_length=253),
    Matching(f"^{_DNS_NAME}/{_WORD}$", "must be an extended resource with its domain, for example nvidia.com/gpu"),
]

AttributeName = Annotated[
    str,
    Field(max_length=32),
    Matching("^[A-Za-z_][A-Za-z0-9_]*$", "must be an attribute's name without a domain, for example productName"),
]
AttributeValue = Annotated[
    str,
    Field(max_length=64),
    Matching("^[-A-Za-z0-9 _.:/()+]+$", "must be an attribute's text: letters, digits, blanks and any of -_.:/()+"),
]

Cpu = Annotated[
    str,
    Field(max_length=32),
    IntOrString(),
    Matching(r"^([0-9]{1,6}(\.[0-9]{1,3})?|[0-9]{1,9}m)$", "must be a number of CPUs, for example 8 or 500m"),
]
Bytes = Annotated[
    str,
    Field(max_length=32),
    Matching(r"^[0-9]{1,9}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)$", "must be a size with its unit, for example 64Gi"),
]

Image = Annotated[
    str,
    Field(max_length=512),
    Matching("^[a-z0-9][-a-zA-Z0-9_./:@]*$", "must be an image, for example vllm/vllm-openai:v0.32.0"),
]
Argument = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Matching(
        "(?s)^(-?[^-].*|-|--[^= ]*(=.*)?)$",
        "must be one word: write '--max-num-seqs', '64' as two items, or '--max-num-seqs=64' as one",
    ),
]
Flag = Annotated[
    str,
    Field(max_length=128),
    Matching(
        r"^(--[a-z0-9][-a-z0-9.]*\*?|\*)$",
        "must be a flag such as --max-num-seqs, a start such as --kv-*, or * for all",
    ),
]

ModelUri = Annotated[
    str,
    Field(max_length=512),
    Matching(
        r"^(hf://[A-Za-z0-9][-A-Za-z0-9_.]*/[A-Za-z0-9][-A-Za-z0-9_.]*"
        r"|(s3|gs)://[a-z0-9][-a-z0-9.]{1,61}[a-z0-9](/[-A-Za-z0-9_.=]+)*/?"
        r"|pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[-A-Za-z0-9_.=]+)*/?"
        r"|oci://[a-z0-9][-a-z0-9.]*(:[0-9]+)?(/[-a-z0-9_.]+)+"
        r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[a-f0-9]{64})?)$",
        "must be hf://ORG/MODEL, s3://BUCKET/PATH, gs://BUCKET/PATH, pvc://CLAIM/PATH or oci://REGISTRY/IMAGE:TAG, "
        "for example hf://Qwen/Qwen3-8B",
    ),
]
ModelName = Annotated[
    str,
    Field(max_length=128),
    Matching("^[A-Za-z0-9][-A-Za-z0-9_./:]*$", "must be a model's name, for example qwen3-8b or Qwen/Qwen3-8B"),
]
ModelRevision = Annotated[
    str,
    Field(max_length=128),
    Matching("^[A-Za-z0-9][-A-Za-z0-9_./]*$", "must be a commit, branch or tag, for example main or 6f6073b"),
]
Hostname = Annotated[
    str,
    Field(max_length=253),
    Matching(
        rf"^(\*\.)?{_DNS_NAME}$",
        "must be a host name without scheme, port and path, for example llama.example.com or *.example.com",
    ),
]
WebUrl = Annotated[
    str,
    Field(max_length=1024),
    Matching(
        rf"^https?://{_DNS_NAME}(:[0-9]{{1,5}})?(/[-A-Za-z0-9_.~/%]*)?$",
        "must be an http or https address without user, password and query, for example https://judge.ml.svc/canary",
    ),
]
GatewayUrl = Annotated[
    str,
    Field(max_length=512),
    Matching(
        r"^https?://([-A-Za-z0-9_.]+|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?$",
        "must be http(s)://HOST or HOST:PORT, for example https://gateway.eu.example.com",
    ),
]
HeaderName = Annotated[
    str,
    Field(max_length=128),
    Matching("^[A-Za-z0-9][-A-Za-z0-9_]*$", "must be a header's name, for example X-Session-Id"),
]
Day = Annotated[
    str,
    Field(max_length=10),
    Matching("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "must be a day as YYYY-MM-DD, for example 2025-11-03"),
]
