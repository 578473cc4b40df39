"""The built-in catalogue: GPU types, serving runtimes and models that are there before an admin adds any.

The data stands as YAML beside this module, in the shape of the resources' `spec`, and passes the same models; that of
models in the shape of their config.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TypeVar

import yaml
from pydantic import TypeAdapter

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.base import Model
from inferops.api.formats import ObjectName
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.catalogue.modeltable import built_in, models

__all__ = ["accelerators", "built_in", "merged", "models", "runtimes"]

Spec = TypeVar("Spec", bound=Model)

_ACCELERATORS = TypeAdapter(dict[ObjectName, AcceleratorSpec])
_RUNTIMES = TypeAdapter(dict[ObjectName, ServingRuntimeSpec])


@cache
def accelerators() -> Mapping[str, AcceleratorSpec]:
    """The built-in Accelerators by name."""
    return MappingProxyType(_ACCELERATORS.validate_python(_read("accelerators.yaml")))


@cache
def runtimes() -> Mapping[str, ServingRuntimeSpec]:
    """The built-in ServingRuntimes by name."""
    return MappingProxyType(_RUNTIMES.validate_python(_read("runtimes.yaml")))


def merged(built_in: Mapping[str, Spec], admins: Mapping[str, Spec]) -> dict[str, Spec]:
    """The built-in resources with the admin's: one of a built-in's name replaces it wholly, field by field nothing."""
    return {**built_in, **admins}


def _read(name: str) -> object:
    return yaml.safe_load(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
