"""Policies about what was asked for: whether anybody has judged it, and whether it can be served at all."""

from __future__ import annotations

from inferops.api.conditions import Condition, Reason
from inferops.cli import rolloutstate
from inferops.cli.lines import duration, moment, program
from inferops.cli.why.seen import Explanation, Seen, stated

REMEDIES = {
    Reason.RUNTIME_NOT_FOUND: "see which runtimes there are: `kubectl get servingruntimes`",
    Reason.ACCELERATOR_NOT_FOUND: "see which accelerators there are: `kubectl get accelerators`",
    Reason.LEADER_WORKER_SET_MISSING: "have an admin install LeaderWorkerSet, or name a choice with nodes: 1",
    Reason.REJECTED_BY_API_SERVER: "see what refuses it: `kubectl get events -n {namespace}`",
    Reason.NAME_CONFLICT: "rename the service, or remove what has its name",
}
SIZED = (Reason.NO_ACCELERATOR_FITS, Reason.ACCELERATOR_REQUIRED, Reason.MODEL_UNKNOWN)


def going(seen: Seen) -> Explanation | None:
    """It is being deleted."""
    meta = seen.service.metadata
    if meta.deletion_timestamp is None:
        return None
    begun = moment(meta.deletion_timestamp)
    ago = f", begun {duration((seen.now - begun).total_seconds())} ago" if begun is not None else ""
    held = [f"held by the finalizer {each}" for each in meta.finalizers]
    places = [
        f"cluster {each.cluster}: {each.state} {each.message}".strip()
        for each in seen.service.status.placement.clusters
    ]
    todo = "to leave behind what is in clusters that do not answer, set spec.placement.deletionPolicy: Orphan"
    return Explanation(f"it is being deleted{ago}", stated(*held, *places), (todo,) if places else ())


def unjudged(seen: Seen) -> Explanation | None:
    """The operator has not looked at the newest spec."""
    status, meta = seen.service.status, seen.service.metadata
    if not rolloutstate.behind(seen.service) and status.conditions:
        return None
    told = f"it judged generation {status.observed_generation} last" if status.conditions else "it has no status yet"
    return Explanation(
        f"the operator has not judged generation {meta.generation} of the spec yet",
        (f"{told}; it takes seconds where the operator runs",),
        (
            "see whether the operator runs: `kubectl get pods -n inferops-system`",
            "see what it says: `kubectl logs -n inferops-system deployment/inferops-operator --tail=50`",
        ),
    )


def invalid(seen: Seen) -> Explanation | None:
    """The spec cannot be served."""
    valid = seen.condition("Valid")
    if valid is None or valid.status != "False":
        return None
    status = seen.service.status
    serves = (
        f"revision {status.stable_revision} goes on serving: {status.ready_replicas} replicas are ready"
        if status.stable_revision
        else "nothing serves"
    )
    return Explanation(
        f"its spec cannot be served: {valid.message or valid.reason}",
        stated(f"Valid=False, {valid.reason}", serves, *status.sizing.rejected[:4]),
        _remedies(seen, valid),
    )


def _remedies(seen: Seen, valid: Condition) -> tuple[str, ...]:
    meta, spec = seen.service.metadata, seen.service.spec
    found = [f"edit it: `kubectl edit inferenceservice {seen.where}`, or the file it is applied from"]
    found += [REMEDIES[Reason(valid.reason)].format(namespace=meta.namespace)] if valid.reason in REMEDIES else []
    if valid.reason in SIZED:
        found.append(f"see what would do: `{program()} size {spec.model.uri}`")
    found.append(f"see what a change would do before it is applied: `{program()} diff -n {meta.namespace} -f FILE`")
    return tuple(found)
