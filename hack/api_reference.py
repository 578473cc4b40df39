"""The reference of the custom resources in Markdown: every field with its type, default and constraints."""

from __future__ import annotations

import json
from collections.abc import Iterator

from inferops.api import API_VERSION
from inferops.api.checks import VALIDATIONS
from inferops.api.crd import root_schema
from inferops.api.resources import Kind
from inferops.api.schema import Schema

INTRODUCTION = f"""# API reference

<!-- Generated from operator/inferops/api by `python hack/crds.py`. Do not edit. -->

The custom resources of `{API_VERSION}`. What is not required may be left out. An object's default is that of its
fields. What a constraint refuses, the API server refuses at admission, with the sentence given here; the keys of maps
are checked by the operator.
"""
BOUNDS = (
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} entries"),
)


def reference(kinds: tuple[Kind, ...]) -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_kind(kind) for kind in kinds)])


def _kind(kind: Kind) -> str:
    schema = root_schema(kind)
    scope = "Namespaced" if kind.namespaced else "Cluster-scoped"
    names = f"{scope}. `kubectl get {kind.plural}`, short `{', '.join(kind.short)}`."
    columns = f"Columns: {', '.join(column.name + (' (wide)' if column.priority else '') for column in kind.columns)}."
    lines = [f"## {kind.name}", "", schema["description"], "", names, columns, ""]
    lines += _rules(schema)
    for part in ("spec", "status"):
        if part in schema["properties"]:
            lines += [f"### {kind.name}: {part}", "", *_table(schema["properties"][part], part), ""]
    return "\n".join(lines)


def _table(schema: Schema, path: str) -> Iterator[str]:
    yield schema["description"]
    yield ""
    yield from _rules(schema)
    yield "| Field | Type | Default | Constraints | Description |"
    yield "| --- | --- | --- | --- | --- |"
    for name, field, required in _fields(schema, path):
        default = "**required**" if required else _default(field)
        constraints = _cell("; ".join(_constraints(field)))
        yield f"| `{name}` | {_type(field)} | {default} | {constraints} | {_cell(field['description'])} |"


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """Every field below `schema`, depth first: its path, its schema, whether it is required."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field, name in schema.get("required", ())
        inner, mark = field, ""
        while "items" in inner or "additionalProperties" in inner:
            inner, mark = (inner["items"], mark + "[]") if "items" in inner else (inner["additionalProperties"], mark)
        yield from _fields(inner, f"{path}.{name}{mark}")


def _type(field: Schema) -> str:
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map to {_type(field['additionalProperties'])}"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return str(field.get("type", "string or integer"))


def _default(field: Schema) -> str:
    if "default" not in field or "properties" in field:
        return ""
    return f"`{json.dumps(field['default'], ensure_ascii=False)}`"


def _constraints(field: Schema) -> Iterator[str]:
    if "minimum" in field:
        yield f"{'more than' if field.get('exclusiveMinimum') else 'at least'} {field['minimum']}"
    if "maximum" in field:
        yield f"{'less than' if field.get('exclusiveMaximum') else 'at most'} {field['maximum']}"
    for word, meaning in BOUNDS:
        if word in field:
            yield meaning.format(field[word])
    if field.get("x-kubernetes-list-type") == "set":
        yield "no value twice"
    for key in field.get("x-kubernetes-list-map-keys", ()):
        yield f"no `{key}` twice"
    values: Schema = field.get("items") or field.get("additionalProperties") or {}
    yield from (_said(rule) for rule in [*field.get(VALIDATIONS, []), *values.get(VALIDATIONS, [])])


def _rules(schema: Schema) -> list[str]:
    rules = [f"- {_cell(_said(rule))}" for rule in schema.get(VALIDATIONS, [])]
    return [*rules, ""] if rules else []


def _said(rule: dict[str, str]) -> str:
    field = rule.get("fieldPath", "").removeprefix(".")
    return f"`{field}`: {rule['message']}" if field else rule["message"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
