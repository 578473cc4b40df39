"""What comes of a changed InferenceService, by the operator's own decisions on it before and after. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.api.rolloutstatus import UNDER_WAY
from inferops.cli import money
from inferops.cli.capacity import Capacity
from inferops.cli.lines import program
from inferops.core import choices, scheduling, validity
from inferops.core.clusters import naming
from inferops.core.clusters.version import version_of
from inferops.core.decide import decide
from inferops.core.observation import Observation
from inferops.core.revision import RevisionSpec
from inferops.core.sizing import Option, Rejection
from inferops.core.told import describe, milliseconds


@dataclass(frozen=True, slots=True)
class Stand:
    """A service as the operator would have it."""

    revision: RevisionSpec | None  # None: it cannot be served, or nobody knows how
    why: str = ""  # it is None
    replicas: int = 0
    hourly: float | None = None  # US dollars of all replicas; None: nobody knows
    sized: str = ""

    @property
    def hash(self) -> str:
        return self.revision.hash if self.revision is not None else ""

    @property
    def accelerator(self) -> str:
        return describe(self.revision.accelerator) if self.revision is not None else ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A service before and after, and the way there."""

    before: Stand | None  # None: it is new
    after: Stand
    sentences: tuple[str, ...]  # what happens, in this order


def stand(seen: Observation) -> Stand:
    """What the operator would have of this, were there nothing to wait for."""
    if obstacle := validity.obstacle(seen):
        return Stand(None, obstacle.message)
    if choices.waits_for_sizing(seen):
        return Stand(None, f"nobody here knows what the model is: {seen.unsized}; the operator may, by its hub")
    revision = _target(seen)
    replicas = decide(seen).status.desired_replicas or 0
    price = money.Prices(seen.accelerators, {}).of(revision.accelerator)
    hourly = 0.0 if not replicas else None if price is None else price * replicas
    return Stand(revision, "", replicas, hourly, _sized(choices.estimate(seen, revision.accelerator)))


def _target(seen: Observation) -> RevisionSpec:
    """The revision that the spec asks for."""
    return choices.revision(seen, scheduling.choose(seen, choices.each_choice(seen), choices.current(seen)))


def _sized(found: Option | Rejection | None) -> str:
    if found is None:
        return ""
    if isinstance(found, Rejection):
        return f"sizing expects that it will not do: it {found.reason}"
    tpot = f", TPOT {milliseconds(found.tpot)}" if found.tpot else ""
    return (
        f"{found.replicas} x {found.concurrency} requests at once, TTFT {milliseconds(found.ttft)}{tpot}, "
        f"{found.tokens_per_second:,.0f} tokens/s"
    )


def outlook(before: Observation | None, after: Observation, capacity: Capacity | None) -> Outlook:
    """What applying it leads to. `capacity`: what is free; None: that may not be seen."""
    old, new = stand(before) if before is not None else None, stand(after)
    sentences = [*_revision(before, old, after, new)]
    if new.revision is not None:
        sentences += _replicas(old, new)
        sentences += _gpus(before, old, after, new, capacity)
        sentences += _cost(old, new, _extra(before, old, after, new))
        if new.sized and (old is None or old.sized != new.sized):
            sentences.append(f"sizing: {f'{old.sized} → ' if old is not None and old.sized else ''}{new.sized}")
    return Outlook(old, new, tuple(sentences))


def _revision(before: Observation | None, old: Stand | None, after: Observation, new: Stand) -> list[str]:
    status, spec = after.service.status, after.service.spec
    if new.revision is None:
        serves = f"; revision {status.stable_revision} goes on serving" if status.stable_revision else ""
        return [f"the spec could not be served: {new.why}{serves}"]
    if naming.is_placed(after.service):
        return [_version(before, after)]
    latest = status.latest_revision or (old.hash if old is not None else "")
    if not status.stable_revision:
        return [f"revision {new.hash}: the first one, without a canary: it serves once it is ready"]
    rejected = next((each for each in status.rollout.rejected if each.hash == new.hash), None)
    if rejected is not None and new.hash != status.stable_revision:
        where = f"{after.service.metadata.name} -n {after.service.metadata.namespace}"
        return [
            f"revision {new.hash} was rolled back before ({rejected.reason}) and is not tried again by itself: "
            f"`{program()} rollout retry {where}`"
        ]
    if new.hash == latest:
        return [f"no new revision: {latest} stays, and nothing restarts"]
    if new.hash == status.stable_revision:
        return [f"no new revision: back to {new.hash}, which serves; what is being rolled out is given up"]
    kept = next((each for each in status.revisions if each.hash == new.hash), None)
    known = f", which is kept with {kept.replicas} replicas" if kept is not None else ""
    under_way = status.rollout.phase in UNDER_WAY
    instead = f"; the rollout of {status.rollout.canary} that is under way ends" if under_way else ""
    steps = ", ".join(f"{each.weight}%" for each in spec.rollout.steps)
    way = f"as a canary: {steps}, then all" if steps else "without steps: it gets all requests once it is ready"
    gates = f", gates {', '.join(each.name for each in spec.rollout.gates)}" if spec.rollout.gates else ""
    return [
        f"revision {latest or 'none'} → {new.hash}{known}: a new one{instead}",
        f"rollout: {spec.rollout.strategy}, {way}{gates}",
    ]


