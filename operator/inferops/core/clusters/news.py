"""What happened to the placement of a service, for people: where it came, where it went, which cluster is lost."""

from __future__ import annotations

from collections.abc import Iterator

from inferops.api.placement import ClusterPlacement, ClusterRolloutStatus, PlacementStatus
from inferops.core.event import Event


def events(before: PlacementStatus, after: PlacementStatus) -> tuple[Event, ...]:
    """What is new in `after`, by cluster."""
    earlier = {each.cluster: each for each in before.clusters}
    later = {each.cluster: each for each in after.clusters}
    found = [event for name, now in later.items() for event in _of(earlier.get(name), now)]
    found += [Event(False, "LeftCluster", f"nothing is left in {name}") for name in earlier if name not in later]
    found += _rolls(before.rollout, after.rollout)
    if after.message and after.message != before.message:
        found.append(Event(True, "NotPlaced", after.message))
    return tuple(found)


def _rolls(before: ClusterRolloutStatus, now: ClusterRolloutStatus) -> Iterator[Event]:
    """A wave that begins, and how the last one ended."""
    begun = (now.version, now.wave) != (before.version, before.wave) or before.phase == "Stopped"
    if now.phase == "Stopped" != before.phase:
        yield Event(True, "RolloutStopped", now.message)
    elif now.phase in ("Rolling", "Baking") and begun:
        yield Event(False, "WaveBegan", f"wave {now.wave} of {now.waves} gets version {now.version}")
    elif now.phase == "Complete" != before.phase and now.version == before.version:
        yield Event(False, "WavesEnded", f"no cluster waits for version {now.version} any more")


def _of(before: ClusterPlacement | None, now: ClusterPlacement) -> Iterator[Event]:
    name, state = now.cluster, before.state if before is not None else ""
    if now.state == "Lost" and state != "Lost":
        yield Event(True, "ClusterLost", f"{name} is lost: others take over its {now.replicas} replicas")
    elif state == "Lost" and now.state != "Lost":
        yield Event(False, "ClusterBack", f"{name} is back; what it has is adopted")
    elif now.state == "Suspect" and state != "Suspect":
        yield Event(True, "ClusterSuspect", f"{name} does not answer: nothing new is placed, and nothing taken away")
    elif now.state in ("Standby", "Removing") and state not in ("Standby", "Removing"):
        passes = "; its gateways pass requests on" if now.state == "Standby" else ""
        yield Event(False, "LeavesCluster", f"{name} is to have no replica any more{passes}")
    elif now.replicas and (before is None or before.state in ("Standby", "Removing")):
        yield Event(False, "PlacedInCluster", f"{name} is to have {now.replicas} replicas of {now.accelerator}")
