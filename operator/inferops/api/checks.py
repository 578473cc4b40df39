"""Checks said once: pydantic and the API server refuse the same values with the same sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over several fields, said twice: as CEL for the API server and as Python for everybody else.

    `cel` sees the object as `self`; `holds` gets the parsed model. The message names the remedy, and `field`
    is the field that it speaks of, as users write it; left out: the object itself. A table of bad resources
    in the tests is refused by both, which holds the two sayings equal.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str
    field: str = ""

    def require(self, model: Any) -> None:
        """Raises PydanticCustomError where the rule does not hold; `problems` finds the field in its context."""
        if not self.holds(model):
            raise PydanticCustomError("rule", "{message}", {"message": self.message, "field": self.field})

    def add_to(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        return with_validation(schema, self.cel, self.message, self.field)


@dataclass(frozen=True, slots=True)
class Matching:
    """Annotates a string that matches `pattern` (RE2, anchored by itself); anything else is refused with `message`.

    It stands where `Field(pattern=...)` could, whose refusal shows the user a regular expression and no remedy.
    The string needs a `max_length`, or the API server finds the rule too expensive.
    """

    pattern: str
    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        text = "string(self)" if "x-kubernetes-int-or-string" in found else "self"
        return with_validation(found, f"{text}.matches(r'{self.pattern}')", self.message)

    def _checked(self, value: str) -> str:
        if re.fullmatch(self.pattern, value) is None:
            raise ValueError(self.message)
        return value


@dataclass(frozen=True, slots=True)
class Unique:
    """Annotates a list without duplicates: of scalars, or of models told apart by the field `key`."""

    key: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if self.key is None:
            return {**handler(schema), "x-kubernetes-list-type": "set"}
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}

    def _checked(self, items: list[Any]) -> list[Any]:
        seen: set[Any] = set()
        for item in items:
            found = item if self.key is None else getattr(item, self.key)
            if found in seen:
                raise ValueError(f"Duplicate value: {found!r} stands twice; remove one of them")
            seen.add(found)
        return items


@dataclass(frozen=True, slots=True)
class IntOrString:
    """Annotates a string that may also be written as an integer, as `cpu: 8` is."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: str(value) if type(value) is int else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        string = {word: value for word, value in handler(schema).items() if word != "type"}
        return {**string, "x-kubernetes-int-or-string": True}


def with_validation(schema: JsonSchemaValue, cel: str, message: str, field: str = "") -> JsonSchemaValue:
    """`schema` with one CEL rule more."""
    rule = {"rule": cel, "message": message, **({"fieldPath": f".{field}"} if field else {})}
    return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, []), rule]}
