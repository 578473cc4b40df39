"""Tensors of the Open Inference Protocol in JSON: checked as Triton checks them, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

INTEGERS = {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
FLOATS = {"FP16", "FP32", "FP64", "BF16"}
DATATYPES = (*sorted(INTEGERS), *sorted(FLOATS), "BOOL", "BYTES")

Dimension = Annotated[int, Field(ge=0)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow")


class Tensor(_Body):
    """One input, with its data flat or nested."""

    name: str
    shape: list[Dimension]
    datatype: str
    data: list[Any]


class Requested(_Body):
    """One output that is asked for."""

    name: str


class InferRequest(_Body):
    """Body of POST /v2/models/{model}/infer."""

    id: str | None = None
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Requested] | None = None


class BadTensor(ValueError):
    """A tensor that is not what it says it is. The message names it."""


def flat(tensor: Tensor) -> list[Any]:
    """The values of `tensor` in row-major order. Raises `BadTensor` for a wrong datatype, shape or value."""
    if tensor.datatype not in DATATYPES:
        raise BadTensor(
            f"input '{tensor.name}': unknown datatype {tensor.datatype!r}; there are {', '.join(DATATYPES)}"
        )
    values = list(_leaves(tensor.data))
    if len(values) != prod(tensor.shape):
        raise BadTensor(
            f"input '{tensor.name}': shape {tensor.shape} holds {prod(tensor.shape)} values, the data has {len(values)}"
        )
    wrong = next((value for value in values if not _fits(value, tensor.datatype)), None)
    if wrong is not None:
        raise BadTensor(f"input '{tensor.name}': {wrong!r} is not of datatype {tensor.datatype}")
    return values


def echo(request: InferRequest, values: list[list[Any]]) -> list[dict[str, Any]]:
    """The outputs of a model that gives its inputs back: INPUTn as OUTPUTn, any other name as it is.

    Outputs that are asked for stand for the inputs in their order. Raises `BadTensor` when there are more of them.
    """
    names = [tensor.name.replace("INPUT", "OUTPUT") for tensor in request.inputs]
    if request.outputs is not None:
        if len(request.outputs) > len(names):
            raise BadTensor(f"{len(request.outputs)} outputs are asked for, but the simulated model has {len(names)}")
        names = [output.name for output in request.outputs]
    return [
        {"name": name, "datatype": tensor.datatype, "shape": tensor.shape, "data": data}
        for name, tensor, data in zip(names, request.inputs, values, strict=False)
    ]


def _leaves(data: list[Any]) -> Iterator[Any]:
    for item in data:
        if isinstance(item, list):
            yield from _leaves(item)
        else:
            yield item


def _fits(value: Any, datatype: str) -> bool:
    if datatype == "BOOL":
        return isinstance(value, bool)
    if datatype == "BYTES":
        return isinstance(value, str)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (datatype in FLOATS and isinstance(value, float))
