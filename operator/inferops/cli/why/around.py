"""Policies about what is around the replicas: clusters, routes, zero, and how many replicas scaling wants."""

from __future__ import annotations

from inferops.api.conditions import Reason
from inferops.cli import money
from inferops.cli.lines import since
from inferops.cli.why.seen import Explanation, Seen, stated
from inferops.core import fleet

BAD_CLUSTERS = ("Lost", "Suspect")
NO_ROUTE = {
    Reason.ROUTE_PENDING: "see what its Gateway says: `kubectl describe httproute {name} -n {namespace}`",
    Reason.GATEWAY_API_MISSING: "have an admin install the Gateway API, or leave spec.traffic.gateway out",
    Reason.GATEWAY_NOT_READY: "see whether the built-in gateway runs: `kubectl get pods -n inferops-system`",
    Reason.ACCESS_NOT_CHECKED: "have the built-in gateway run: `kubectl get pods -n inferops-system`",
    Reason.NO_ENDPOINTS: "see its pods: `kubectl get pods -n {namespace} -l inferops.dev/service={name}`",
}
SHORT = {"Maximum", "NoSignals", "NoNode"}


def asked_cluster(seen: Seen) -> Explanation | None:
    """Whether it is in the cluster that is asked about, and if not, why."""
    if not seen.cluster:
        return None
    told, name = seen.service.status.placement, seen.cluster
    here = next((each for each in told.clusters if each.cluster == name), None)
    if here is not None:
        return Explanation(
            f"it is placed in {name}: {here.state}, {here.ready_replicas} of {here.replicas} replicas ready",
            stated(here.message, f"on {here.accelerator}" if here.accelerator else "", *_cluster(seen, name)),
            wrong=here.state in BAD_CLUSTERS,
        )
    not_chosen = next((each for each in told.not_chosen if each.cluster == name), None)
    if not_chosen is not None:
        return Explanation(
            f"it is not placed in {name}: {not_chosen.reason}: {not_chosen.message}",
            stated(*_cluster(seen, name)),
            (
                f"see that cluster: `kubectl describe inferencecluster {name} -n inferops-system`",
                "see docs/clusters.md on spec.placement: clusters, regions, tolerations, maxPerCluster",
            ),
        )
    if seen.service.spec.placement.clusters is None:
        return Explanation(
            f"it is not placed in {name}: it runs in this cluster alone, since spec.placement.clusters is left out",
            todo=("name clusters by their labels, for example spec.placement.clusters: {matchLabels: {tier: prod}}",),
        )
    known = ", ".join(sorted(seen.clusters or ())) or "none that you may see"
    return Explanation(
        f"it is not placed in {name}: the operator tells of no such InferenceCluster",
        (f"there are {known}",),
        ("see which there are: `kubectl get inferenceclusters -A`",),
    )


def _cluster(seen: Seen, name: str) -> list[str]:
    """What is known of a member."""
    member = (seen.clusters or {}).get(name)
    if member is None:
        return []
    told = [
        f"{each.type}={each.status}, {each.reason}: {each.message}"
        for each in member.conditions
        if each.type != "Ready"
    ]
    return told + [
        f"{each.accelerator}: {each.free} of {each.total} free on {each.nodes} nodes" for each in member.offers
    ]


def placed(seen: Seen) -> Explanation | None:
    """Clusters that are lost or silent, and what cannot be placed."""
    told = seen.service.status.placement
    away = [each for each in told.clusters if each.state in BAD_CLUSTERS]
    stopped = told.rollout.phase == "Stopped"
    if not (told.message or away or stopped):
        return None
    verdicts = [told.message] if told.message else []
    verdicts += [f"cluster {each.cluster} is {each.state}: {each.message}".rstrip(": ") for each in away]
    verdicts += [f"the clusters' rollout is stopped: {told.rollout.message or told.rollout.reason}"] if stopped else []
    others = [
        f"{each.cluster}: {each.state}, {each.ready_replicas} ready" for each in told.clusters if each not in away
    ]
    left = [f"not in {each.cluster}: {each.reason}: {each.message}" for each in told.not_chosen]
    return Explanation(
        "; ".join(verdicts),
        stated(*others, *left, *(line for each in away for line in _cluster(seen, each.cluster))),
        (
            "see the clusters: `kubectl get inferenceclusters -A`",
            f"ask about one: {seen.run('why', '--cluster NAME')}",
        ),
    )


def at_zero(seen: Seen) -> Explanation | None:
    """No replica is wanted."""
    status, scaling = seen.service.status, seen.service.spec.scaling
    if status.desired_replicas != 0 or status.placement.clusters:
        return None
    if scaling.replicas == 0:
        verdict = "it is scaled to zero by hand: spec.scaling.replicas is 0, and requests do not wake it"
        return Explanation(
            verdict,
            stated(status.scaling.message),
            (f"let scaling decide: {seen.run('scale', '--auto')}",),
            wrong=False,
            enough=True,
        )
    after = scaling.scale_to_zero_after
    available = seen.condition("Available")
    return Explanation(
        f"it is at zero{f' since nobody asked for {after}' if after else ''}, and the first request starts a replica",
        stated(status.scaling.message, available.message if available is not None else ""),
        (f"start one now: {seen.run('scale', '--min 1')}",),
        wrong=False,
        enough=True,
    )


