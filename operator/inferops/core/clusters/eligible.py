"""Which clusters may hold a service: a chain of reasons why one may not, the first that holds is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferops.api.placement import PlacementSpec
from inferops.core.clusters.distance import NEAR, Distance
from inferops.core.clusters.kinds import Kind
from inferops.core.clusters.rooms import offer
from inferops.core.clusters.seen import ClusterView
from inferops.core.clusters.selecting import selected
from inferops.core.observation import Taint
from inferops.core.taints import tolerated

EVICTS = "NoExecute"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a cluster gets nothing."""

    reason: str  # one word
    message: str
    evicts: bool = False  # whether what is there has to go elsewhere too
    bars: bool = False  # whether nothing of the service may be there, not even for its gateways to pass requests on


@dataclass(frozen=True, slots=True)
class Case:
    """One service and one cluster."""

    namespace: str
    placement: PlacementSpec
    kinds: Sequence[Kind]
    cluster: ClusterView
    away: Distance = NEAR  # from the clients
    ttft: str | None = None  # within which they are to have the first token


Check = Callable[[Case], Refusal | None]


def it_is_selected(case: Case) -> Refusal | None:
    selector = case.placement.clusters
    if selector is not None and selected(selector, case.cluster.labels):
        return None
    return Refusal("NotSelected", "placement.clusters does not mean it any more", evicts=True, bars=True)


def namespace_is_allowed(case: Case) -> Refusal | None:
    allowed = case.cluster.spec.namespaces
    if not allowed or case.namespace in allowed:
        return None
    return Refusal("NamespaceNotAllowed", f"spec.namespaces does not have {case.namespace}", evicts=True, bars=True)


def region_is_allowed(case: Case) -> Refusal | None:
    regions, region = case.placement.regions, case.cluster.spec.region
    if not regions or region in regions:
        return None
    where = f"it is in {region}" if region else "it tells no region"
    told = f"{where}, and placement.regions has {', '.join(regions)}"
    return Refusal("OtherRegion", told, evicts=True, bars=True)


def it_is_near_enough(case: Case) -> Refusal | None:
    there = [kind for kind in case.kinds if offer(case.cluster, kind)] or case.kinds
    if not there or any(kind.work for kind in there):
        return None
    far = f"{case.away.milliseconds:.0f} ms from its clients to its gateways and back"
    if case.away.guessed:
        others = "the most that any cluster tells, counts where spec.latency says nothing"
        far += f" ({', '.join(case.away.guessed)}: {others})"
    return Refusal("TooFar", f"{far} leave too little of slo.ttft, {case.ttft}, to serve a request on {named(there)}")


def taints_are_tolerated(case: Case) -> Refusal | None:
    for each in case.cluster.spec.taints:
        if not tolerated([Taint(each.key, each.value, each.effect)], case.placement.tolerations):
            value = f"={each.value}" if each.value else ""
            told = f"it has the taint {each.key}{value}:{each.effect}, which placement.tolerations does not have"
            return Refusal("Tainted", told, evicts=each.effect == EVICTS)
    return None


def it_is_reached(case: Case) -> Refusal | None:
    return Refusal("NotReached", case.cluster.problem) if case.cluster.problem else None


def it_answers(case: Case) -> Refusal | None:
    cluster = case.cluster
    if cluster.state == "Healthy":
        return None
    told = "the operator may be what is cut off" if cluster.cut_off else "see its conditions"
    return Refusal(cluster.state, f"it is {cluster.state}: nothing new is placed there; {told}")


def it_is_counted(case: Case) -> Refusal | None:
    if case.cluster.free is None:
        return Refusal("NotCounted", "what finds a place there is not known yet")
    if not case.cluster.listed:
        told = "its InferenceServices cannot be listed: is inferops installed there, and manifests/member/rbac.yaml?"
        return Refusal("NotListed", told)
    return None


def it_takes_what_is_written(case: Case) -> Refusal | None:
    return Refusal("Refused", case.cluster.refused) if case.cluster.refused else None


def it_has_an_accelerator(case: Case) -> Refusal | None:
    if any(offer(case.cluster, kind) for kind in case.kinds):
        return None
    return Refusal("NoAccelerator", f"no node that can be used has {named(case.kinds)}")


def named(kinds: Sequence[Kind]) -> str:
    return " or ".join(kind.name for kind in kinds)


CHECKS: tuple[Check, ...] = (
    it_is_selected,
    namespace_is_allowed,
    region_is_allowed,
    it_is_near_enough,
    taints_are_tolerated,
    it_is_reached,
    it_answers,
    it_is_counted,
    it_takes_what_is_written,
    it_has_an_accelerator,
)


def refusal(case: Case) -> Refusal | None:
    """Why nothing new may be placed there, or None."""
    return next((found for check in CHECKS if (found := check(case)) is not None), None)
