"""Which revisions are wanted and which of them gets the traffic.

The new revision is brought up beside the one that serves; once all its replicas are ready the traffic moves,
and when the move is on record the old one is removed. A spec that changes again meanwhile replaces the
newcomer, never the one that serves. A revision that has never served is not held on to: it would keep the
GPUs that its correction needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferops.core import routing
from inferops.core.observation import Observation, RevisionView


@dataclass(frozen=True, slots=True)
class Plan:
    """The revisions by hash."""

    route: str  # gets the traffic; empty where nothing can be served
    stable: str  # to be recorded as the one that serves; empty until one has
    target: str  # the one that the spec asks for; empty where the spec is invalid
    wanted: tuple[str, ...]  # exist, with all their replicas
    retiring: tuple[str, ...]  # exist until the traffic has left them, then are removed
    removed: tuple[str, ...]


def plan(seen: Observation, target: str, replicas: int) -> Plan:
    """Move the traffic to `target` once it is ready, and remove what is left behind."""
    there: Mapping[str, RevisionView] = {revision.hash: revision for revision in seen.revisions}
    stable = _serving(seen, there)
    if not target:  # an invalid spec changes nothing about what runs
        return Plan(seen.routed_to if seen.routed_to in there else stable, stable, "", tuple(there), (), ())
    candidate = there.get(target)
    if candidate is not None and candidate.ready >= (replicas if stable else 1):
        stable = target
    route = stable or target
    wanted = tuple(dict.fromkeys((route, target)))
    others = [hash_ for hash_ in there if hash_ not in wanted]
    # The traffic has left a revision when the record, the Service and the Gateway all point elsewhere.
    carrying = {seen.service.status.stable_revision, seen.routed_to, *routing.carried(seen)}
    retiring = tuple(hash_ for hash_ in others if hash_ in carrying)
    return Plan(route, stable, target, wanted, retiring, tuple(hash_ for hash_ in others if hash_ not in carrying))


def _serving(seen: Observation, there: Mapping[str, RevisionView]) -> str:
    """The revision on record as serving; where that is lost, the one that the Service selects and that answers.

    Where it stopped answering before the one that it replaced was removed, that one serves again.
    """
    recorded = there.get(seen.service.status.stable_revision)
    if recorded is not None:
        replaced = [told.hash for told in seen.service.status.revisions if told.role == "Retiring"]
        answering = (hash_ for hash_ in replaced if hash_ in there and there[hash_].ready)
        return recorded.hash if recorded.ready else next(answering, recorded.hash)
    routed = there.get(seen.routed_to)
    return routed.hash if routed is not None and routed.ready else ""
