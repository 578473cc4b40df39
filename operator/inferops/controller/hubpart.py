"""The Service of a placed service's own name in the hub: clients there find by it what the service has in the hub."""

from __future__ import annotations

from inferops.controller.apply import Applier
from inferops.controller.gateways import lists_pods
from inferops.controller.observe import record_of
from inferops.controller.store import Key
from inferops.core.clusters.naming import hub_name
from inferops.core.clusters.seen import ChildView
from inferops.core.observation import SERVICE_EXPORT as EXPORTS
from inferops.core.observation import Observation
from inferops.core.revision import revision_name
from inferops.kube.kinds import ENDPOINT_SLICE, RECORD, SERVICE, SERVICE_EXPORT
from inferops.render.gatewayslice import render_gateway_slice, slice_name
from inferops.render.serviceexport import render_export
from inferops.render.stable import render_stable


async def lead(applier: Applier, key: Key, seen: Observation, part: ChildView) -> bool:
    """Point the Service to where that of its `part` leads: to pods, or to the gateways. Returns False where gateways
    stay behind it until Kubernetes lists the pods. Raises Refused where its name is taken, and KubeError."""
    store, there, uid = applier.store, key._replace(name=hub_name(key.name)), seen.service.metadata.uid
    stable = store.children(there, SERVICE).get(there.name)
    to = str(stable.view) if stable is not None and stable.owner == part.uid else ""
    kept = store.children(there, RECORD).get(revision_name(there.name, to))
    known = record_of(kept, there, to) if kept is not None and kept.owner == part.uid else None
    if known is None:
        return True  # it has none yet
    held = bool(seen.gateways) and slice_name(there.name) in store.children(there, ENDPOINT_SLICE)
    if held:
        await applier.ensure(key, uid, render_gateway_slice(seen.service, seen.gateways))
    await applier.ensure(key, uid, render_stable(seen.service, to, known[0], gateway=held, of=there.name))
    await _export(applier, key, seen, part)
    own = slice_name(key.name)
    if held or own not in store.children(key, ENDPOINT_SLICE):
        return True
    if part.ready and not await lists_pods(applier.kube, key.namespace, key.name):
        return False
    await applier.remove(key, uid, ENDPOINT_SLICE, own)
    return True


async def _export(applier: Applier, key: Key, seen: Observation, part: ChildView) -> None:
    """Other clusters of a clusterset know the service by its own name."""
    if not (seen.service.spec.traffic.export and part.most):
        await applier.remove(key, seen.service.metadata.uid, SERVICE_EXPORT, key.name)
    elif EXPORTS in seen.kinds:
        await applier.ensure(key, seen.service.metadata.uid, render_export(seen.service))