def _version(before: Observation | None, after: Observation) -> str:
    new = version_of(after.service.spec).hash
    old = version_of(before.service.spec).hash if before is not None else ""
    if old == new:
        return "no new version: what its clusters serve stays, and nothing restarts"
    waves = after.service.spec.rollout.clusters
    order = " → ".join(", ".join(wave) for wave in waves.waves) if waves is not None else "in all clusters at once"
    return f"version {old or 'none'} → {new}: a new revision in each of its clusters: {order}"


def _replicas(old: Stand | None, new: Stand) -> list[str]:
    told = f"{new.replicas} on {new.accelerator}"
    if old is None or old.revision is None:
        return [f"replicas: {told}"]
    before = f"{old.replicas} on {old.accelerator}"
    return [f"replicas: {before} → {told}"] if before != told else [f"replicas: {told}, as before"]


def _extra(before: Observation | None, old: Stand | None, after: Observation, new: Stand) -> int:
    """Replicas of the new revision at most that are beside all of the old one's, for a while."""
    status = after.service.status
    same = new.hash in (status.latest_revision, status.stable_revision)
    if old is None or not status.stable_revision or same or naming.is_placed(after.service):
        return 0
    if any(each.hash == new.hash for each in status.rollout.rejected):
        return 0
    strategy = after.service.spec.rollout.strategy
    return 0 if strategy in ("swap", "recreate") else new.replicas


def _gpus(
    before: Observation | None, old: Stand | None, after: Observation, new: Stand, capacity: Capacity | None
) -> list[str]:
    """GPUs that it takes more than now, for a while or for good, and whether they are free."""
    extra = _extra(before, old, after, new)
    more = extra
    if not extra:
        same = old is not None and old.revision is not None and old.accelerator == new.accelerator
        more = new.replicas - (old.replicas if same and old is not None else 0)
    if more <= 0 or new.revision is None or naming.is_placed(after.service):
        return []
    choice = new.revision.accelerator
    span = "during the rollout" if extra else "for good"
    needs = f"GPUs: {more * choice.count} more of {choice.type} {span}"
    if capacity is None:
        return [f"{needs}; what is free is not known to you"]
    found = capacity.of(choice.type, spot=choice.spot)
    room = found.room(choice.count, choice.nodes) if found is not None else 0
    free = f"{sum(found.free)} of {found.total} are free" if found is not None and found.present else "no node has any"
    if room >= more:
        return [f"{needs}: {free}, enough for all {more} replicas"]
    return [f"{needs}: {free}, room for {room} of {more} replicas; {_short(after, extra)}"]


def _short(after: Observation, extra: int) -> str:
    """What happens where there is not enough room."""
    if not extra:
        return "the others wait for a node"
    deadline = after.service.spec.rollout.deadlines.capacity
    if after.service.spec.rollout.strategy == "surge":
        return f"the rollout waits for nodes, and is rolled back after {deadline}"
    return "replicas are exchanged one by one, as far as what remains carries the requests"


def _cost(old: Stand | None, new: Stand, extra: int) -> list[str]:
    after = dollars(new.hourly)
    before = dollars(old.hourly) if old is not None and old.revision is not None else ""
    told = f"cost: {before} → {after} USD/h" if before and before != after else f"cost: {after} USD/h"
    told += ", as before" if before == after else ""
    most = None
    if extra and new.hourly is not None and old is not None and old.hourly is not None:
        most = old.hourly + new.hourly
    return [told + (f", up to {dollars(most)} during the rollout" if most is not None else "")]


def dollars(hourly: float | None) -> str:
    return "unknown" if hourly is None else f"{hourly:.2f}"