def unrouted(seen: Seen) -> Explanation | None:
    """Requests do not reach it."""
    routed = seen.condition("Routed")
    if routed is None or routed.status == "True" or not seen.service.status.stable_revision:
        return None
    if routed.reason in (Reason.CREATING, Reason.NO_ENDPOINTS) and not seen.service.status.ready_replicas:
        return None  # its replicas say why
    meta = seen.service.metadata
    remedy = NO_ROUTE.get(
        Reason(routed.reason) if routed.reason in Reason.__members__.values() else Reason.ROUTE_PENDING
    )
    look = (remedy or NO_ROUTE[Reason.ROUTE_PENDING]).format(name=meta.name, namespace=meta.namespace)
    return Explanation(
        f"requests do not reach it: {routed.message or routed.reason}",
        (f"Routed={routed.status}, {routed.reason}",),
        (look,),
    )


def scaled(seen: Seen) -> Explanation | None:
    """Why so many replicas."""
    service, status = seen.service, seen.service.status
    scaling, told = service.spec.scaling, status.scaling
    if status.desired_replicas is None:
        return None
    wanted, number = status.desired_replicas, scaling.replicas
    if number is not None:
        return Explanation(
            f"{wanted} replicas are wanted, since spec.scaling.replicas is {number}: "
            "no other number is chosen while it is set",
            stated(*_bounds(seen)),
            (f"let scaling decide: {seen.run('scale', '--auto')}",),
            wrong=False,
        )
    if not told.mode:
        most = fleet.highest(scaling)
        fixed = f"{wanted} replicas are wanted: mode {scaling.mode} between {scaling.min_replicas} and {most}"
        room = most <= max(scaling.min_replicas, 1) and scaling.mode in fleet.BY_LOAD
        todo = f"let it follow the load: {seen.run('scale', f'--max {max(wanted, 1) * 2}')}"
        return Explanation(
            fixed + (", so the load changes nothing" if room else ""),
            stated(*_bounds(seen)),
            (todo,) if room else (),
            wrong=False,
        )
    evidence = [*_signals(seen), *_bounds(seen)]
    ago = since(told.last_scale_time, seen.now)
    evidence += [f"changed last {ago} ago"] if ago else []
    verdict = f"{wanted} replicas are wanted ({told.mode}: {told.reason}): {told.message}"
    return Explanation(verdict, stated(*evidence), _scale_remedies(seen, wanted), wrong=told.reason in SHORT)


def _scale_remedies(seen: Seen, wanted: int) -> tuple[str, ...]:
    reason = seen.service.status.scaling.reason
    if reason == "Maximum":
        return (f"allow more: {seen.run('scale', f'--max {max(needed(seen) or 0, wanted + 1)}')}",)
    if reason == "NoSignals":
        return (
            "have requests pass the built-in gateway, or tell the operator of a Prometheus: --prometheus URL",
            "see whether the gateways run: `kubectl get pods -n inferops-system`",
        )
    if reason == "NoNode":
        return (f"make room for the replicas that wait: {seen.run('why')} once more after adding nodes",)
    if reason == "Held":
        return ("they go by themselves; spec.scaling.scaleDown.after says how long is waited",)
    return ()


def needed(seen: Seen) -> int | None:
    """Replicas that the load would need by what was learned; None: nothing was."""
    told = seen.service.status.scaling
    arrive = money.number(told.forecast_per_second) or money.number(told.arrivals_per_second)
    carries, used = money.number(told.capacity_per_second), money.number(told.utilization) or 1.0
    if not arrive or not carries:
        return None
    return -int(-arrive // (carries * used))


def _signals(seen: Seen) -> list[str]:
    told = seen.service.status.scaling
    pairs = (
        (told.arrivals_per_second, "{} requests/s arrive"),
        (told.forecast_per_second, "{} requests/s are forecast for when a new replica would be ready"),
        (told.capacity_per_second, "a replica carries {} requests/s within the SLO"),
        (told.utilization, "{} of that is planned to be used"),
        (told.cold_start, "a replica takes {} to start"),
        (told.attainment, "{} of requests met the SLO of late"),
    )
    more = needed(seen)
    need = [f"so {more} replicas would carry it"] if more is not None else []
    return [text.format(value) for value, text in pairs if value] + need


def _bounds(seen: Seen) -> list[str]:
    scaling = seen.service.spec.scaling
    found = [f"bounds: {scaling.min_replicas} to {fleet.highest(scaling)} replicas, mode {scaling.mode}"]
    found += [f"window {each.name or each.cron}: at least {each.min_replicas}" for each in scaling.schedule]
    return found
