"""Which revisions are wanted and which of them gets the traffic.

The new revision is brought up beside the one that serves; once all its replicas are ready the traffic moves,
and when the move is on record the old one is removed. A spec that changes again meanwhile replaces the
newcomer, never the one that serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferops.core.observation import Observation, RevisionView


@dataclass(frozen=True, slots=True)
class Plan:
    """The revisions by hash."""

    stable: str  # gets the traffic; empty where nothing can be served
    target: str  # the one that the spec asks for; empty where the spec is invalid
    wanted: tuple[str, ...]  # exist, with all their replicas
    retiring: tuple[str, ...]  # exist until the traffic has left them, then are removed
    removed: tuple[str, ...]


def plan(seen: Observation, target: str, replicas: int) -> Plan:
    """Move the traffic to `target` once it is ready, and remove what is left behind."""
    there: Mapping[str, RevisionView] = {revision.hash: revision for revision in seen.revisions}
    recorded = seen.service.status.stable_revision
    stable = recorded if recorded in there else (seen.routed_to if seen.routed_to in there else "")
    if not target:  # an invalid spec changes nothing about what runs
        return Plan(stable, "", tuple(there), (), ())
    if stable in ("", target) or (target in there and there[target].ready >= replicas):
        stable = target
    wanted = tuple(dict.fromkeys((stable, target)))
    others = [hash_ for hash_ in there if hash_ not in wanted]
    # The traffic has left a revision when both the record and the Service point elsewhere.
    carrying = {recorded, seen.routed_to}
    retiring = tuple(hash_ for hash_ in others if hash_ in carrying)
    return Plan(stable, target, wanted, retiring, tuple(hash_ for hash_ in others if hash_ not in carrying))
