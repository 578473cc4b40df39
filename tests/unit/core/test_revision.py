"""What makes a new revision: its hash is compared with golden ones, since another hash restarts every GPU pod."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from inferops.api.inferenceservice import AcceleratorChoice, InferenceServiceSpec, ModelSpec, RuntimeSpec
from inferops.core.revision import HASH_LENGTH, RevisionSpec, revision_name, revision_of

MODEL = {"uri": "hf://Qwen/Qwen3-8B"}
FULL = {
    "model": {
        "uri": "hf://meta-llama/Llama-3.3-70B-Instruct",
        "name": "llama",
        "revision": "6f6073b",
        "quantization": "fp8",
        "maxModelLen": 16384,
        "credentialsSecret": "hf-token",
    },
    "runtime": {
        "name": "tuned",
        "args": ["--enable-prefix-caching", "--max-num-seqs=64"],
        "env": [
            {"name": "VLLM_LOGGING_LEVEL", "value": "INFO"},
            {"name": "KEY", "valueFromSecret": {"name": "keys", "key": "api"}},
        ],
        "resources": {"cpu": "16", "memory": "128Gi"},
    },
}


def hash_of(
    model: Any = MODEL, runtime: Any = None, accelerator: Any = None, accelerators: Any = None, **spec: Any
) -> str:
    parsed = InferenceServiceSpec.model_validate(
        {"model": model, "runtime": runtime or {}, "accelerators": accelerators or [{"type": "l4"}], **spec}
    )
    return revision_of(parsed, AcceleratorChoice.model_validate(accelerator or {"type": "l4"})).hash


@pytest.mark.parametrize(
    ("case", "asked", "golden"),
    [
        ("the least that can be said", {}, "fad1ad081f"),
        ("another model", {"model": {"uri": "s3://models/qwen/3-8b"}}, "abd6937563"),
        ("a slice", {"accelerator": {"type": "nvidia-a100-40gb-mig-1g.5gb"}}, "df54f357c7"),
        ("several on spot", {"accelerator": {"type": "nvidia-h200", "count": 2, "spot": True}}, "695a4d3bee"),
        ("Triton", {"model": {"uri": "pvc://models/resnet"}, "runtime": {"name": "triton"}}, "053de89acc"),
        ("arguments", {"runtime": {"args": ["--max-num-seqs", "64"]}}, "e3f5c6e9f1"),
        ("everything", {**FULL, "accelerator": {"type": "nvidia-h100-80gb", "count": 4}}, "5d68ede3d3"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_hashes_never_change(case: str, asked: dict[str, Any], golden: str) -> None:
    assert hash_of(**asked) == golden


MODEL_DEFAULTS = {"name": None, "revision": None, "quantization": None, "maxModelLen": None, "credentialsSecret": None}


@pytest.mark.parametrize(
    ("case", "asked"),
    [
        ("defaults of the model", {"model": {**MODEL, **MODEL_DEFAULTS}}),
        ("defaults of the runtime", {"runtime": {"name": "vllm", "args": [], "env": [], "resources": {}}}),
        ("defaults of the accelerator", {"accelerator": {"spot": False, "count": 1, "type": "l4"}}),
        ("a field of a newer version", {"model": {**MODEL, "loraAdapters": ["a"]}}),
        ("where its config.json stands", {"model": {**MODEL, "config": {"name": "shapes"}}}),
        ("replicas", {"scaling": {"replicas": 7, "minReplicas": 2}}),
        ("an SLO", {"slo": {"ttft": "800ms"}}),
        ("the rollout", {"rollout": {"steps": []}}),
        ("host names", {"traffic": {"hostnames": ["llama.example.com"]}}),
        ("clusters", {"placement": {"clusters": {"matchLabels": {"tier": "prod"}}}}),
        ("another accelerator to fall back on", {"accelerators": [{"type": "l4"}, {"type": "h100"}]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_makes_no_new_revision(case: str, asked: dict[str, Any]) -> None:
    assert hash_of(**asked) == hash_of()


def with_field(part: str, field: str, value: Any) -> dict[str, Any]:
    return {**FULL, part: {**FULL[part], field: value}}  # type: ignore[dict-item]


MEANINGFUL: list[tuple[str, dict[str, Any]]] = [
    ("model.uri", with_field("model", "uri", "hf://Qwen/Qwen3-8B")),
    ("model.name", with_field("model", "name", "other")),
    ("model.revision", with_field("model", "revision", "main")),
    ("model.quantization", with_field("model", "quantization", "int8")),
    ("model.maxModelLen", with_field("model", "maxModelLen", 8192)),
    ("model.credentialsSecret", with_field("model", "credentialsSecret", "other")),
    ("model.adapters", with_field("model", "adapters", [{"name": "sql", "uri": "hf://org/sql-lora"}])),
    ("runtime.name", with_field("runtime", "name", "vllm")),
    ("runtime.args", with_field("runtime", "args", ["--max-num-seqs=64", "--enable-prefix-caching"])),
    ("runtime.env", with_field("runtime", "env", [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}])),
    ("runtime.resources", with_field("runtime", "resources", {"cpu": "16"})),
    ("accelerator.type", {**FULL, "accelerator": {"type": "h100"}}),
    ("accelerator.count", {**FULL, "accelerator": {"type": "l4", "count": 2}}),
    ("accelerator.nodes", {**FULL, "accelerator": {"type": "l4", "count": 2, "nodes": 2}}),
    ("accelerator.spot", {**FULL, "accelerator": {"type": "l4", "spot": True}}),
]


def test_every_field_of_a_revision_makes_a_new_one() -> None:
    hashes = {name: hash_of(**asked) for name, asked in MEANINGFUL}
    assert len({hash_of(**FULL), *hashes.values()}) == len(MEANINGFUL) + 1
    fields = {
        f"{part}.{field.alias}"
        for part, model in (("model", ModelSpec), ("runtime", RuntimeSpec), ("accelerator", AcceleratorChoice))
        for field in model.model_fields.values()
    }
    assert fields - {"model.config"} == set(hashes), "a field was added: put it into the table"


def test_where_the_config_stands_is_not_recorded() -> None:
    parsed = InferenceServiceSpec.model_validate({"model": {**MODEL, "config": {"name": "shapes", "key": "a.json"}}})
    assert parsed.model.config is not None and parsed.model.config.key == "a.json"
    assert "config" not in revision_of(parsed, AcceleratorChoice(type="l4")).dump()["model"]


def test_a_field_that_a_newer_version_adds_changes_no_hash() -> None:
    class NewerModel(ModelSpec):
        draft_model: str | None = Field(default=None)
        lora_adapters: list[str] = Field(default_factory=list)

    class NewerRevision(RevisionSpec):
        model: NewerModel
        sizing: str = Field(default="auto")

    older = RevisionSpec.model_validate({**FULL, "accelerator": {"type": "l4"}})
    newer = NewerRevision.model_validate({**FULL, "accelerator": {"type": "l4"}})
    assert newer.hash == older.hash
    assert NewerRevision.model_validate({**newer.dump(), "sizing": "manual"}).hash != older.hash


texts = st.text("abc-", min_size=1, max_size=8).map(lambda text: f"m{text}m")
models = st.fixed_dictionaries(
    {"uri": texts.map(lambda text: f"hf://org/{text}")},
    optional={"name": texts, "revision": texts, "maxModelLen": st.integers(1, 99), "quantization": st.just("fp8")},
)
runtimes = st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(["vllm", "triton"]), "args": st.lists(texts, max_size=3)}
)
accelerators = st.fixed_dictionaries(
    {"type": st.sampled_from(["l4", "h100"])}, optional={"count": st.integers(1, 8), "spot": st.booleans()}
)
revisions = st.fixed_dictionaries({"model": models, "runtime": runtimes, "accelerator": accelerators})


def shuffled(value: Any) -> Any:
    return {key: shuffled(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


@settings(max_examples=30)
@given(revisions)
def test_a_hash_survives_storing_reading_and_the_order_of_keys(content: dict[str, Any]) -> None:
    spec = RevisionSpec.model_validate(content)
    assert re.fullmatch(f"[0-9a-f]{{{HASH_LENGTH}}}", spec.hash)
    assert RevisionSpec.model_validate(json.loads(json.dumps(spec.dump()))).hash == spec.hash
    assert RevisionSpec.model_validate(shuffled(content)).hash == spec.hash


@settings(max_examples=30)
@given(revisions, revisions)
def test_two_revisions_share_a_hash_only_when_they_are_the_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    first, second = RevisionSpec.model_validate(one), RevisionSpec.model_validate(two)
    assert (first.hash == second.hash) == (first == second)


def test_names_fit_into_a_label_and_a_services_name() -> None:
    assert revision_name("llama", "0123456789") == "llama-0123456789"
    assert len(revision_name("a" * 50, "0" * HASH_LENGTH)) <= 63
