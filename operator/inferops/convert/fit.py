"""Holds what came out to our own models and engines: what they refuse is taken out again, and told as not carried."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from inferops.api import API_VERSION
from inferops.api.base import Model
from inferops.api.conditions import Reason
from inferops.api.inferenceservice import AcceleratorChoice, InferenceServiceSpec
from inferops.api.problems import problems
from inferops.api.resources import InferenceService
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.catalogue import accelerators, runtimes
from inferops.convert.ledger import Draft, Outcome, Path, at
from inferops.core.revision import revision_of
from inferops.runtimes import ENGINES

NEEDED: tuple[Path, ...] = (("metadata", "name"), ("spec", "model", "uri"), ("spec", "engine"))
_PART = re.compile(r"([A-Za-z]+)|\[([0-9]+)\]")


def finish(draft: Draft, model: type[Model]) -> dict[str, Any] | None:
    """The resource that `draft` led to, valid by `model` and by the built-in engines; None where it has failed."""
    if not draft.failed:
        fit(draft, model)
    if not draft.failed and model is InferenceService:
        agree(draft)
    if draft.failed:
        draft.entries = []
        draft.note((), Outcome.LOST, (), draft.failed)
    draft.sweep()
    if draft.failed:
        return None
    spec = _in_order(
        draft.out.get("spec", {}), InferenceServiceSpec if model is InferenceService else ServingRuntimeSpec
    )
    return {"apiVersion": API_VERSION, "kind": model.__name__, "metadata": draft.out["metadata"], "spec": spec}


def fit(draft: Draft, model: type[Model]) -> None:
    """Take out what `model` refuses, until it takes the rest. Where something needed is refused, it has failed."""
    while not draft.failed:
        try:
            model.model_validate(draft.out)
            return
        except ValidationError as error:
            said = problems(error)[0]
            _take_out(draft, _path(said), said)


def agree(draft: Draft) -> None:
    """Take out what the built-in engine refuses; say what has to be changed where that cannot be taken out."""
    while not draft.failed:
        service = InferenceService.model_validate(draft.out)
        runtime = runtimes().get(service.spec.runtime.name)
        if runtime is None:
            return
        choice = next(iter(service.spec.accelerators), AcceleratorChoice(type="nvidia-h100-80gb"))
        accelerator = accelerators().get(choice.type)
        if accelerator is None:
            return
        found = ENGINES[runtime.engine].obstacle(revision_of(service.spec, choice), runtime, accelerator)
        if found is None:
            return
        path = _path(found.message)
        if path[:2] == ("spec", "accelerators") or path in NEEDED or found.reason is Reason.MULTI_NODE_NOT_SUPPORTED:
            draft.note(("spec",), Outcome.DIFFERS, (), f"the operator will refuse it: {found.message}")
            return
        _take_out(draft, path, found.message)


def _take_out(draft: Draft, path: Path, said: str) -> None:
    """Take out what `path` names: of a list the whole item, and what is there where it names something that is not."""
    first = next((place for place, part in enumerate(path) if isinstance(part, int)), len(path))
    target = path[: first + 1]
    while len(target) > 2 and at(draft.out, target) is None:
        target = target[:-1]
    needed = any(need[: len(target)] == target for need in NEEDED)
    if needed or len(target) < 2 or at(draft.out, target) is None:
        draft.failed = said
        return
    draft.drop(target, said)
    if target[:-1] in (("metadata",),):
        draft.out.setdefault("metadata", {})


def _path(said: str) -> Path:
    """The path with which a sentence begins."""
    head = said.partition(": ")[0]
    return tuple(name or int(index) for name, index in _PART.findall(head))


def _in_order(spec: dict[str, Any], model: type[Model]) -> dict[str, Any]:
    """The fields in the order of the reference."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {name: spec[name] for name in sorted(spec, key=names.index)}
