"""`inferops version`: which version this is, which one the cluster's CRDs and its operator are."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

from inferops.api import GROUP, VERSION
from inferops.cli import table
from inferops.cli.access import Unreachable, Where, looking
from inferops.cli.gather import Gathering
from inferops.cli.lines import clean
from inferops.cli.options import Document
from inferops.kube.client import KubeError
from inferops.kube.kinds import DEPLOYMENT, Kind
from inferops.kube.owned import Object

CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
PARTS = ("inferops-operator", "inferops-gateway")


def client_version() -> str:
    """Of this program."""
    try:
        return installed("inferops")
    except PackageNotFoundError:  # run from its sources
        return "source"


def version(where: Where, output: Document) -> int:
    """Print it. Returns 0; what cannot be read of the cluster is told as such."""
    import asyncio

    data: dict[str, Any] = {"client": client_version(), "api": f"{GROUP}/{VERSION}"}
    data |= asyncio.run(_cluster(where))
    print("\n".join(told(data)) if output == "text" else table.document(data, output))
    return 0


async def _cluster(where: Where) -> dict[str, Any]:
    try:
        async with looking(where) as client:
            reads = Gathering(client)
            crds = await reads.list(CRD, lacks="which versions of the API the cluster stores is not told")
            deployed = await reads.list(
                DEPLOYMENT, "", "app.kubernetes.io/part-of=inferops", lacks="images are not told"
            )
    except (KubeError, Unreachable) as error:
        return {"notSeen": [clean(str(error))]}
    return {"crds": stored(crds or ()), "images": images(deployed or ()), "notSeen": reads.unseen}


def stored(crds: Any) -> dict[str, str]:
    """The version that the cluster stores of each of our kinds."""
    found = {}
    for raw in crds:
        spec = raw.get("spec") or {}
        if spec.get("group") == GROUP:
            versions = [each.get("name") for each in spec.get("versions") or () if each.get("storage")]
            found[str(raw["metadata"]["name"])] = str(versions[0]) if versions else "none"
    return dict(sorted(found.items()))


def images(deployments: Any) -> dict[str, str]:
    """The images of the operator and the gateways, by Deployment."""
    found: dict[str, str] = {}
    raw: Object
    for raw in deployments:
        meta = raw["metadata"]
        name = (meta.get("labels") or {}).get("app.kubernetes.io/name") or meta["name"]
        template = ((raw.get("spec") or {}).get("template") or {}).get("spec") or {}
        for container in template.get("containers") or ():
            if name in PARTS or meta["name"] in PARTS:
                found[f"{meta['namespace']}/{meta['name']}"] = str(container.get("image") or "")
    return dict(sorted(found.items()))


def told(data: dict[str, Any]) -> list[str]:
    """The lines for people."""
    lines = [f"client: {data['client']} ({data['api']})"]
    crds: dict[str, str] = data.get("crds") or {}
    if crds:
        versions = sorted(set(crds.values()))
        lines.append(f"cluster: {len(crds)} CRDs, stored as {', '.join(versions)}")
    elif "crds" in data and not data["notSeen"]:
        lines.append("cluster: inferops is not installed: it has no CRD of ours")
    lines += [f"{name}: {image}" for name, image in (data.get("images") or {}).items()]
    return [*lines, *(f"not seen: {each}" for each in data.get("notSeen") or ())]
