"""The status of an InferenceService: its conditions by kstatus' rules, its revisions, and why it is so.

Ready is always present; Reconciling and Stalled are there only while true, and never together: Ready is False
with Stalled, Unknown with Reconciling (kstatus; Flux's health checks). Available says whether requests are
answered, whatever else is going on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from inferops.api.conditions import Condition, ConditionType, Reason
from inferops.api.inferenceservicestatus import InferenceServiceStatus
from inferops.api.rolloutstatus import AT_REST, RolloutStatus
from inferops.core import exporting, pending, routing
from inferops.core.activation import NO_GATEWAY
from inferops.core.engine import Obstacle
from inferops.core.observation import Observation, PodView, RevisionView

MESSAGE_LIMIT = 1024

# What a container waits for when somebody must act: the reason it gets, by kubelet's word.
BROKEN: dict[str, Reason] = {
    "CrashLoopBackOff": Reason.CRASH_LOOP,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "CreateContainerConfigError": Reason.CONTAINER_CONFIG_INVALID,
    "CreateContainerError": Reason.CONTAINER_CONFIG_INVALID,
    "RunContainerError": Reason.CONTAINER_CONFIG_INVALID,
}

REMEDIES: dict[Reason, str] = {
    Reason.CRASH_LOOP: "its log says why: kubectl logs --previous {pod}",
    Reason.IMAGE_PULL_FAILED: "check image and imagePullSecrets of the ServingRuntime {runtime}, and spec.model.uri "
    "where it is oci://",
    Reason.CONTAINER_CONFIG_INVALID: "check the Secrets that spec.model.credentialsSecret and spec.runtime.env name, "
    "and the command of the ServingRuntime {runtime}",
    Reason.PODS_REFUSED: "raise the quota or change the policy of the namespace",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition before it is dated."""

    type: ConditionType
    status: bool | None  # None: unknown
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the conditions are told from."""

    seen: Observation
    replicas: int  # wanted of the revision that serves
    obstacle: Obstacle | None  # why the spec cannot be served at all
    stable: RevisionView | None  # the revision that serves
    target: RevisionView | None  # the revision that the spec asks for, once it exists
    route: routing.RoutePlan | None = None  # of the Gateway API, where a Gateway is named
    managed: bool = False  # whether the gateways' word decides on its replicas, and all requests go through them
    rollout: RolloutStatus = field(default_factory=RolloutStatus)
    wanted: Mapping[str, int] = field(default_factory=dict[str, int])  # replicas by hash
    weights: Mapping[str, int] = field(default_factory=dict[str, int])  # percentages of requests by hash
    through_own: bool = False  # whether requests go through the built-in gateway
    needed: int | None = None  # of `replicas`, without which it is not ready; None: all, since load added none

    @property
    def must(self) -> int:
        """Replicas without which it is not ready, while no rollout needs more."""
        at_rest = self.rollout.phase in AT_REST and self.newest is self.stable is not None
        return self.replicas if self.needed is None or not at_rest else min(self.needed, self.replicas)

    @property
    def rolled_back(self) -> bool:
        return self.rollout.phase == "RolledBack"

    @property
    def newest(self) -> RevisionView | None:
        """The revision that is to serve: of a rollout that was rolled back it is the one from before."""
        return self.stable if self.rolled_back else self.target

    @property
    def newest_wanted(self) -> int:
        return self.wanted.get(self.newest.hash, 0) if self.newest is not None else self.replicas

    @property
    def held(self) -> bool:
        """Whether requests wait in the built-in gateway where no replica is ready."""
        return self.managed and bool(self.seen.gateways)


def _pod_says(pod: PodView) -> str:
    told = ": ".join(part for part in (pod.waiting, pod.waiting_message) if part)
    ended = f"; ended last by {pod.exit}" if pod.exit else ""
    return f"pod {pod.name}: {told}{ended}, {pod.restarts} restarts"


def valid(scene: Scene) -> Finding:
    if scene.obstacle is None:
        return Finding(ConditionType.VALID, True, Reason.VALID)
    return Finding(ConditionType.VALID, False, scene.obstacle.reason, scene.obstacle.message)


def _held_up(kind: ConditionType, obstacle: Obstacle) -> Finding:
    return Finding(kind, None, obstacle.reason, "nothing new is started until the condition Valid is True")


def scheduled(scene: Scene) -> Finding:
    """Whether every replica of the newest revision has found its node."""
    kind = ConditionType.SCHEDULED
    target = scene.newest
    if scene.obstacle is not None:
        return _held_up(kind, scene.obstacle)
    if target is None or (target.workload is None and not target.pods):
        return Finding(kind, None, Reason.CREATING, "the revision is being created")
    if target is scene.stable and scene.must < scene.replicas and pending.placed(target) >= scene.must:
        return Finding(kind, True, Reason.SCHEDULED, _beyond(scene, target))
    if target.workload is not None and target.workload.failure:
        return Finding(kind, False, Reason.PODS_REFUSED, _refused(target.workload.failure))
    if (why := pending.why(scene.seen, target)) is not None:
        told = f"{pending.count(target)} of {scene.newest_wanted} replicas pending: {why.message}"
        return Finding(kind, False, why.reason, told)
    alive = [pod for pod in target.pods if not pod.deleting]
    if not all(pod.node for pod in alive) or len(alive) < scene.newest_wanted * target.pods_per_replica:
        told = f"{pending.placed(target)} of {scene.newest_wanted} replicas have a node"
        return Finding(kind, None, Reason.CREATING, told)
    return Finding(kind, True, Reason.SCHEDULED)


def _beyond(scene: Scene, target: RevisionView) -> str:
    """Which of the replicas that load asks for, beyond those that must be there, find no place. Empty: none."""
    if target.workload is not None and target.workload.failure:
        return f"no further replicas: {_refused(target.workload.failure)}"
    why = pending.why(scene.seen, target)
    return "" if why is None else f"{pending.count(target)} of {scene.replicas} replicas pending: {why.message}"


def _refused(failure: str) -> str:
    return f"{failure}; {REMEDIES[Reason.PODS_REFUSED]}"


def broken(revision: RevisionView | None) -> Obstacle | None:
    """What keeps a revision's pods from starting until somebody acts, or None."""
    for pod in revision.pods if revision is not None else ():
        if not pod.deleting and not pod.ready and pod.waiting in BROKEN:
            reason = BROKEN[pod.waiting]
            runtime = revision.spec.runtime.name if revision is not None and revision.spec is not None else "in use"
            remedy = REMEDIES[reason].format(pod=pod.name, runtime=runtime)
            return Obstacle(reason, f"{_pod_says(pod)}; {remedy}")
    return None


