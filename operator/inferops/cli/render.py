"""`inferops render FILE`: the objects that a service would lead to, without a cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.problems import problems
from inferops.api.resources import Accelerator, InferenceService, ServingRuntime
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.catalogue import accelerators, built_in, runtimes
from inferops.core import choices, validity
from inferops.core.config_json import facts_of
from inferops.core.decide import replicas_wanted
from inferops.core.facts import ModelFacts
from inferops.core.observation import LEADER_WORKER_SET, Observation
from inferops.render.record import WORKLOADS, render_record
from inferops.render.revision import render_revision, with_replicas
from inferops.render.stable import render_stable
from inferops.runtimes import ENGINES

PLACEHOLDER_UID = "00000000-0000-0000-0000-000000000000"  # the API server gives the real one


class BadInput(Exception):
    """What is wrong with the file, by field."""


@dataclass(frozen=True, slots=True)
class Given:
    """What is there beside the services: built in, or in the file."""

    accelerators: dict[str, AcceleratorSpec]
    runtimes: dict[str, ServingRuntimeSpec]
    configs: dict[tuple[str, str], dict[str, str]]  # data of ConfigMaps by namespace and name


def render(file: Path, namespace: str) -> int:
    """Print the objects of every InferenceService in `file`. Returns 0, or 1 with the errors on stderr."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        objects = list(rendered(text, namespace))
    except (OSError, BadInput, yaml.YAMLError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    print(yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True), end="")
    return 0


def rendered(text: str, namespace: str = "default") -> Iterator[dict[str, Any]]:
    """The objects of every InferenceService in a YAML text. Accelerators and ServingRuntimes in it count as applied.

    Raises BadInput, naming resource and field.
    """
    documents = [document for document in yaml.safe_load_all(text) if document]
    services, given = [], Given(dict(accelerators()), dict(runtimes()), {})
    for document in documents:
        if not isinstance(document, dict):
            raise BadInput("not a Kubernetes resource: expected a mapping with apiVersion, kind and metadata")
        kind = document.get("kind")
        if kind == "InferenceService":
            services.append(_parse(InferenceService, document, namespace))
        elif kind == "Accelerator":
            accelerator = _parse(Accelerator, document, "")
            given.accelerators[accelerator.metadata.name] = accelerator.spec
        elif kind == "ServingRuntime":
            runtime = _parse(ServingRuntime, document, "")
            given.runtimes[runtime.metadata.name] = runtime.spec
        elif kind == "ConfigMap":
            meta = document.get("metadata") or {}
            given.configs[meta.get("namespace") or namespace, str(meta.get("name"))] = document.get("data") or {}
    if not services:
        raise BadInput("there is no InferenceService in it")
    for service in services:
        yield from _objects(service, given)


def _parse(model: type[Any], document: dict[str, Any], namespace: str) -> Any:
    meta = {"namespace": namespace, "uid": PLACEHOLDER_UID, **(document.get("metadata") or {})}
    name = f"{document.get('kind')} {meta.get('name', '?')}"
    try:
        return model.model_validate({**document, "metadata": meta, "status": {}})
    except ValidationError as error:
        faults = "; ".join(problems(error))
        raise BadInput(f"{name}: {faults}") from error


def _objects(service: InferenceService, given: Given) -> Iterator[dict[str, Any]]:
    """What the operator would create on a cluster that has every kind of the API, and the first choice of all."""
    seen = _seen(service, given)
    if obstacle := validity.obstacle(seen):
        raise BadInput(f"{service.metadata.name}: {obstacle.message}")
    runtime, choice = given.runtimes[service.spec.runtime.name], choices.choices(seen)[0]
    revision = choices.revision(seen, choice)
    record = render_revision(service, revision, runtime, given.accelerators[choice.type], ENGINES[runtime.engine])
    yield render_record(service, revision.hash, 1, record)
    for part, rendered_object in record.objects.items():
        replicas = replicas_wanted(service.spec.scaling)
        yield with_replicas(rendered_object, replicas) if part in WORKLOADS else rendered_object
    yield render_stable(service, revision.hash, record)


def _seen(service: InferenceService, given: Given) -> Observation:
    """The service in a cluster without nodes."""
    spec = service.spec
    runtime = given.runtimes.get(spec.runtime.name)
    engine = ENGINES[runtime.engine] if runtime is not None else None
    share = engine.memory_share(runtime, spec.runtime.args) if engine is not None and runtime is not None else None
    seen = Observation(
        service=service,
        now=datetime.now(UTC),
        runtime=runtime,
        runtime_names=tuple(sorted(given.runtimes)),
        engine=engine,
        accelerators=given.accelerators,
        kinds=frozenset([LEADER_WORKER_SET]),
        sizable=share is not None,
    )
    facts = _facts(service, given)
    if share is None or facts is None:
        unknown = f"nothing is built in about {spec.model.uri}; put a ConfigMap for spec.model.config into the file"
        return replace(seen, unsized=choices.NOT_SIZED if share is None else unknown)
    return replace(seen, sizing=choices.size_for(spec, facts, given.accelerators, share))


def _facts(service: InferenceService, given: Given) -> ModelFacts | None:
    """The facts of the model: from the ConfigMap that the service names, where it is in the file, else built in."""
    config, name = service.spec.model.config, service.metadata.name
    data = given.configs.get((service.metadata.namespace, config.name)) if config is not None else None
    if config is None or data is None:
        return built_in(service.spec.model.uri)
    try:
        return facts_of(json.loads(data[config.key]), service.spec.model.uri)
    except (KeyError, ValueError) as error:
        raise BadInput(f"{name}: spec.model.config: ConfigMap {config.name}, key {config.key}: {error}") from error
