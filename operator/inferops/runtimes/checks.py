"""Why an engine cannot serve a revision: a chain of checks, of which the first failure wins; the tuple lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from inferops.api.conditions import Reason
from inferops.core.engine import Obstacle
from inferops.runtimes import arguments, environment
from inferops.runtimes.arguments import BadArgument

if TYPE_CHECKING:
    from inferops.runtimes.base import Launch, ServingEngine


def source_is_supported(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    scheme = launch.source.scheme
    if scheme in engine.sources:
        return None
    there_are = ", ".join(f"{source}://" for source in engine.sources)
    return Obstacle(
        Reason.SOURCE_NOT_SUPPORTED,
        f"spec.model.uri: {engine.name} cannot load {scheme}://; it takes {there_are}: "
        "put the model there, or name another runtime in spec.runtime.name",
    )


def image_exists(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    if launch.runtime.image is not None or engine.image_for(launch) is not None:
        return None
    kind = launch.revision.accelerator.type
    return Obstacle(
        Reason.RUNTIME_INVALID,
        f"spec.accelerators: {engine.name} has no built-in image for {kind}; name another accelerator, or in "
        "spec.runtime.name a ServingRuntime whose spec.image is made for it",
    )


def adapters_are_served(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    for index, adapter in enumerate(launch.revision.model.adapters):
        scheme = adapter.uri.partition("://")[0]
        if not engine.adapter_sources:
            return Obstacle(
                Reason.INVALID_SPEC,
                f"spec.model.adapters: {engine.name} serves no LoRA adapters; remove them, or name vllm or sglang in "
                "spec.runtime.name",
            )
        if scheme not in engine.adapter_sources:
            there_are = ", ".join(f"{source}://" for source in engine.adapter_sources)
            return Obstacle(
                Reason.SOURCE_NOT_SUPPORTED,
                f"spec.model.adapters[{index}].uri: {engine.name} cannot load an adapter from {scheme}://; "
                f"it takes {there_are}: put it there",
            )
    return None


def credentials_are_used(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    if launch.source.scheme != "pvc" or launch.revision.model.credentials_secret is None:
        return None
    return Obstacle(
        Reason.INVALID_SPEC, "spec.model.credentialsSecret: a pvc:// model is mounted and needs none; remove it"
    )


def slices_are_alone(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    choice = launch.revision.accelerator
    if not launch.accelerator.slice or choice.count == 1:
        return None
    return Obstacle(
        Reason.TENSOR_PARALLEL_INVALID,
        f"spec.accelerators: {choice.count}x {choice.type}: a process sees one slice of a GPU, and slices have no "
        "link among them; set count to 1, or name a larger slice or a whole GPU",
    )


def model_is_shared(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    choice = launch.revision.accelerator
    if engine.parallel or choice.count == 1:
        return None
    return Obstacle(
        Reason.TENSOR_PARALLEL_INVALID,
        f"spec.accelerators: {choice.count}x {choice.type}: {engine.name} keeps a model on one accelerator; set count "
        "to 1 and raise spec.scaling.minReplicas",
    )


def nodes_are_spanned(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    choice = launch.revision.accelerator
    if choice.nodes == 1 or engine.multi_node:
        return None
    return Obstacle(
        Reason.MULTI_NODE_NOT_SUPPORTED,
        f"spec.accelerators: {choice.count}x {choice.type} on {choice.nodes} nodes: {engine.name} keeps a replica on "
        "one node; set nodes to 1, or name a runtime that spans nodes, such as vllm, in spec.runtime.name",
    )


def admins_args_are_sound(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    try:
        arguments.check_reserved(launch.runtime.args, engine.rules_for(launch))
    except BadArgument as bad:
        where = f"ServingRuntime {launch.revision.runtime.name}: spec.args[{bad.index}]"
        return Obstacle(Reason.RUNTIME_INVALID, f"{where}: {bad.message}")
    return None


def users_args_are_allowed(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    args = launch.revision.runtime.args
    allowed = launch.runtime.user_args
    deny = engine.rules.denied if allowed.deny is None else allowed.deny
    try:
        arguments.check_reserved(args, engine.rules_for(launch))
        arguments.check_allowed(args, allowed.allow, deny, engine.rules, launch.revision.runtime.name)
    except BadArgument as bad:
        return Obstacle(Reason.ARGUMENT_NOT_ALLOWED, f"spec.runtime.args[{bad.index}]: {bad.message}")
    return None


def users_env_is_allowed(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    operators = [entry["name"] for entry in (*engine.operator_env(launch), *engine.source(launch).env)]
    found = environment.refused(launch.revision.runtime.env, operators, engine.denied_env)
    if found is None:
        return None
    return Obstacle(Reason.ARGUMENT_NOT_ALLOWED, f"spec.runtime.env[{found[0]}]: {found[1]}")


def engine_agrees(engine: ServingEngine, launch: Launch) -> Obstacle | None:
    return engine.own_obstacle(launch)


Check = Callable[["ServingEngine", "Launch"], Obstacle | None]

CHECKS: tuple[Check, ...] = (
    source_is_supported,
    image_exists,
    credentials_are_used,
    adapters_are_served,
    slices_are_alone,
    model_is_shared,
    nodes_are_spanned,
    admins_args_are_sound,
    users_args_are_allowed,
    users_env_is_allowed,
    engine_agrees,
)
