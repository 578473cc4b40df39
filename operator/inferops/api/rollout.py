"""RolloutSpec: how a new revision replaces the one that serves."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import ComputeResources, EnvVars, Model
from inferops.api.checks import Matching, Rule, Unique
from inferops.api.formats import Argument, Duration, Image, Name, ObjectName, PositiveDuration, WebUrl

ACTION = "inferops.dev/action"  # the one annotation that is read: what somebody asks of a rollout

Metric = Literal["errorRate", "ttft", "tpot"]
CallTimeout = Annotated[
    PositiveDuration,
    Matching(
        "^0*([12]?[0-9]s|30s|[0-9]{1,4}ms|[12][0-9]{4}ms|30000ms)$", "must be at most 30s, for example 10s or 500ms"
    ),
]


class WebhookGate(Model):
    """A gate that an HTTP endpoint opens: it is sent a POST with JSON, and any answer of 2xx passes."""

    url: WebUrl = Field(
        description="Where it is sent, for example http://judge.ml.svc/canary. It must be a host that the operator "
        "allows (--webhook-hosts)."
    )
    timeout: CallTimeout = Field(
        default="10s", description="How long one call may take, at most 30s. One without an answer is made again."
    )


class JobGate(Model):
    """A gate that a Job opens, such as an evaluation of quality: exit code 0 passes, any other fails.

    It finds the new revision at INFEROPS_CANARY_URL, the old one at INFEROPS_STABLE_URL, the model's name in
    INFEROPS_MODEL. Its pod runs as the namespace's default ServiceAccount, without a token, restricted, on no GPU.
    """

    image: Image = Field(description="The container's image.")
    command: list[Argument] = Field(default_factory=list, max_length=32, description="In place of its entrypoint.")
    args: list[Argument] = Field(default_factory=list, max_length=32, description="Arguments, one word an item.")
    env: EnvVars = Field(default_factory=list, description="Environment variables.")
    resources: ComputeResources = Field(default_factory=ComputeResources, description="CPU and memory.")


class Gate(Model):
    """Something that must agree before a rollout goes on."""

    rules = (
        Rule(
            cel="(self.manual ? 1 : 0) + (has(self.webhook) ? 1 : 0) + (has(self.job) ? 1 : 0) == 1",
            holds=lambda self: self.manual + (self.webhook is not None) + (self.job is not None) == 1,
            message="give exactly one of manual: true, webhook and job",
        ),
    )
    name: Name = Field(description="Its name, as the status tells of it.")
    at: Annotated[list[Annotated[int, Field(ge=0, le=99)]], Field(min_length=1, max_length=20), Unique()] = Field(
        default_factory=lambda: [0],
        description="When it is asked: weights of steps, each after that step's analysis; 0: once the canary is ready, "
        "before it gets any request.",
    )
    manual: bool = Field(default=False, description="Somebody opens it: `inferops rollout resume NAME`.")
    webhook: WebhookGate | None = Field(default=None, description="An HTTP endpoint opens it.")
    job: JobGate | None = Field(default=None, description="A Job opens it.")
    wait: PositiveDuration = Field(
        default="1h",
        description="How long webhook or Job may take to a verdict; then the rollout pauses. Nobody hurries a person.",
    )


class RolloutStep(Model):
    """One step of a canary."""

    weight: int = Field(ge=1, le=99, description="Percentage of requests that the canary gets.")
    min_duration: Duration = Field(default="2m", description="Stay on this step at least so long.")


class AnalysisSpec(Model):
    """How canary and stable are compared, over the same windows."""

    metrics: Annotated[list[Metric], Field(min_length=1, max_length=3), Unique()] = Field(
        default_factory=lambda: list[Metric](("errorRate", "ttft", "tpot")),
        description="What is compared: shares of attempts that fail, and of requests beyond spec.slo's ttft and tpot.",
    )
    alpha: float = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="Highest probability of rolling back a harmless version, over the whole rollout.",
    )
    margin: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="How much worse a share may be and the canary still advance, for example 0.05: 5 of 100 requests.",
    )
    warm_up: Duration = Field(
        default="1m",
        description="So long after it became ready a replica's requests do not count: caches are cold.",
    )
    on_no_data: Literal["Hold", "Pause"] = Field(
        default="Hold", description="What to do without data: hold the step, or pause until somebody resumes."
    )
    max_hold: PositiveDuration = Field(
        default="30m",
        description="A step that its minDuration alone no longer holds, for want of data or of a verdict, pauses after "
        "so long.",
    )
    source: Literal["auto", "gateway", "prometheus", "pods"] = Field(
        default="auto",
        description="Who counts: the built-in gateway, Prometheus (the operator's --prometheus), or the pods' own "
        "metrics; auto takes the first of them that has counts of both revisions.",
    )


class DeadlinesSpec(Model):
    """How long a new revision may take to be ready; then it is rolled back. Each runs by itself."""

    capacity: PositiveDuration = Field(default="30m", description="Until every replica has a node.")
    pull: PositiveDuration = Field(default="1h", description="Until images are pulled and volumes mounted.")
    load: PositiveDuration = Field(
        default="1h", description="Until the model is loaded and the replica ready; a first download is part of it."
    )
    warm_up: PositiveDuration = Field(default="10m", description="Until all have stayed ready for analysis.warmUp.")


Wave = Annotated[list[ObjectName], Field(min_length=1, max_length=32), Unique()]


class ClusterWavesSpec(Model):
    """In which order the clusters of a placed service get a new version."""

    rules = (
        Rule(
            cel="self.waves.all(w, w.all(n, self.waves.exists_one(v, n in v)))",
            holds=lambda self: all(sum(n in v for v in self.waves) == 1 for w in self.waves for n in w),
            field="waves",
            message="a cluster stands in two waves; keep its name in one of them",
        ),
    )
    waves: Annotated[list[Wave], Field(min_length=1, max_length=16)] = Field(
        description="InferenceClusters by their names, wave by wave, for example [[canary-eu], [eu, us]]. The clusters "
        "that no wave names are the last one."
    )
    bake: Duration = Field(
        default="10m",
        description="For how long all of a wave must have served the new version before the next one begins.",
    )


def _increasing(weights: list[int]) -> bool:
    return all(low < high for low, high in pairwise(weights))


class RolloutSpec(Model):
    """How a new revision replaces the one that serves."""

    rules = (
        Rule(
            cel="self.steps.map(s, s.weight).isSorted() && "
            "self.steps.all(a, self.steps.exists_one(b, a.weight == b.weight))",
            holds=lambda self: _increasing([step.weight for step in self.steps]),
            field="steps",
            message="weights must increase from step to step; sort them",
        ),
        Rule(
            cel="self.gates.all(g, g.at.all(w, w == 0 || self.steps.exists(s, s.weight == w)))",
            holds=lambda self: {w for gate in self.gates for w in gate.at} <= {0, *(s.weight for s in self.steps)},
            field="gates",
            message="a gate's `at` must name 0 or the weight of one of rollout.steps",
        ),
    )
    strategy: Literal["auto", "surge", "swap", "recreate"] = Field(
        default="auto",
        description="surge adds the new revision beside the old one, swap exchanges replica by replica, recreate "
        "stops the old one first; auto takes surge where GPUs are free, else swap.",
    )
    gates: Annotated[list[Gate], Field(max_length=8), Unique("name")] = Field(
        default_factory=list[Gate], description="What must agree before the rollout goes on."
    )
    steps: list[RolloutStep] = Field(
        default_factory=lambda: [
            RolloutStep(weight=5, min_duration="2m"),
            RolloutStep(weight=25, min_duration="5m"),
            RolloutStep(weight=50, min_duration="5m"),
        ],
        max_length=20,
        description="The canary's steps, weights increasing; an empty list promotes once the new revision is ready.",
    )
    analysis: AnalysisSpec = Field(default_factory=AnalysisSpec, description="How canary and stable are compared.")
    deadlines: DeadlinesSpec = Field(default_factory=DeadlinesSpec, description="How long it may take to be ready.")
    clusters: ClusterWavesSpec | None = Field(
        default=None,
        description="In which order the clusters of spec.placement get a new version; left out: all at once.",
    )
    keep_warm: Duration = Field(
        default="10m",
        description="How long the previous revision keeps its replicas after a promotion: going back takes no time.",
    )
    retain_previous: Duration = Field(
        default="24h",
        description="How long the previous revision is kept at all, after keepWarm without replicas: going back to it "
        "takes as long as its replicas need to load.",
    )
