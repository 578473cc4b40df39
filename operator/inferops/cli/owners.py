"""Who else sets a field of a service, by its managedFields: whose next sync would undo a change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inferops.cli.access import FIELD_MANAGER

GITOPS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "argocd-server": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "helm": "Helm",
    "fleetagent": "Fleet",
    "configsync.gke.io": "Config Sync",
}
BY_HAND = ("kubectl", "kubectl-client-side-apply")
OURS = (FIELD_MANAGER, "inferops")


def owners(raw: Mapping[str, Any], path: Iterable[str]) -> list[str]:
    """The managers that set the field at `path`, such as ("spec", "scaling", "replicas"), ours left out."""
    keys = [f"f:{part}" for part in path]
    found = []
    for entry in raw.get("metadata", {}).get("managedFields") or ():
        fields: Any = entry.get("fieldsV1") or {}
        for key in keys:
            fields = fields.get(key) if isinstance(fields, dict) else None
            if fields is None:
                break
        manager = str(entry.get("manager") or "")
        if fields is not None and manager not in OURS:
            found.append(manager)
    return found


def undone_by(raw: Mapping[str, Any], path: Iterable[str]) -> str:
    """Who sets the field back, and where to change it instead; empty: nobody is known to."""
    parts = tuple(path)
    managers = owners(raw, parts)
    field = ".".join(parts)
    tool = next((each for each in managers if each in GITOPS), None)
    if tool is not None:
        return (
            f"{field} comes from Git by {GITOPS[tool]}{_source(raw)}: its next sync sets it back; change it there, or "
            "leave the field out of Git so that it is yours"
        )
    hand = next((each for each in managers if each in BY_HAND), None)
    if hand is not None:
        return f"{field} was applied by kubectl: the next apply of that file sets it back; change it there too"
    return f"{field} is also set by {', '.join(managers)}, which may set it back" if managers else ""


def _source(raw: Mapping[str, Any]) -> str:
    """What tool has it from where, by the marks that tools leave."""
    meta = raw.get("metadata", {})
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    if tracked := annotations.get("argocd.argoproj.io/tracking-id"):
        return f" (Application {str(tracked).partition(':')[0]})"
    for kind, what in (("kustomize", "Kustomization"), ("helm", "HelmRelease")):
        name = labels.get(f"{kind}.toolkit.fluxcd.io/name")
        if name:
            return f" ({what} {labels.get(f'{kind}.toolkit.fluxcd.io/namespace', '?')}/{name})"
    if release := annotations.get("meta.helm.sh/release-name"):
        return f" (release {annotations.get('meta.helm.sh/release-namespace', '?')}/{release})"
    if instance := labels.get("argocd.argoproj.io/instance"):
        return f" (Application {instance})"
    return ""
