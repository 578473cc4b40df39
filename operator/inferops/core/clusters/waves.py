"""Which version each cluster is to have: a new one goes from wave to wave, and back everywhere at once.

Within a cluster its own operator rolls a version out, and judges it. Here it is decided alone which clusters are told
to: those of the first wave, the next ones once all of a wave have served it for a while, and nobody any more once one
of them went back. What is remembered stands in `status.placement.rollout`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from inferops.api.conditions import ConditionType, Reason
from inferops.api.formats import seconds
from inferops.api.placement import ClusterPlacement, ClusterRolloutStatus, PlacedVersion
from inferops.api.rollout import ACTION, ClusterWavesSpec
from inferops.core.clusters.seen import ClusterView
from inferops.core.clusters.version import Version, read, version_of
from inferops.core.observation import Observation
from inferops.core.rollout import actions, clocks

KEPT = 8  # versions in a status
ROOM = 200_000  # characters of those beside the stable one
SHOWN = 3  # clusters that a sentence names


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a cluster went back."""

    reason: str  # one word
    message: str
    revision: str = ""  # hash by which the cluster knows what it went back from


@dataclass(frozen=True, slots=True)
class Holder:
    """A cluster that has replicas of the service, or is to have some."""

    name: str
    version: str = ""  # that it was given last; empty: none yet
    known: bool = True  # whether what is known of it is true now
    lost: bool = False  # it counts as gone, or stands by without a replica, and decides nothing
    serves: bool = False  # whether the version that is asked for is all rolled out there
    rejection: Rejection | None = None  # of that version


@dataclass(frozen=True, slots=True)
class Case:
    """What is decided on."""

    spec: ClusterWavesSpec | None  # None: all at once
    wanted: Version
    before: ClusterRolloutStatus
    holders: Sequence[Holder]
    action: str  # what somebody asks for by annotation
    now: datetime
    there: Mapping[str, Version] = field(default_factory=dict[str, Version])  # that clusters have, by hash
    known: frozenset[str] = frozenset()  # hashes of revisions by which clusters know the version

    def wave(self, name: str) -> int:
        """From 1; those that are not named are the last."""
        waves = self.spec.waves if self.spec is not None else []
        return next((number for number, each in enumerate(waves, 1) if name in each), len(waves) + 1)

    @property
    def waves(self) -> int:
        named = len(self.spec.waves) if self.spec is not None else 0
        return max((self.wave(each.name) for each in self.holders), default=named) if named else 1


@dataclass(frozen=True, slots=True)
class Turn:
    """What each cluster is to have."""

    record: ClusterRolloutStatus
    given: Mapping[str, Version]  # by cluster
    again: float | None = None  # seconds until time alone may change it


def staged(seen: Observation, views: Mapping[str, ClusterView], entries: Sequence[ClusterPlacement]) -> Turn:
    """The version of each cluster in `entries`, what is to be on record of it from now on."""
    spec, status = seen.service.spec, seen.service.status
    wanted = version_of(spec)
    some = any(each.replicas for each in entries)
    kept = [each for each in entries if each.state != "Removing"]
    holders = [holder(each, views[each.cluster], wanted.hash, some=some) for each in kept]
    action = seen.service.metadata.annotations.get(ACTION, "")
    before = status.placement.rollout
    there = {} if before.stable in {each.version for each in before.versions} else _there(views, kept)
    children = [child for each in kept if (child := views[each.cluster].child) is not None]
    known = frozenset(child.latest for child in children if child.version == wanted.hash and child.current)
    return advance(Case(spec.rollout.clusters, wanted, before, holders, action, seen.now, there, known))


def _there(views: Mapping[str, ClusterView], entries: Sequence[ClusterPlacement]) -> dict[str, Version]:
    """What the clusters say that they were given."""
    children = [child for each in entries if (child := views[each.cluster].child) is not None]
    told = {each.version: each.content for each in children if each.content}
    found = [read(PlacedVersion(version=version, content=content)) for version, content in told.items()]
    return {each.hash: each for each in found if each is not None}


