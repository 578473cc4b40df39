"""`inferops render FILE`: the objects that a service would lead to, without a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.inferenceservice import ModelSpec
from inferops.api.problems import problems
from inferops.api.resources import Accelerator, InferenceService, ServingRuntime
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.catalogue import accelerators, built_in, runtimes
from inferops.controller.modelinfo import Known, Unknown, facts_in
from inferops.controller.sizer import Sizer
from inferops.controller.store import Key
from inferops.core import choices, exporting, routing, validity
from inferops.core.activation import by_number
from inferops.core.config_json import BadConfig
from inferops.core.observation import (
    HTTP_ROUTE,
    INFERENCE_POOL,
    LEADER_WORKER_SET,
    SERVICE_EXPORT,
    Observation,
    RevisionView,
)
from inferops.core.revision import RevisionSpec
from inferops.kube.kinds import INFERENCE_SERVICE
from inferops.render.httproute import render_httproute
from inferops.render.inferencepool import http_port, render_inferencepool
from inferops.render.record import WORKLOADS, render_record
from inferops.render.revision import render_revision, with_replicas
from inferops.render.serviceexport import render_export
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
    services, given = read(text, namespace)
    for service in services:
        yield from _objects(service, given)


def read(text: str, namespace: str = "default") -> tuple[list[InferenceService], Given]:
    """The InferenceServices of a YAML text, at least one, and what else it holds. Raises BadInput."""
    documents = [document for document in yaml.safe_load_all(text) if document]
    services, given = [], Given(dict(accelerators()), dict(runtimes()), {})
    for document in documents:
        if not isinstance(document, dict):
            raise BadInput("not a Kubernetes resource: expected a mapping with apiVersion, kind and metadata")
        kind = document.get("kind")
        if kind == "InferenceService":
            services.append(parse(InferenceService, document, namespace))
        elif kind == "Accelerator":
            accelerator = parse(Accelerator, document, "")
            given.accelerators[accelerator.metadata.name] = accelerator.spec
        elif kind == "ServingRuntime":
            runtime = parse(ServingRuntime, document, "")
            given.runtimes[runtime.metadata.name] = runtime.spec
        elif kind == "ConfigMap":
            meta = document.get("metadata") or {}
            given.configs[meta.get("namespace") or namespace, str(meta.get("name"))] = document.get("data") or {}
    if not services:
        raise BadInput("there is no InferenceService in it")
    return services, given


def parse(model: type[Any], document: dict[str, Any], namespace: str) -> Any:
    """The resource in `document`. Raises BadInput that names it and its faulty fields."""
    meta = {"namespace": namespace, "uid": PLACEHOLDER_UID, **(document.get("metadata") or {})}
    name = f"{document.get('kind')} {meta.get('name', '?')}"
    try:
        return model.model_validate({**document, "metadata": meta, "status": {}})
    except ValidationError as error:
        faults = "; ".join(problems(error))
        raise BadInput(f"{name}: {faults}") from error


def _objects(service: InferenceService, given: Given) -> Iterator[dict[str, Any]]:
    """What the operator would create on a cluster that has every kind of the API, and the first choice of all."""
    seen = observed(service, given)
    if obstacle := validity.obstacle(seen):
        raise BadInput(f"{service.metadata.name}: {obstacle.message}")
    yield from objects(seen, choices.revision(seen, choices.choices(seen)[0]))


def objects(seen: Observation, revision: RevisionSpec) -> Iterator[dict[str, Any]]:
    """What the operator would create for a service that can be served, once `revision` serves."""
    service, runtime, choice = seen.service, seen.runtime, revision.accelerator
    if runtime is None:
        return
    record = render_revision(service, revision, runtime, seen.accelerators[choice.type], ENGINES[runtime.engine])
    yield render_record(service, revision.hash, 1, record)
    for part, rendered_object in record.objects.items():
        replicas = by_number(service.spec.scaling)
        yield with_replicas(rendered_object, replicas) if part in WORKLOADS else rendered_object
    yield render_stable(service, revision.hash, record)
    there = replace(seen, revisions=(RevisionView(revision.hash, revision),))
    if exporting.wanted(seen):
        yield render_export(service)
    route = routing.plan(there, revision.hash, {})
    picker = service.spec.traffic.endpoint_picker
    if route is not None:
        if route.pooled and picker is not None:
            yield render_inferencepool(service, revision.hash, record, picker)
        yield render_httproute(service, route, {revision.hash: http_port(record)}, ENGINES[runtime.engine].api)


def observed(service: InferenceService, given: Given) -> Observation:
    """The service in a cluster without nodes."""
    meta, spec = service.metadata, service.spec
    runtime = given.runtimes.get(spec.runtime.name)
    engine = ENGINES[runtime.engine] if runtime is not None else None
    key = Key(INFERENCE_SERVICE.kind, meta.namespace, meta.name)
    sized = Sizer(InFile(given.configs)).size(key, spec, engine, runtime, given.accelerators)
    return Observation(
        service=service,
        now=datetime.now(UTC),
        runtime=runtime,
        runtime_names=tuple(sorted(given.runtimes)),
        engine=engine,
        accelerators=given.accelerators,
        kinds=frozenset([LEADER_WORKER_SET, HTTP_ROUTE, INFERENCE_POOL, SERVICE_EXPORT]),
        sizing=sized.sizing,
        sizable=sized.sizable,
        unsized=sized.why,
    )


@dataclass(frozen=True, slots=True)
class InFile:
    """The models of services: from the ConfigMap that one names, where it is in the file, else built in."""

    configs: Mapping[tuple[str, str], Mapping[str, str]]

    def facts(self, key: Key, spec: ModelSpec) -> Known | Unknown:
        try:
            found = self.found(key, spec)
        except BadConfig as error:
            raise BadInput(f"{key.name}: spec.model.config: {error}") from error
        unknown = f"nothing is built in about {spec.uri}; put a ConfigMap for spec.model.config into the file"
        return Unknown(unknown) if found is None else found

    def found(self, key: Key, spec: ModelSpec) -> Known | None:
        """What is known of a model. Raises BadConfig that names the ConfigMap and its key."""
        config = spec.config
        data = self.configs.get((key.namespace, config.name)) if config is not None else None
        if config is None or data is None:
            shape = built_in(spec.uri)
            return None if shape is None else Known(shape, "the built-in table")
        who = f"ConfigMap {config.name}"
        try:
            return Known(facts_in(data, config.key, spec.uri, who), who)
        except BadConfig as error:
            raise BadConfig(f"{who}, key {config.key}: {error}") from error

    def forget(self, key: Key) -> None:
        """Nothing is remembered."""
