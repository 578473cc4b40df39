"""JSON schemas of all kinds that an API server has, for kubeconform: strict, and without a network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
# Where kubeconform finds one, below the folder of `write`. The core's group is its version there.
LOCATION = "{{ .ResourceKind }}_{{ .Group }}_{{ .ResourceAPIVersion }}.json"
KINDS = "x-kubernetes-group-version-kind"
PREFIX = "#/definitions/"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def write(openapi: Mapping[str, Any], folder: Path, wanted: Iterable[tuple[str, str]]) -> None:
    """Write the schemas of the wanted kinds, (apiVersion, kind), of an /openapi/v2 into `folder`; kinds that the
    server does not have are left out."""
    definitions: Mapping[str, Json] = openapi["definitions"]
    asked = set(wanted)
    for name, definition in definitions.items():
        for each in definition.get(KINDS, ()):
            group, version, kind = each["group"], each["version"], each["kind"]
            if (f"{group}/{version}" if group else version, kind) in asked:
                path = folder / f"{kind.lower()}_{group or version}_{version}.json"
                path.write_text(json.dumps(_whole(name, definitions)))


def _whole(name: str, definitions: Mapping[str, Json]) -> Json:
    """A definition with all those that it refers to."""
    needed: dict[str, Json] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in needed:
            needed[each] = _strict(definitions[each]) if each != QUANTITY else {"type": ["string", "number"]}
            waiting += _named(definitions[each])
    return {**needed[name], "definitions": needed}


def _named(schema: Any) -> list[str]:
    """The definitions that a schema refers to."""
    if isinstance(schema, list):
        return [name for each in schema for name in _named(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(PREFIX)] if isinstance(schema.get("$ref"), str) else []
    return own + [name for each in schema.values() for name in _named(each)]


def _strict(schema: Any) -> Any:
    """A schema that takes no field which it does not name, unless it says so."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    found = {key: _strict(each) for key, each in schema.items() if key not in (KINDS, "properties")}
    if "properties" in schema:  # whose keys are names of fields, some of them like those of schemas
        found["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
        if "additionalProperties" not in found and not found.get("x-kubernetes-preserve-unknown-fields"):
            found["additionalProperties"] = False
    return found
