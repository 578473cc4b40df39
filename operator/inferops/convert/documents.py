"""Reads documents of YAML or JSON, Lists among them, and hands each to whoever knows its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from inferops.convert import kserve, kserveruntime, kubeai, llminference
from inferops.convert.ledger import Document, Draft, Options, at

DEEPEST = 64  # lists and mappings within each other
MOST = 500_000  # parts of one document, aliases written out

Converter = Callable[[dict[str, Any], Draft], dict[str, Any] | None]
CONVERTERS: dict[tuple[str, str], Converter] = {
    ("serving.kserve.io/v1beta1", "InferenceService"): kserve.convert,
    ("serving.kserve.io/v1alpha1", "ServingRuntime"): kserveruntime.convert,
    ("serving.kserve.io/v1alpha1", "ClusterServingRuntime"): kserveruntime.convert,
    ("serving.kserve.io/v1alpha1", "LLMInferenceService"): llminference.convert,
    ("serving.kserve.io/v1alpha2", "LLMInferenceService"): llminference.convert,
    ("kubeai.org/v1", "Model"): kubeai.convert,
}
GROUPS = ("serving.kserve.io/", "kubeai.org/")
NOT_OURS = "nothing of ours does what this kind does, so it is as it was"


class Unreadable(ValueError):
    """The text holds no resources; says where and why."""


class _Loader(yaml.SafeLoader):
    """Leaves dates the text that they are."""


_Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def convert(text: str, options: Options = Options()) -> list[Document]:  # noqa: B008, it is frozen
    """Every resource of `text` in our form. Raises Unreadable."""
    resources = list(_resources(text))
    runtimes = {
        str(at(each, ("metadata", "name"))): engine
        for each in resources
        if _converter(each) is kserveruntime.convert and (engine := kserveruntime.engine_of(each))
    }
    return [_converted(each, options, runtimes) for each in resources]


def _converter(resource: dict[str, Any]) -> Converter | None:
    return CONVERTERS.get((str(resource.get("apiVersion")), str(resource.get("kind"))))


def _converted(resource: dict[str, Any], options: Options, runtimes: dict[str, str]) -> Document:
    meta = resource.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    names = "/".join(str(meta[key]) for key in ("namespace", "name") if meta.get(key))
    source = f"{resource.get('kind')} {names} ({resource.get('apiVersion')})"
    converter = _converter(resource)
    if converter is None:
        theirs = str(resource.get("apiVersion")).startswith(GROUPS)
        return Document(source, resource, failed=NOT_OURS if theirs else "", passed=True)
    draft = Draft(resource, options, runtimes)
    draft.field("apiVersion").counted("apiVersion")
    draft.field("kind").counted("kind")
    output = converter(resource, draft)
    return Document(source, output, tuple(draft.entries), draft.failed)


def _resources(text: str) -> Iterator[dict[str, Any]]:
    try:
        documents = list(yaml.load_all(text, _Loader))
    except yaml.YAMLError as error:
        raise Unreadable(f"it is not YAML: {str(error).splitlines()[0]}") from error
    except (RecursionError, ValueError) as error:
        raise Unreadable("it is not YAML that could be read") from error
    for document in documents:
        if document is not None:
            yield from _each(document)


def _each(document: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str) or not document["kind"]:
        raise Unreadable("a document is no resource: it needs apiVersion, kind and metadata")
    _check_size(document)
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _each(item)
        return
    yield json.loads(json.dumps(document, default=str))  # keys are texts, and nothing is shared by an alias


def _check_size(document: Any) -> None:
    """Raise Unreadable where aliases make it large or endless."""
    parts, left = [(document, 0)], MOST
    while parts:
        value, depth = parts.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise Unreadable(f"a document has more than {MOST} parts, or is deeper than {DEEPEST} levels")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        parts += [(each, depth + 1) for each in inner]
