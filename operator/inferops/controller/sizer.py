"""Sizing of each service: what is known of its model meets the accelerators. Answers are remembered, being pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.inferenceservice import InferenceServiceSpec, ModelSpec
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.controller.modelinfo import Answer, Known, Pending
from inferops.controller.store import Key
from inferops.core import choices
from inferops.core.engine import Engine
from inferops.core.sizing import Sizing
from inferops.kube.tracing import part

REMEMBERED = 512  # answers


@dataclass(frozen=True, slots=True)
class Sized:
    """Sizing's answer for one service, or why there is none."""

    sizing: Sizing | None = None
    sizable: bool = True  # whether the engine serves what sizing can judge
    looking: bool = False  # whether the model is being looked up; the key comes again once that is done
    why: str = ""  # there is none


class Models(Protocol):
    """What is known of each service's model, as `modelinfo.ModelInfo` tells it."""

    def facts(self, key: Key, spec: ModelSpec) -> Answer: ...

    def forget(self, key: Key) -> None: ...


class Sizer:
    """Sizes services. To be used within the event loop; `forget` a service that is gone."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._answers: OrderedDict[Hashable, Sizing] = OrderedDict()
        self._accelerators: Mapping[str, AcceleratorSpec] = {}  # for which they hold

    def size(
        self,
        key: Key,
        spec: InferenceServiceSpec,
        engine: Engine | None,
        runtime: ServingRuntimeSpec | None,
        accelerators: Mapping[str, AcceleratorSpec],
    ) -> Sized:
        """What sizing says of `spec` now."""
        share = engine.memory_share(runtime, spec.runtime.args) if engine is not None and runtime is not None else None
        if share is None:
            return Sized(sizable=False, why=choices.NOT_SIZED)
        known = self._models.facts(key, spec.model)
        if not isinstance(known, Known):
            return Sized(looking=isinstance(known, Pending), why=known.reason)
        if accelerators is not self._accelerators:
            self._answers.clear()
            self._accelerators = accelerators
        listed = tuple((choice.type, choice.count, choice.nodes) for choice in spec.accelerators)
        question = (known.facts, choices.ask_of(spec, share), listed)
        if question not in self._answers:
            with part("size"):
                self._answers[question] = choices.size_for(spec, known.facts, accelerators, share)
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        self._answers.move_to_end(question)
        return Sized(self._answers[question])

    def forget(self, key: Key) -> None:
        """The service is gone."""
        self._models.forget(key)
