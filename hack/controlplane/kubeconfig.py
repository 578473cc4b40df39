"""Kubeconfigs with everything inside them, so that one can be copied or put into a Secret as it is."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml

from controlplane.certificates import Pair

User = dict[str, str]


def certificate_user(pair: Pair) -> User:
    return {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}


def token_user(token: str) -> User:
    return {"token": token}


def write_kubeconfig(
    file: Path, cluster: str, server: str, ca: Path, user: User, *, namespace: str = "default"
) -> Path:
    """Write a kubeconfig with one context, named for the cluster, that only this user can read; returns `file`."""
    user_name = f"{cluster}-{file.stem}"  # kubectl may merge the kubeconfigs of several clusters
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": _base64(ca)}}],
        "users": [{"name": user_name, "user": user}],
        "contexts": [
            {"name": cluster, "context": {"cluster": cluster, "user": user_name, "namespace": namespace}},
        ],
        "current-context": cluster,
    }
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        yaml.safe_dump(content, opened, sort_keys=False)
    return file


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
