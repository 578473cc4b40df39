"""What every part of a custom resource is built from: the model base, CEL rules and shared field types."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over several fields, said twice: as CEL for the API server and as Python for everybody else.

    `cel` sees the object as `self`; `holds` gets the parsed model. The message names the field and the
    remedy. A table of bad resources in the tests is refused by both, which holds the two sayings equal.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str


class Model(BaseModel):
    """A part of a resource: camelCase outside, frozen, tolerant of fields of a newer version."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="ignore"
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.rules:
            if not rule.holds(self):
                raise ValueError(rule.message)
        return self

    def dump(self) -> dict[str, Any]:
        """The JSON form as the API server stores it, without what was left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION_PATTERN = r"^([0-9]{1,9}(ms|s|m|h|d)){1,5}$"


def seconds(duration: str) -> float:
    """Seconds of a duration such as `800ms`, `90s` or `1h30m`. Raises ValueError on anything else."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration; write for example 800ms, 30s, 5m or 1h30m")
    parts = re.findall(r"([0-9]+)(ms|s|m|h|d)", duration)
    return sum(int(number) * DURATION_UNITS[unit] for number, unit in parts)


LABEL_KEY_PATTERN = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=32)]
Name = Annotated[str, Field(pattern=NAME_PATTERN, min_length=1, max_length=63)]
ObjectName = Annotated[str, Field(pattern=SUBDOMAIN_PATTERN, min_length=1, max_length=253)]
Quantity = Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=32)]
LabelKey = Annotated[str, Field(pattern=LABEL_KEY_PATTERN, max_length=317)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE_PATTERN, max_length=63)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=32)]
ResourceName = Annotated[str, Field(pattern=LABEL_KEY_PATTERN, min_length=1, max_length=253)]


class Metadata(Model):
    """The part of ObjectMeta that decisions read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: str | None = None
    annotations: dict[str, str] = Field(default_factory=dict)


class LabelRequirement(Model):
    """One requirement on a label, as in a Kubernetes label selector."""

    rules = (
        Rule(
            cel="self.operator in ['Exists', 'DoesNotExist'] ? size(self.values) == 0 : size(self.values) > 0",
            holds=lambda self: (self.operator in ("Exists", "DoesNotExist")) == (not self.values),
            message="values: In and NotIn need at least one value, Exists and DoesNotExist take none",
        ),
    )
    key: LabelKey = Field(description="The label's key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label's value is compared with `values`."
    )
    values: list[LabelValue] = Field(
        default_factory=list, max_length=32, description="The values for In and NotIn; left out for the others."
    )


class LabelSelector(Model):
    """Which objects are meant, by their labels. Both parts must hold; an empty selector means all."""

    match_labels: Labels = Field(default_factory=dict, description="Labels that must have exactly these values.")
    match_expressions: list[LabelRequirement] = Field(
        default_factory=list, max_length=16, description="Requirements that must all hold."
    )


class SecretKey(Model):
    """A key of a Secret in the same namespace."""

    name: ObjectName = Field(description="The Secret's name.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)] = Field(
        description="The key within the Secret."
    )


class EnvVar(Model):
    """An environment variable of the engine's container, given plainly or from a Secret of the same namespace."""

    rules = (
        Rule(
            cel="has(self.value) != has(self.valueFromSecret)",
            holds=lambda self: (self.value is None) != (self.value_from_secret is None),
            message="env: give exactly one of value and valueFromSecret",
        ),
    )
    name: Annotated[str, Field(pattern=ENV_NAME_PATTERN, max_length=128)] = Field(description="The variable's name.")
    value: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="The value. Never put a secret here; use valueFromSecret."
    )
    value_from_secret: SecretKey | None = Field(
        default=None, description="A key of a Secret in the namespace of the InferenceService."
    )


class Toleration(Model):
    """A taint that the pods tolerate, as in a pod's tolerations."""

    key: LabelKey = Field(description="The taint's key.")
    operator: Literal["Exists", "Equal"] = Field(
        default="Exists", description="Exists tolerates any value, Equal only `value`."
    )
    value: LabelValue | None = Field(default=None, description="The taint's value, with operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect; left out: any."
    )


class ComputeResources(Model):
    """CPU and memory of the engine's container. GPUs come from `accelerators`."""

    cpu: Quantity | None = Field(default=None, description="CPU request, for example `8`; no limit is set.")
    memory: Quantity | None = Field(default=None, description="Memory request and limit, for example `64Gi`.")