def rolled_out(scene: Scene) -> Finding:
    """Whether the newest revision is the one that serves, with all its replicas; else where its rollout is."""
    kind, target, rollout = ConditionType.ROLLED_OUT, scene.target, scene.rollout
    if scene.obstacle is not None:
        return _held_up(kind, scene.obstacle)
    if scene.rolled_back:
        return Finding(kind, False, reason_of(rollout.reason, Reason.ROLLED_BACK), rollout.message)
    if target is None:
        return Finding(kind, None, Reason.CREATING, "the revision is being created")
    if rollout.phase == "RollingBack":
        return Finding(kind, None, Reason.ROLLING_BACK, rollout.message)
    if found := broken(target):
        return Finding(kind, False, found.reason, found.message)
    if scene.stable is not None and scene.stable.hash == target.hash and target.ready >= scene.must:
        told = "serves" if scene.replicas else "is the one to serve; no replica of it is wanted now"
        return Finding(kind, True, Reason.PROMOTED, f"revision {target.hash} {told}")
    if rollout.paused is not None:
        return Finding(kind, None, Reason.ROLLOUT_PAUSED, rollout.paused.message)
    if rollout.canary == target.hash and rollout.phase not in ("Idle", "Succeeded", "Retaining"):
        return Finding(kind, None, reason_of(rollout.reason, Reason.PROGRESSING), rollout.message)
    told = f"revision {target.hash}: {target.ready} of {scene.newest_wanted} replicas ready"
    return Finding(kind, None, Reason.LOADING if target.scheduled else Reason.CREATING, told)


def reason_of(word: str, otherwise: Reason) -> Reason:
    """The reason that is called `word`; `otherwise` where somebody edited the status so that there is none."""
    return Reason(word) if word in Reason.__members__.values() else otherwise


def available(scene: Scene) -> Finding:
    kind = ConditionType.AVAILABLE
    ready = scene.stable.ready if scene.stable is not None else 0
    if ready:
        return Finding(kind, True, Reason.AVAILABLE, f"{ready} replicas answer")
    if not scene.held or scene.obstacle is not None or broken(scene.stable) is not None:
        return Finding(kind, False, Reason.UNAVAILABLE, "no replica answers")
    wait = f"requests wait in the built-in gateway for up to {scene.seen.service.spec.traffic.queue_timeout}"
    if scene.replicas:
        return Finding(kind, False, Reason.REQUESTS_WAIT, f"no replica answers yet; {wait}")
    return Finding(kind, False, Reason.SCALED_TO_ZERO, f"no replica runs; the first request starts one, and {wait}")


