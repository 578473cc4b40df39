"""Pydantic models as structural OpenAPI v3 schemas, the form that a CustomResourceDefinition takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, NoDefault
from pydantic_core import core_schema, to_jsonable_python

from inferops.api.base import Model
from inferops.api.checks import VALIDATIONS

Schema = dict[str, Any]

KEPT = (  # in the order in which they are written
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    VALIDATIONS,
    "required",
    "properties",
    "items",
    "additionalProperties",
)
DROPPED = frozenset({"title", "uniqueItems", "prefixItems", "propertyNames", "examples"})
TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean"})


class NotStructural(TypeError):
    """A field of a model that a structural schema cannot say. The message begins with the field's path."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of `model`: references inlined, optional fields non-null, defaults complete.

    Defaults are complete because the API server validates each of them as it stands, rules included, before it
    fills in the defaults further down. Raises NotStructural on what the API server would not take.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    return _structural(schema, schema.pop("$defs", {}), model.__name__, ())


class _Generator(GenerateJsonSchema):
    """Pydantic's JSON schema with what it leaves out: made defaults and the rules of the models."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        if "default_factory" in schema and not schema.get("default_factory_takes_data"):
            return schema["default_factory"]()  # type: ignore[call-arg]
        return schema.get("default", NoDefault)

    def encode_default(self, dft: Any) -> Any:
        return to_jsonable_python(dft, by_alias=True, exclude_none=True)

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        if issubclass(schema["cls"], Model):
            for rule in schema["cls"].rules:
                found = rule.add_to(found)
        return found


def _structural(schema: Schema, definitions: Mapping[str, Schema], path: str, inside: tuple[str, ...]) -> Schema:
    """`schema` as the API server takes it. `inside` names the definitions that are being inlined."""
    schema, inside = _inlined(schema, definitions, path, inside)
    _refuse_unknown_words(schema, path)
    schema = _with_boolean_bounds(schema)
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if schema.get("additionalProperties") is False:
        del schema["additionalProperties"]
    if schema.get("default", ...) is None:
        del schema["default"]
    for word in ("items", "additionalProperties"):
        if word in schema:
            schema[word] = _structural(schema[word], definitions, f"{path}[]", inside)
    if "properties" in schema:
        schema["properties"] = {
            name: _structural(field, definitions, f"{path}.{name}", inside)
            for name, field in schema["properties"].items()
        }
    return {word: schema[word] for word in KEPT if word in schema}


def _inlined(
    schema: Schema, definitions: Mapping[str, Schema], path: str, inside: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """A copy of `schema` with its reference and its `or null` replaced by what they stand for."""
    schema = dict(schema)
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            name = schema.pop("$ref").rsplit("/", 1)[-1]
            if name in inside:
                raise NotStructural(f"{path}: {name} contains itself; a structural schema has no references")
            inside = (*inside, name)
            meant = definitions[name]
        else:
            options = [option for option in schema.pop("anyOf") if option != {"type": "null"}]
            if len(options) != 1:
                raise NotStructural(f"{path}: may be of {len(options)} types; give it one, or None as the only other")
            meant = options[0]
        rules = [*meant.get(VALIDATIONS, []), *schema.get(VALIDATIONS, [])]
        schema = {**meant, **schema, **({VALIDATIONS: rules} if rules else {})}
    return schema, inside


def _refuse_unknown_words(schema: Schema, path: str) -> None:
    if "pattern" in schema:
        raise NotStructural(f"{path}: a bare pattern refuses without a remedy; annotate it with Matching")
    if unknown := sorted(schema.keys() - set(KEPT) - DROPPED - {"const"}):
        raise NotStructural(f"{path}: a structural schema does not know {', '.join(unknown)}")
    if schema.get("type") not in TYPES and not schema.get("x-kubernetes-int-or-string"):
        raise NotStructural(f"{path}: has no single type, but {schema.get('type')!r}; annotate it with one")
    if schema.get("type") == "array" and "items" not in schema:
        raise NotStructural(f"{path}: is an array of unknown items; write list[...] with the type of its items")
    if schema.get("additionalProperties") is True:
        raise NotStructural(f"{path}: maps to anything; write dict[str, ...] with the type of its values")


def _with_boolean_bounds(schema: Schema) -> Schema:
    """OpenAPI v3.0 has exclusive bounds as a flag beside the bound, JSON Schema as a number of its own."""
    schema = dict(schema)
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusiveM{bound[1:]}"
        if exclusive in schema:
            schema[bound] = schema.pop(exclusive)
            schema[exclusive] = True
    return schema