def holder(entry: ClusterPlacement, view: ClusterView, wanted: str, *, some: bool) -> Holder:
    """A cluster as it tells of the version `wanted`; `some`: whether any cluster is to have replicas."""
    name, version = entry.cluster, entry.version
    if some and not entry.replicas:  # where nothing runs nobody learns how it fares
        return Holder(name, version, lost=True)
    if view.state == "Lost" or not view.healthy:
        return Holder(name, version, known=False, lost=view.state == "Lost")
    child = view.child
    if child is None:
        return Holder(name, version)
    if child.version != wanted:
        refused = view.refused if version == wanted else ""
        why = Rejection(Reason.REJECTED_BY_API_SERVER, refused) if refused else None
        return Holder(name, version, rejection=why)
    if not child.current:
        return Holder(name, version)
    told = child.conditions.get(ConditionType.ROLLED_OUT)
    if child.rejected:
        reason = told.reason if told is not None and told.status == "False" else Reason.ROLLED_BACK.value
        return Holder(name, version, rejection=Rejection(reason, child.rejected, child.latest))
    done = told is not None and told.status == "True" and child.stable == child.latest != ""
    return Holder(name, version, serves=done)


def advance(case: Case) -> Turn:
    """Pure: the same clusters and record, the same versions."""
    there = {each.version: found for each in case.before.versions if (found := read(each)) is not None}
    if case.before.stable not in there:
        there = {**case.there, **there}
    wanted = case.wanted.hash
    stable = case.before.stable if case.before.stable in there else _most(case, there)
    versions = {**there, wanted: case.wanted}
    if case.spec is None or stable == wanted:
        return _complete(case)
    record = _begun(case, stable)
    again = None
    if record.phase != "Stopped":
        stopped = _stopped(case, record)
        record, again = (stopped, None) if stopped is not None else _moved(case, record)
    if record.phase == "Complete":
        return _complete(case)
    turned = (record.version, record.wave) != (case.before.version, case.before.wave)
    bakes = record.phase == "Baking" and case.before.phase != "Baking"
    if turned or (bakes and _promotes(case)):  # that was of the rollouts within this wave
        record = record.model_copy(update={"handled": case.action[:128]})
    given = {each.name: versions[_turn(case, record, each, versions)] for each in case.holders}
    return Turn(record.model_copy(update={"versions": _kept(versions, record, given)}), given, again)


def passed_on(action: str, record: ClusterRolloutStatus) -> str:
    """What the clusters are told of what somebody asks for by annotation. What was said of an earlier wave does not
    open the gates of this one; to try again what was rejected means all of them."""
    asked = actions.read(action)
    return action if asked is not None and (asked.verb == "retry" or action != record.handled) else ""


def _complete(case: Case) -> Turn:
    """All have what is asked for, or get it at once."""
    wanted, record = case.wanted.hash, case.wanted.record()
    handled = case.before.handled
    done = ClusterRolloutStatus(version=wanted, stable=wanted, versions=[record], handled=handled)
    return Turn(done, {each.name: case.wanted for each in case.holders})


def _most(case: Case, there: Mapping[str, Version]) -> str:
    """Where nothing is on record: the version that most clusters have and the spec does not ask for. None: they are
    new, or have it all."""
    held = [each.version for each in case.holders if not each.lost]
    counted = Counter(each for each in held if each in there and each != case.wanted.hash)
    return min(counted, key=lambda each: (-counted[each], each), default=case.wanted.hash)


def _begun(case: Case, stable: str) -> ClusterRolloutStatus:
    """The rollout as it is on record, or a new one."""
    before, wanted = case.before, case.wanted.hash
    handled = before.handled
    if before.version == wanted and before.stable == stable and before.wave:
        if before.phase != "Stopped" or not _retried(case):
            return before.model_copy(update={"waves": case.waves, "wave": min(before.wave, case.waves)})
        handled = case.action[:128]
    return ClusterRolloutStatus(
        phase="Rolling", version=wanted, stable=stable, wave=1, waves=case.waves, handled=handled
    )


def _retried(case: Case) -> bool:
    """Whether somebody asks to try what went back once more. Not before all have gone back."""
    action, before = actions.read(case.action), case.before
    if any(each.rejection is not None for each in case.holders):
        return False
    meant = action is not None and action.verb == "retry" and action.hash in (*before.rejected, before.version)
    return meant and case.action != before.handled


def _skips(case: Case) -> bool:
    """Whether somebody asks to begin the next wave at once. What was said before this one baked is handled already."""
    return case.before.phase == "Baking" and case.action != case.before.handled and _promotes(case)


def _promotes(case: Case) -> bool:
    action = actions.read(case.action)
    return action is not None and action.verb == "promote" and action.hash in (*case.known, case.wanted.hash)