def routed(scene: Scene) -> Finding:
    """Whether the Service selects the stable revision and finds a replica behind it, and the Gateway goes by the
    HTTPRoute where one is named. What people must do something about is told first."""
    kind = ConditionType.ROUTED
    stable = scene.stable
    gateway, export = routing.verdict(scene.seen, scene.route), exporting.verdict(scene.seen)
    if closed := routing.unchecked(scene.seen):
        return Finding(kind, False, Reason.ACCESS_NOT_CHECKED, closed)
    if gateway is not None and gateway.status is False:
        return Finding(kind, False, gateway.reason, gateway.message)
    if export is not None and export.status is False:
        return Finding(kind, False, export.reason, export.message)
    if stable is None or scene.seen.routed_to != stable.hash:
        return Finding(kind, None, Reason.CREATING, "the Service does not select the stable revision yet")
    if scene.managed and not scene.replicas and not scene.held:
        return Finding(kind, None, Reason.GATEWAY_NOT_READY, f"nothing holds requests: {NO_GATEWAY}")
    if not stable.ready and not scene.held:
        return Finding(kind, None, Reason.NO_ENDPOINTS, f"no replica of revision {stable.hash} is ready")
    ways = [each for each in (gateway, export) if each is not None]
    if waits := next((each for each in ways if each.status is None), None):
        return Finding(kind, None, waits.reason, waits.message)
    told = "; ".join([_split(scene, stable), *(each.message for each in ways)])
    return Finding(kind, True, gateway.reason if gateway is not None else Reason.SERVICE_ROUTED, told)


def _split(scene: Scene, stable: RevisionView) -> str:
    """Who gets how many of the requests."""
    way = "through the built-in gateway " if scene.through_own else ""
    if len(scene.weights) < 2:
        to = next(iter(scene.weights), stable.hash)
        return f"all requests go {way}to revision {to}"
    shares = ", ".join(f"{weight} % to revision {hash_}" for hash_, weight in sorted(scene.weights.items()))
    return f"requests go {way}by weight: {shares}"


def summary(scene: Scene, stages: list[Finding]) -> list[Finding]:
    """Ready, and Reconciling or Stalled beside it, from the stages that lead there."""
    going_back = scene.rollout.phase == "RollingBack"
    stuck = scene.obstacle or _rolled_back(scene) or (None if going_back else broken(scene.target))
    if stuck is not None:
        return [
            Finding(ConditionType.READY, False, stuck.reason, stuck.message),
            Finding(ConditionType.STALLED, True, stuck.reason, stuck.message),
        ]
    if scene.replicas == 0 and scene.target is not None and scene.stable is scene.target and not scene.managed:
        return [Finding(ConditionType.READY, True, Reason.READY, "scaled to zero replicas as asked")]
    open_stage = next((stage for stage in stages if stage.status is not True), None)
    if open_stage is None and scene.replicas == 0:
        told = "scaled to zero, and comes back with the first request"
        return [Finding(ConditionType.READY, True, Reason.SCALED_TO_ZERO, told)]
    if open_stage is None:
        return [Finding(ConditionType.READY, True, Reason.READY, stages[-1].message)]
    return [
        Finding(ConditionType.READY, None, open_stage.reason, open_stage.message),
        Finding(ConditionType.RECONCILING, True, Reason.PROGRESSING, open_stage.message),
    ]


def _rolled_back(scene: Scene) -> Obstacle | None:
    if not scene.rolled_back:
        return None
    return Obstacle(reason_of(scene.rollout.reason, Reason.ROLLED_BACK), scene.rollout.message)


def findings(scene: Scene) -> list[Finding]:
    """All conditions, the summary first."""
    is_available = available(scene)
    stages = [valid(scene), scheduled(scene), rolled_out(scene), routed(scene)]
    return [*summary(scene, stages), is_available, *stages]


def date(found: list[Finding], before: list[Condition], generation: int, now: datetime) -> list[Condition]:
    """Turn findings into conditions; a condition whose status stays keeps its time of transition."""
    earlier = {condition.type: condition for condition in before}
    words = {True: "True", False: "False", None: "Unknown"}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    dated = []
    for finding in found:
        old = earlier.get(finding.type)
        told = (words[finding.status], generation, finding.reason.value, finding.message[:MESSAGE_LIMIT])
        if old is not None and told == (old.status, old.observed_generation, old.reason, old.message):
            dated.append(old)
            continue
        dated.append(
            Condition.model_validate(
                {
                    "type": finding.type.value,
                    "status": told[0],
                    "observedGeneration": generation,
                    "lastTransitionTime": old.last_transition_time if old and old.status == told[0] else stamp,
                    "reason": told[2],
                    "message": told[3],
                }
            )
        )
    return dated


def invalid(before: InferenceServiceStatus, why: Obstacle, generation: int, now: datetime) -> InferenceServiceStatus:
    """The status of a service whose spec cannot be read: what serves goes on, and nothing else is touched."""
    kept = [c for c in before.conditions if c.type in (ConditionType.AVAILABLE, ConditionType.ROUTED)]
    told = [
        Finding(ConditionType.READY, False, why.reason, why.message),
        Finding(ConditionType.STALLED, True, why.reason, why.message),
        Finding(ConditionType.VALID, False, why.reason, why.message),
    ]
    dated = date(told, before.conditions, generation, now)
    return before.model_copy(update={"observed_generation": generation, "conditions": [*dated, *kept]})
