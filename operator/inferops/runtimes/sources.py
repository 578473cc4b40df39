"""Where a model comes from: what a pod needs to reach it, by the scheme of `spec.model.uri`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inferops.api.inferenceservice import ModelSpec

MODEL_PATH = "/mnt/models"
CREDENTIALS_PATH = "/mnt/credentials"
GOOGLE_KEY = "credentials.json"


@dataclass(frozen=True, slots=True)
class Source:
    """A model's place and the way to it, as parts of a pod."""

    scheme: str
    location: str  # what the engine is told to load
    env: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    pull_secrets: tuple[str, ...] = ()


def source_of(model: ModelSpec) -> Source:
    """The source of `model`, by the scheme of its URI, which the resource's schema holds to the known ones."""
    scheme, _, rest = model.uri.partition("://")
    return SCHEMES[scheme](model, rest)


def secret_variable(name: str, secret: str, key: str, optional: bool = False) -> dict[str, Any]:
    """An environment variable from a key of a Secret; a missing key of an optional one leaves the variable unset."""
    reference: dict[str, Any] = {"name": secret, "key": key}
    if optional:
        reference["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _hugging_face(model: ModelSpec, rest: str) -> Source:
    secret = model.credentials_secret
    return Source("hf", rest, env=(secret_variable("HF_TOKEN", secret, "HF_TOKEN"),) if secret else ())


def _s3(model: ModelSpec, rest: str) -> Source:
    secret = model.credentials_secret
    if not secret:  # the node's or the service account's identity
        return Source("s3", f"s3://{rest.rstrip('/')}")
    needed = [secret_variable(name, secret, name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    optional = [
        secret_variable(name, secret, name, optional=True)
        for name in ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
    ]
    return Source("s3", f"s3://{rest.rstrip('/')}", env=(*needed, *optional))


def _gs(model: ModelSpec, rest: str) -> Source:
    location = f"gs://{rest.rstrip('/')}"
    secret = model.credentials_secret
    if not secret:  # the node's or the service account's identity
        return Source("gs", location)
    volume = {
        "name": "credentials",
        "secret": {
            "secretName": secret,
            "defaultMode": 0o440,
            "items": [{"key": GOOGLE_KEY, "path": GOOGLE_KEY}],
        },
    }
    return Source(
        "gs",
        location,
        env=({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"{CREDENTIALS_PATH}/{GOOGLE_KEY}"},),
        volumes=(volume,),
        mounts=({"name": "credentials", "mountPath": CREDENTIALS_PATH, "readOnly": True},),
    )


def _pvc(model: ModelSpec, rest: str) -> Source:
    """The whole claim is mounted, not the path in it: a Hugging Face cache links from one folder to another."""
    claim, _, path = rest.rstrip("/").partition("/")
    return Source(
        "pvc",
        f"{MODEL_PATH}/{path}" if path else MODEL_PATH,
        volumes=({"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},),
        mounts=({"name": "model", "mountPath": MODEL_PATH, "readOnly": True},),
    )


def _oci(model: ModelSpec, rest: str) -> Source:
    """An image volume; the Secret is a login for the registry (kubernetes.io/dockerconfigjson)."""
    return Source(
        "oci",
        MODEL_PATH,
        volumes=({"name": "model", "image": {"reference": rest, "pullPolicy": "IfNotPresent"}},),
        mounts=({"name": "model", "mountPath": MODEL_PATH, "readOnly": True},),
        pull_secrets=(model.credentials_secret,) if model.credentials_secret else (),
    )


SCHEMES: dict[str, Callable[[ModelSpec, str], Source]] = {
    "hf": _hugging_face,
    "s3": _s3,
    "gs": _gs,
    "pvc": _pvc,
    "oci": _oci,
}
