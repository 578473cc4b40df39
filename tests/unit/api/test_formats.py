"""Formats of strings, beyond the table of bad resources."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from inferops.api.base import Toleration
from inferops.api.formats import DURATION_UNITS, Argument, Cpu, Duration, LabelKey, ResourceName, seconds
from inferops.api.inferenceservice import RuntimeSpec, SLOSpec
from inferops.api.servingruntime import Probes, ServingRuntimeSpec


@pytest.mark.parametrize(
    ("text", "expected"), [("800ms", 0.8), ("90s", 90), ("1h30m", 5400), ("1d", 86400), ("0s", 0), ("1m500ms", 60.5)]
)
def test_seconds(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 9999), st.sampled_from(sorted(DURATION_UNITS))), min_size=1, max_size=4))
def test_every_duration_is_the_sum_of_its_parts_and_reaches_a_date(parts: list[tuple[int, str]]) -> None:
    text = TypeAdapter(Duration).validate_python("".join(f"{number}{unit}" for number, unit in parts))
    assert seconds(text) == pytest.approx(sum(number * DURATION_UNITS[unit] for number, unit in parts))
    assert datetime(2100, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds(text)) <= datetime.max.replace(tzinfo=UTC)


@given(st.text(max_size=12))
def test_what_is_no_duration_raises(text: str) -> None:
    try:
        accepted = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        with pytest.raises(ValueError, match="must be a duration"):
            seconds(text)
    else:
        assert seconds(accepted) >= 0


@pytest.mark.parametrize(
    "word",
    ["--a", "--a=b c", '--a={"b": 1}', "-5", "-tp", "-", "a b", "--", '{"a": [1, 2]}', "--a=\nb", "first\nsecond"],
)
def test_arguments_of_one_word(word: str) -> None:
    assert TypeAdapter(Argument).validate_python(word) == word


@pytest.mark.parametrize("word", ["", "--a b", "--a b=c", "--a  1"])
def test_arguments_of_several_words(word: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Argument).validate_python(word)


@pytest.mark.parametrize(("given", "text"), [(8, "8"), ("8", "8"), ("1.5", "1.5"), ("500m", "500m")])
def test_cpu(given: int | str, text: str) -> None:
    assert TypeAdapter(Cpu).validate_python(given) == text


@pytest.mark.parametrize("cpu", [True, 1.5, "1e3", "8 ", "-8", -8, "8k", None])
def test_no_cpu(cpu: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Cpu).validate_python(cpu)


@pytest.mark.parametrize(
    ("format_", "good", "bad"),
    [
        (LabelKey, "nvidia.com/gpu.product", "nvidia.com/gpu/product"),
        (LabelKey, "tier", "-tier"),
        (ResourceName, "nvidia.com/mig-1g.10gb", "nvidia.com/"),
        (ResourceName, "amd.com/gpu", "cpu"),
    ],
)
def test_names(format_: object, good: str, bad: str) -> None:
    assert TypeAdapter(format_).validate_python(good) == good
    with pytest.raises(ValidationError):
        TypeAdapter(format_).validate_python(bad)


def test_one_time_of_a_probe_leaves_the_others_at_the_probe_s_own_default() -> None:
    probes = Probes.model_validate({"startup": {"periodSeconds": 20}, "liveness": {}})
    assert probes.startup.model_dump() == {"period_seconds": 20, "timeout_seconds": 5, "failure_threshold": 180}
    assert probes.liveness == Probes().liveness


def test_cpu_of_a_runtime_leaves_its_memory() -> None:
    runtime = ServingRuntimeSpec.model_validate({"engine": "vllm", "resources": {"cpu": 2}})
    assert (runtime.resources.cpu, runtime.resources.memory) == ("2", "32Gi")


def test_null_is_left_out() -> None:
    assert RuntimeSpec.model_validate({"name": None, "args": None, "env": None}) == RuntimeSpec()
    assert SLOSpec.model_validate({"ttft": None}) == SLOSpec()
    assert Toleration.model_validate({"key": "a", "operator": None}).operator == "Exists"
