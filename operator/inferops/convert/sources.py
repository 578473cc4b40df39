"""Where a model lies, as other products write it, in our scheme."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from inferops.api.formats import ModelUri

OURS = ("hf", "s3", "gs", "pvc", "oci")
PUT_IT = "put the model on a hub, in a bucket, on a PersistentVolumeClaim or in an image, and name that in model.uri"

_URI: TypeAdapter[str] = TypeAdapter(ModelUri)


@dataclass(frozen=True, slots=True)
class Place:
    """A model's place as ours has it, or what is wrong with it."""

    uri: str = ""
    revision: str = ""
    wrong: str = ""


def place_of(uri: str) -> Place:
    """The place that a storageUri or url names; KServe writes a revision of hf:// behind a colon."""
    scheme, found, rest = uri.partition("://")
    if not found or scheme not in OURS:
        return Place(wrong=f"there is no source {scheme}://" if found else "it names no scheme, such as hf://")
    revision = ""
    if scheme == "hf":
        rest, _, revision = rest.partition(":")
    try:
        return Place(_URI.validate_python(f"{scheme}://{rest}", strict=True), revision)
    except ValidationError:
        return Place(wrong=f"it is no {scheme}:// as ours takes it: letters, digits and - _ . / alone")
