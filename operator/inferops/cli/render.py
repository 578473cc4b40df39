"""`inferops render FILE`: the objects that a service would lead to, without a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from inferops.api.accelerator import AcceleratorSpec
from inferops.api.problems import problems
from inferops.api.resources import Accelerator, InferenceService, ServingRuntime
from inferops.api.servingruntime import ServingRuntimeSpec
from inferops.catalogue import accelerators, runtimes
from inferops.core.decide import replicas_wanted
from inferops.core.revision import revision_of
from inferops.render.record import WORKLOADS, render_record
from inferops.render.revision import render_revision, with_replicas
from inferops.render.stable import render_stable
from inferops.runtimes import ENGINES

PLACEHOLDER_UID = "00000000-0000-0000-0000-000000000000"  # the API server gives the real one


class BadInput(Exception):
    """What is wrong with the file, by field."""


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
    services, known, engines = [], dict(accelerators()), dict(runtimes())
    for document in documents:
        if not isinstance(document, dict):
            raise BadInput("not a Kubernetes resource: expected a mapping with apiVersion, kind and metadata")
        kind = document.get("kind")
        if kind == "InferenceService":
            services.append(_parse(InferenceService, document, namespace))
        elif kind == "Accelerator":
            accelerator = _parse(Accelerator, document, "")
            known[accelerator.metadata.name] = accelerator.spec
        elif kind == "ServingRuntime":
            runtime = _parse(ServingRuntime, document, "")
            engines[runtime.metadata.name] = runtime.spec
    if not services:
        raise BadInput("there is no InferenceService in it")
    for service in services:
        yield from _objects(service, known, engines)


def _parse(model: type[Any], document: dict[str, Any], namespace: str) -> Any:
    meta = {"namespace": namespace, "uid": PLACEHOLDER_UID, **(document.get("metadata") or {})}
    name = f"{document.get('kind')} {meta.get('name', '?')}"
    try:
        return model.model_validate({**document, "metadata": meta, "status": {}})
    except ValidationError as error:
        faults = "; ".join(problems(error))
        raise BadInput(f"{name}: {faults}") from error


def _objects(
    service: InferenceService, known: dict[str, AcceleratorSpec], engines: dict[str, ServingRuntimeSpec]
) -> Iterator[dict[str, Any]]:
    """What the operator would create on a cluster that has the first accelerator of the list."""
    name, spec = service.metadata.name, service.spec
    runtime = engines.get(spec.runtime.name)
    if runtime is None:
        raise BadInput(f"{name}: spec.runtime.name: no ServingRuntime {spec.runtime.name!r}; known: {sorted(engines)}")
    if not spec.accelerators:
        raise BadInput(f"{name}: spec.accelerators: name one; known: {sorted(known)}")
    choice = spec.accelerators[0]
    accelerator = known.get(choice.type)
    if accelerator is None:
        raise BadInput(f"{name}: spec.accelerators[0].type: no Accelerator {choice.type!r}; known: {sorted(known)}")
    engine = ENGINES[runtime.engine]
    revision = revision_of(spec, choice)
    if obstacle := engine.obstacle(revision, runtime, accelerator):
        raise BadInput(f"{name}: {obstacle.message}")
    record = render_revision(service, revision, runtime, accelerator, engine)
    yield render_record(service, revision.hash, 1, record)
    for part, rendered_object in record.objects.items():
        replicas = replicas_wanted(spec.scaling)
        yield with_replicas(rendered_object, replicas) if part in WORKLOADS else rendered_object
    yield render_stable(service, revision.hash, record)
