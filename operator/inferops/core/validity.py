"""Why a service cannot be served at all, whatever the cluster holds: a chain of checks, the first failure wins.

Read the tuple at the end as the specification. Every message names the field and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable

from inferops.api.conditions import Reason
from inferops.core import choices, schedule
from inferops.core.engine import Obstacle
from inferops.core.observation import Observation
from inferops.core.revision import revision_of
from inferops.core.scheduling import unoffered

Check = Callable[[Observation], Obstacle | None]


def apply_was_accepted(seen: Observation) -> Obstacle | None:
    return seen.refused


def schedule_is_readable(seen: Observation) -> Obstacle | None:
    for index, window in enumerate(seen.service.spec.scaling.schedule):
        if found := schedule.fault(window):
            return Obstacle(Reason.INVALID_SPEC, f"spec.scaling.schedule[{index}].{found.field}: {found.message}")
    return None


def runtime_is_known(seen: Observation) -> Obstacle | None:
    if seen.runtime is not None:
        return None
    name = seen.service.spec.runtime.name
    there_are = ", ".join(sorted(seen.runtime_names)) or "none"
    return Obstacle(
        Reason.RUNTIME_NOT_FOUND,
        f"spec.runtime.name: no ServingRuntime {name!r}; there are: {there_are}",
    )


def engine_is_known(seen: Observation) -> Obstacle | None:
    if seen.engine is not None or seen.runtime is None:
        return None
    return Obstacle(
        Reason.RUNTIME_INVALID,
        f"ServingRuntime {seen.service.spec.runtime.name}: this operator has no engine {seen.runtime.engine!r}; "
        "upgrade the operator or name another runtime in spec.runtime.name",
    )


def something_fits(seen: Observation) -> Obstacle | None:
    if next(choices.each_choice(seen), None) is not None:
        return None
    known = ", ".join(sorted(seen.accelerators))
    if seen.sizing is None:
        why = seen.unsized or "nothing is known of the model"
        return Obstacle(
            Reason.ACCELERATOR_REQUIRED if not seen.sizable else Reason.MODEL_UNKNOWN,
            f"spec.accelerators: none can be chosen: {why}; name one, for example "
            f"[{{type: nvidia-h100-80gb, count: 1}}]; known types: {known}",
        )
    return _nothing_fits(seen)


def _nothing_fits(seen: Observation) -> Obstacle:
    """Why none of the options can be taken: the engine, else the largest accelerators that were judged."""
    sizing, engine, runtime = seen.sizing, seen.engine, seen.runtime
    assert sizing is not None and engine is not None and runtime is not None
    for option in sizing.options:
        choice = choices.choice_of(option.shape)
        revision = choices.revision(seen, choice)
        if found := engine.obstacle(revision, runtime, seen.accelerators[choice.type]):
            return found
    ranked = sorted(
        sizing.rejected, key=lambda r: -seen.accelerators[r.shape.accelerator].memory_gib * r.shape.accelerators
    )
    told = "; ".join(f"{rejection.shape} {rejection.reason}" for rejection in ranked[:3])
    return Obstacle(
        Reason.NO_ACCELERATOR_FITS,
        f"spec.accelerators: none of the {len(sizing.rejected)} ways that were judged will do: {told}; "
        "relax spec.slo, lower spec.model.maxModelLen, allow spec.model.quantization: auto, or name accelerators",
    )


def accelerators_are_known(seen: Observation) -> Obstacle | None:
    for index, choice in enumerate(seen.service.spec.accelerators):
        if choice.type not in seen.accelerators:
            known = ", ".join(sorted(seen.accelerators))
            return Obstacle(
                Reason.ACCELERATOR_NOT_FOUND,
                f"spec.accelerators[{index}].type: no Accelerator {choice.type!r}; known types: {known}; "
                "an admin adds one by applying an Accelerator",
            )
    return None


def engine_takes_it(seen: Observation) -> Obstacle | None:
    if seen.engine is None or seen.runtime is None:
        return None
    for choice in seen.service.spec.accelerators:
        revision = revision_of(seen.service.spec, choice)
        if found := seen.engine.obstacle(revision, seen.runtime, seen.accelerators[choice.type]):
            return found
    return None


def cluster_offers_it(seen: Observation) -> Obstacle | None:
    first: Obstacle | None = None
    for choice in choices.each_choice(seen):
        missing = unoffered(choice, seen)
        if missing is None:
            return None
        first = first or missing
    return first


ANYWHERE: tuple[Check, ...] = (
    schedule_is_readable,
    runtime_is_known,
    engine_is_known,
    something_fits,
    accelerators_are_known,
    engine_takes_it,
)
CHECKS: tuple[Check, ...] = (*ANYWHERE, cluster_offers_it, apply_was_accepted)


def obstacle(seen: Observation, checks: tuple[Check, ...] = CHECKS) -> Obstacle | None:
    """The first thing that stands in the way, or None. `ANYWHERE` leaves out what depends on this cluster."""
    return next((found for check in checks if (found := check(seen)) is not None), None)
