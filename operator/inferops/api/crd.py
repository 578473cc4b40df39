"""CustomResourceDefinitions: what the API server must know of each kind, made from its model."""

from __future__ import annotations

from typing import Any

from inferops.api import GROUP, VERSION
from inferops.api.resources import Column, Kind
from inferops.api.schema import Schema, structural_schema

CATEGORY = "inferops"


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    """The whole CustomResourceDefinition of `kind`, as `kubectl apply` takes it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "inferops"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short),
                "categories": [CATEGORY, *kind.categories],
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind)],
        },
    }


def root_schema(kind: Kind) -> Schema:
    """The schema of the whole object. Of the metadata it declares the name alone, for refusals that point at it."""
    schema = structural_schema(kind.model)
    schema["properties"]["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    schema["required"] = [name for name in schema["required"] if name != "metadata"]
    return schema


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": root_schema(kind)},
        **({"subresources": _subresources(kind)} if kind.status else {}),
    }


def _subresources(kind: Kind) -> dict[str, Any]:
    scale = {
        "specReplicasPath": ".spec.scaling.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {"status": {}, **({"scale": scale} if kind.scale else {})}


def _column(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return {**shown, "priority": column.priority} if column.priority else shown