def _stopped(case: Case, record: ClusterRolloutStatus) -> ClusterRolloutStatus | None:
    """The rollout's end where a cluster went back; None where none did."""
    back = [(each.name, each.rejection) for each in case.holders if each.known and each.rejection is not None]
    if not back:
        return None
    name, why = back[0]
    later = _later(record.wave, case.waves)
    told = f"{name} went back: {why.message}"[:700]
    message = f"{told}; {later}all clusters get version {record.stable} again, not {record.version}"
    hashes = sorted({each.revision for _, each in back if each.revision})
    update = {"phase": "Stopped", "since": "", "reason": why.reason, "message": message, "rejected": hashes[:16]}
    return record.model_copy(update=update)


def _later(wave: int, waves: int) -> str:
    if wave >= waves:
        return ""
    return (
        f"wave {waves} does not begin, and " if wave + 1 == waves else f"waves {wave + 1} to {waves} do not begin, and "
    )


def _moved(case: Case, record: ClusterRolloutStatus) -> tuple[ClusterRolloutStatus, float | None]:
    """As far as the waves have come by now, and seconds until time alone takes them further."""
    live = [each for each in case.holders if not each.lost]
    numbers = sorted({case.wave(each.name) for each in live})
    bake = seconds(case.spec.bake) if case.spec is not None else 0.0
    wave, since, skips = record.wave, record.since, _skips(case)
    while numbers:
        here = next((number for number in numbers if number >= wave), wave)  # else all that are left are lost
        since = since if here == wave else ""
        waits = [each.name for each in live if case.wave(each.name) <= here and each.known and not each.serves]
        silent = [each.name for each in live if case.wave(each.name) == here and not each.known]
        if waits:
            # A wave of which all are lost is passed over, but not while one from before it has to catch up.
            at = wave if any(case.wave(name) < here for name in waits) else here
            return _rolling(record, at, "", f"waits for {_names(waits)} to serve version {record.version}"), None
        if silent:
            told = f"{_names(silent)} does not answer, so nobody knows whether version {record.version} serves there"
            return _rolling(record, here, since, told), None
        if here >= numbers[-1]:
            if not any(each.serves for each in live):
                break
            return record.model_copy(update={"phase": "Complete"}), None
        since = since if clocks.parse(since) is not None else clocks.stamp(case.now)
        left = bake - clocks.elapsed(case.now, since)
        if left > 0 and not (skips and here == record.wave):
            return _baking(record, here, since, clocks.later(since, bake)), left
        wave, since = here + 1, ""
    return _rolling(record, wave, since, "no cluster that has the service can tell of it now"), None


def _rolling(record: ClusterRolloutStatus, wave: int, since: str, told: str) -> ClusterRolloutStatus:
    message = f"wave {wave} of {record.waves}: {told}"
    update = {"phase": "Rolling", "wave": wave, "since": since, "reason": Reason.PROGRESSING.value, "message": message}
    return record.model_copy(update=update)


def _baking(record: ClusterRolloutStatus, wave: int, since: str, until: str) -> ClusterRolloutStatus:
    message = f"wave {wave} of {record.waves} serves version {record.version}; the next one begins at {until}"
    update = {"phase": "Baking", "wave": wave, "since": since, "reason": Reason.OBSERVING.value, "message": message}
    return record.model_copy(update=update)


def _turn(case: Case, record: ClusterRolloutStatus, each: Holder, versions: Mapping[str, Version]) -> str:
    """The version that one cluster is to have. Those that wait keep what they have."""
    if record.phase == "Stopped":
        return record.stable
    if case.wave(each.name) <= record.wave:
        return record.version
    return each.version if each.version in versions else record.stable


def _kept(
    versions: Mapping[str, Version], record: ClusterRolloutStatus, given: Mapping[str, Version]
) -> list[PlacedVersion]:
    """What must be remembered of the versions; of those that would take too much room the stable one alone."""
    used = dict.fromkeys([record.stable, record.version, *sorted({each.hash for each in given.values()})])
    kept, room = [], ROOM
    for name in used:
        found = versions[name].record()
        room -= len(found.content) if name != record.stable else 0
        if room >= 0:
            kept.append(found)
    return kept[:KEPT]


def _names(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(sorted(names)[:SHOWN]) + (f" and {more} more" if more > 0 else "")
