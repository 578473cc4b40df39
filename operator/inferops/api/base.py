"""What every part of a custom resource is built from: the model base and the parts that several kinds share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from inferops.api.checks import Rule, Unique
from inferops.api.formats import Bytes, Cpu, EnvName, LabelKey, Labels, LabelValue, ObjectName, SecretKeyName


class Model(BaseModel):
    """A part of a resource: camelCase outside, frozen, tolerant of fields of a newer version."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
        strict=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, data: Any) -> Any:
        """As on the API server, which prunes nulls before it fills in defaults."""
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.rules:
            rule.require(self)
        return self

    def dump(self) -> dict[str, Any]:
        """The JSON form as the API server stores it, without what was left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Metadata(Model):
    """The part of ObjectMeta that decisions read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)


class LabelRequirement(Model):
    """One requirement on a label, as in a Kubernetes label selector."""

    rules = (
        Rule(
            cel="self.operator in ['Exists', 'DoesNotExist'] ? size(self.values) == 0 : size(self.values) > 0",
            holds=lambda self: (self.operator in ("Exists", "DoesNotExist")) == (not self.values),
            field="values",
            message="In and NotIn need at least one value, Exists and DoesNotExist take none",
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
    key: SecretKeyName = Field(description="The key within the Secret.")


class EnvVar(Model):
    """An environment variable of the engine's container, given plainly or from a Secret of the same namespace."""

    rules = (
        Rule(
            cel="has(self.value) != has(self.valueFromSecret)",
            holds=lambda self: (self.value is None) != (self.value_from_secret is None),
            message="give exactly one of value and valueFromSecret",
        ),
    )
    name: EnvName = Field(description="The variable's name.")
    value: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="The value. Never put a secret here; use valueFromSecret."
    )
    value_from_secret: SecretKey | None = Field(
        default=None, description="A key of a Secret in the namespace of the InferenceService."
    )


EnvVars = Annotated[list[EnvVar], Field(max_length=64), Unique("name")]


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

    cpu: Cpu | None = Field(default=None, description="CPU request, for example `8`; no limit is set.")
    memory: Bytes | None = Field(default=None, description="Memory request and limit, for example `64Gi`.")
