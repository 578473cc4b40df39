"""The samples, rendered and held against files: a change of what runs in clusters shows in review.

`UPDATE_GOLDEN=1 pytest tests/unit/render/test_golden.py` writes the files anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferops.api.resources import InferenceService
from inferops.core import routing
from inferops.core.activation import by_number
from inferops.core.observation import HTTP_ROUTE, INFERENCE_POOL, Observation, RevisionView
from inferops.render.httproute import render_httproute
from inferops.render.inferencepool import http_port, render_inferencepool
from inferops.render.record import Record, render_record
from inferops.render.revision import with_replicas
from inferops.render.stable import render_stable
from inferops.runtimes import ENGINES
from unit.render.building import rendered, sampled_accelerators, sampled_runtimes, samples

GOLDEN = Path(__file__).parent / "golden"


def cases() -> Iterator[tuple[str, InferenceService, int]]:
    for name, service in samples():
        types = [accelerator.type for accelerator in service.spec.accelerators]
        for choice, type_ in enumerate(types):
            again = f"-{choice}" if type_ in types[:choice] else ""
            yield f"{name}.{type_}{again}", service, choice


CASES = list(cases())


def as_yaml(service: InferenceService, choice: int) -> str:
    runtime = sampled_runtimes()[service.spec.runtime.name]
    accelerator = sampled_accelerators()[service.spec.accelerators[choice].type]
    record = rendered(service, runtime, accelerator, choice)
    kept = render_record(service, record.spec.hash, 1, record)
    assert kept["data"].pop("objects") == record.objects
    replicas = by_number(service.spec.scaling)
    objects = {
        name: with_replicas(part, replicas) if part is record.workload else part
        for name, part in record.objects.items()
    }
    stable = render_stable(service, record.spec.hash, record)
    return yaml.safe_dump_all([kept, *objects.values(), stable, *routed(service, record)], sort_keys=False, width=120)


def routed(service: InferenceService, record: Record) -> Iterator[dict[str, Any]]:
    """The HTTPRoute of a service that names a Gateway, and its InferencePool where it asks for an endpoint picker."""
    revisions = (RevisionView(record.spec.hash, record.spec),)
    kinds = frozenset([HTTP_ROUTE, INFERENCE_POOL])
    seen = Observation(service, datetime.now(UTC), kinds=kinds, revisions=revisions)
    plan, picker = routing.plan(seen, record.spec.hash, {}), service.spec.traffic.endpoint_picker
    if plan is not None:
        if picker is not None:
            yield render_inferencepool(service, record.spec.hash, record, picker)
        api = ENGINES[sampled_runtimes()[service.spec.runtime.name].engine].api
        yield render_httproute(service, plan, {record.spec.hash: http_port(record)}, api)


@pytest.mark.parametrize(("name", "service", "choice"), CASES, ids=[name for name, _, _ in CASES])
def test_rendered_sample(name: str, service: InferenceService, choice: int) -> None:
    path = GOLDEN / f"{name}.yaml"
    text = as_yaml(service, choice)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert path.exists(), f"{path.name} is missing; write it with UPDATE_GOLDEN=1"
    assert text == path.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == {name for name, _, _ in CASES}
