"""The schema says what the models say, or names the field that it cannot say."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, create_model

from inferops.api.base import EnvVars, Model
from inferops.api.checks import IntOrString, Matching, Rule, Unique
from inferops.api.crd import custom_resource_definition, root_schema
from inferops.api.resources import KINDS, Kind
from inferops.api.schema import NotStructural, structural_schema


class Tree(Model):
    """A part that contains itself."""

    branches: list["Tree"]


class Inner(Model):
    """A part with a rule."""

    rules = (Rule(cel="self.a < 9", holds=lambda self: self.a < 9, message="a: too large"),)
    a: int = 1
    b: str | None = None


def field_of(annotation: Any, default: Any = ...) -> dict[str, Any]:
    """The schema of a field `x` of that type and default."""
    model = create_model("Holder", __base__=Model, x=(annotation, default))
    found: dict[str, Any] = structural_schema(model)["properties"]["x"]
    return found


@pytest.mark.parametrize(
    ("case", "annotation", "default", "schema"),
    [
        ("null is left out", int | None, None, {"type": "integer"}),
        ("one literal is an enum", Literal["a"], ..., {"type": "string", "enum": ["a"]}),
        ("literals are an enum", Literal["a", "b"], "b", {"type": "string", "enum": ["a", "b"], "default": "b"}),
        (
            "exclusive bounds are flags",
            Annotated[float, Field(gt=0, lt=1)],
            ...,
            {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True},
        ),
        ("inclusive bounds stay", Annotated[int, Field(ge=0)], 0, {"type": "integer", "minimum": 0, "default": 0}),
        (
            "maps say the type of their values",
            Annotated[dict[Annotated[str, Field(max_length=9)], int], Field(max_length=3)],
            ...,
            {"type": "object", "maxProperties": 3, "additionalProperties": {"type": "integer"}},
        ),
        (
            "a pattern is a rule with a sentence",
            Annotated[str, Matching("^a$", "must be a")],
            ...,
            {"type": "string", "x-kubernetes-validations": [{"rule": "self.matches(r'^a$')", "message": "must be a"}]},
        ),
        (
            "a string may be an integer",
            Annotated[str, Field(max_length=9), IntOrString()],
            ...,
            {"x-kubernetes-int-or-string": True, "maxLength": 9},
        ),
        (
            "a list without duplicates",
            Annotated[list[str], Unique()],
            ...,
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        ),
        (
            "made defaults, complete",
            Annotated[list[Inner], Unique("a")],
            Field(default_factory=lambda: [Inner(a=2)]),
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
                "default": [{"a": 2}],
                "items": {
                    "type": "object",
                    "description": "A part with a rule.",
                    "properties": {"a": {"type": "integer", "default": 1}, "b": {"type": "string"}},
                    "x-kubernetes-validations": [{"rule": "self.a < 9", "message": "a: too large"}],
                },
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field(case: str, annotation: Any, default: Any, schema: dict[str, Any]) -> None:
    assert field_of(annotation, default) == schema


def test_the_description_of_a_field_wins_over_that_of_its_type() -> None:
    assert field_of(Inner, Field(description="Mine."))["description"] == "Mine."


@pytest.mark.parametrize(
    ("annotation", "path", "why"),
    [
        (int | str, "Holder.x", "2 types"),
        (Any, "Holder.x", "no single type"),
        (dict[str, Any], "Holder.x", "maps to anything"),
        (list[Any], "Holder.x[]", "no single type"),
        (tuple[int, str], "Holder.x", "unknown items"),
        (Annotated[str, Field(pattern="^a$")], "Holder.x", "Matching"),
        (list[Annotated[int, Field(json_schema_extra={"not": {}})]], "Holder.x[]", "does not know not"),
        (Tree, "Holder.x.branches[]", "Tree contains itself"),
    ],
    ids=str,
)
def test_what_is_not_structural_is_named_with_its_path(annotation: Any, path: str, why: str) -> None:
    with pytest.raises(NotStructural) as refused:
        field_of(annotation)
    assert str(refused.value).startswith(f"{path}: ")
    assert why in str(refused.value)


def below(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from below(field, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from below(schema[word], f"{path}[]")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_is_described(kind: Kind) -> None:
    parts = dict(below(root_schema(kind), kind.name))
    ours = {path: part for path, part in parts.items() if not path.startswith(f"{kind.name}.metadata")}
    assert [path for path, part in ours.items() if not part.get("description") and not path.endswith("[]")] == []
    assert len(parts) > 20


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_whatever_a_rule_reads_is_bounded(kind: Kind) -> None:
    """Else the API server estimates the rule's cost by the largest request it takes."""
    for path, part in below(root_schema(kind), kind.name):
        if path == f"{kind.name}.metadata.name":  # bounded by the API server itself
            continue
        bound = {"string": "maxLength", "array": "maxItems"}.get(part.get("type", ""))
        assert bound is None or bound in part or "enum" in part or "format" in part, path
        assert "additionalProperties" not in part or "maxProperties" in part, path
        for rule in part.get("x-kubernetes-validations", ()):
            assert rule["message"] and "\n" not in rule["message"], path


def test_env_is_a_map_by_name() -> None:
    assert field_of(EnvVars)["x-kubernetes-list-map-keys"] == ["name"]


def test_only_inference_services_scale_and_show_in_kubectl_get_all() -> None:
    crds = {kind.name: custom_resource_definition(kind)["spec"] for kind in KINDS}
    scaled = [name for name, spec in crds.items() if "scale" in spec["versions"][0].get("subresources", {})]
    in_all = [name for name, spec in crds.items() if "all" in spec["names"]["categories"]]
    assert scaled == in_all == ["InferenceService"]
