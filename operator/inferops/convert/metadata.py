"""Names, labels and annotations: what stays, what the server or other tools own, and names that ours do not take."""

from __future__ import annotations

import re
from hashlib import sha256

from pydantic import TypeAdapter, ValidationError

from inferops.api.formats import LabelKey, LabelValue, Name
from inferops.api.resources import NAME_LIMIT, NAME_START
from inferops.convert.ledger import Draft, Field

SERVERS = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "managedFields", "selfLink",
)  # fmt: skip
OTHERS = {
    "ownerReferences": "whoever owned it applies the new one",
    "finalizers": "they are of controllers that know the old kind",
}
APPLIED_BY = (
    "kubectl.kubernetes.io/", "argocd.argoproj.io/", "meta.helm.sh/", "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/", "app.kubernetes.io/managed-by", "helm.sh/",
)  # fmt: skip
OF_THE_TOOL = "of the tool that applied it, which sets it anew"

_KEY: TypeAdapter[str] = TypeAdapter(LabelKey)
_VALUE: TypeAdapter[str] = TypeAdapter(LabelValue)
_NAMESPACE: TypeAdapter[str] = TypeAdapter(Name)


def carry_metadata(draft: Draft, namespaced: bool = True) -> str:
    """Carry name, namespace, labels and annotations; returns the name as it was; without one it has failed."""
    meta = draft.field("metadata")
    name = meta["name"].text()
    draft.out["metadata"] = {}
    if not name:
        draft.failed = "it has no metadata.name"
        return ""
    fitting = fitting_name(name)
    note = (
        ""
        if fitting == name
        else f"it is {fitting}: ours are named by at most {NAME_LIMIT} lower-case letters, digits and '-'"
    )
    meta["name"].became("metadata", "name", value=fitting, note=note)
    _namespace(draft, meta["namespace"], namespaced)
    for key, each in meta["labels"].fields():
        _label(each, key)
    for key, each in meta["annotations"].fields():
        if not each.said():
            _annotation(each, key)
    for key in SERVERS:
        meta[key].ignored("the server sets it")
    for key, why in OTHERS.items():
        meta[key].ignored(why)
    meta["generateName"].ignored("the resource has its name")
    return name


def fitting_name(name: str) -> str:
    """`name` where ours may have it, else one that is close and the same each time."""
    if len(name) <= NAME_LIMIT and re.search(NAME_START, name):
        return name
    cleaned = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    cleaned = cleaned if cleaned[:1].isalpha() else f"m-{cleaned}".strip("-")
    if len(cleaned) > NAME_LIMIT:
        cleaned = f"{cleaned[: NAME_LIMIT - 7].rstrip('-')}-{sha256(name.encode()).hexdigest()[:6]}"
    return cleaned


def _namespace(draft: Draft, namespace: Field, namespaced: bool) -> None:
    if not namespaced:
        namespace.lost("a ServingRuntime of ours is for all namespaces", "see that no other has its name")
    elif namespace.text() and _is(_NAMESPACE, namespace.text()):
        namespace.became("metadata", "namespace")
    elif namespace:
        namespace.lost("it is no namespace", "write metadata.namespace")
    elif draft.options.namespace:
        draft.put(("metadata", "namespace"), draft.options.namespace)


def _label(each: Field, key: str) -> None:
    if key.startswith(APPLIED_BY):
        each.ignored(OF_THE_TOOL)
    elif _is(_KEY, key) and isinstance(each.value, str) and _is(_VALUE, each.value):
        each.became("metadata", "labels", key)
    else:
        each.lost("it is no label", "write it in metadata.labels")


def _annotation(each: Field, key: str) -> None:
    if key.startswith(APPLIED_BY):
        each.ignored(OF_THE_TOOL)
    elif key.lower() == key and _is(_KEY, key) and isinstance(each.value, str) and len(each.value) <= 65_536:
        each.became("metadata", "annotations", key, note="of the InferenceService alone, no pod gets it")
    else:
        each.lost("it is no annotation", "write it in metadata.annotations")


def _is(form: TypeAdapter[str], value: str) -> bool:
    try:
        form.validate_python(value, strict=True)
    except ValidationError:
        return False
    return True
