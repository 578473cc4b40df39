"""Holds an account to its resource: every leaf is told of, what was carried is there, and what came out is valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferops import catalogue
from inferops.api.resources import KINDS, InferenceService
from inferops.convert.ledger import Document, Outcome
from inferops.core.revision import revision_of
from inferops.runtimes import ENGINES

MODELS = {kind.name: kind.model for kind in KINDS}
REFUSED = "the operator will refuse it"


def scalars(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf with its path; null is left out, as the API server does."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    pairs = list(inner)
    for key, each in pairs:
        yield from scalars(each, (*path, key))
    if not pairs and value is not None:
        yield path, value


def found(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def check(resource: dict[str, Any], document: Document) -> None:
    """Every leaf of `resource` is carried or told, and what `document` holds is valid."""
    if document.passed:
        assert document.output == resource
        return
    told = {entry.path: entry for entry in document.entries if entry.outcome is not Outcome.DIFFERS}
    for path, _ in scalars(resource):
        entry = next((told[path[:length]] for length in range(len(path) + 1) if path[:length] in told), None)
        assert entry is not None, f"nothing is said of {path}"
        # What is carried is named field by field: no list or mapping goes as a whole.
        assert entry.outcome is not Outcome.CARRIED or entry.path == path
    if document.output is None:
        assert document.failed
        return
    for entry in document.entries:
        assert (entry.outcome is Outcome.CARRIED) == bool(entry.target)
        assert entry.outcome is Outcome.CARRIED or entry.message
        if entry.target:
            found(document.output, entry.target)  # it is there
    _valid(document)


def _valid(document: Document) -> None:
    output = document.output
    assert output is not None
    parsed = MODELS[output["kind"]].model_validate(output)
    dumped = parsed.dump()
    for path, value in scalars(output):
        if path[0] in ("metadata", "spec") and value not in ({}, []):
            assert found(dumped, path) == value  # so it is a field of ours, and says what was written
    if isinstance(parsed, InferenceService) and not any(REFUSED in entry.message for entry in document.entries):
        _served(parsed)


def _served(service: InferenceService) -> None:
    runtime, choices = catalogue.runtimes().get(service.spec.runtime.name), service.spec.accelerators
    if runtime is None or not choices or choices[0].type not in catalogue.accelerators():
        return
    accelerator = catalogue.accelerators()[choices[0].type]
    engine = ENGINES[runtime.engine]
    assert engine.obstacle(revision_of(service.spec, choices[0]), runtime, accelerator) is None
