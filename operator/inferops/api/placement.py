"""Placement: in which clusters replicas run, and what the operator tells of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import LabelSelector, Model, Toleration
from inferops.api.checks import Rule, Unique
from inferops.api.formats import LabelValue, ObjectName

PlacementState = Literal["Placing", "Serving", "Suspect", "Lost", "Draining", "Standby", "Removing"]


class ClientRegion(Model):
    """Where some of the clients are."""

    region: LabelValue = Field(description="Their region, by the names that InferenceClusters have for theirs.")
    weight: int = Field(default=1, ge=1, le=1000, description="How many they are next to those of the other regions.")


class PlacementSpec(Model):
    """In which clusters replicas run."""

    rules = (
        Rule(
            cel="has(self.clusters) || self.minClusters == 1",
            holds=lambda self: self.clusters is not None or self.min_clusters == 1,
            field="minClusters",
            message="more than one cluster needs placement.clusters, for example "
            "{matchLabels: {tier: prod}}; without it everything runs in the operator's own cluster",
        ),
        Rule(
            cel="has(self.clusters) || !self.surviveClusterLoss",
            holds=lambda self: self.clusters is not None or not self.survive_cluster_loss,
            field="surviveClusterLoss",
            message="to survive the loss of a cluster takes more than one: it needs placement.clusters, for example "
            "{matchLabels: {tier: prod}}",
        ),
        Rule(
            cel="!has(self.maxPerCluster) || self.minPerCluster <= self.maxPerCluster",
            holds=lambda self: self.max_per_cluster is None or self.min_per_cluster <= self.max_per_cluster,
            field="maxPerCluster",
            message="must be at least placement.minPerCluster; raise maxPerCluster or lower minPerCluster",
        ),
    )
    clusters: LabelSelector | None = Field(
        default=None, description="InferenceClusters by their labels; left out: the operator's own cluster."
    )
    regions: Annotated[list[LabelValue], Field(max_length=32), Unique()] = Field(
        default_factory=list,
        description="Only clusters of these regions, by spec.region; of clusters that cost the same the first comes "
        "first. Left out: any.",
    )
    clients: Annotated[list[ClientRegion], Field(max_length=32), Unique("region")] = Field(
        default_factory=list,
        description="Where the clients are: how far a cluster is from them, by the InferenceClusters' spec.latency, "
        "is taken from slo.ttft there, and of clusters that cost the same the nearest comes first. Left out: "
        "distance does not count.",
    )
    min_clusters: int = Field(default=1, ge=1, le=100, description="Spread over at least so many clusters.")
    min_per_cluster: int = Field(
        default=1, ge=1, le=1000, description="Replicas of a cluster that has any, where there is room."
    )
    max_per_cluster: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Never more replicas in one cluster; left out: as many as there is room for."
    )
    survive_cluster_loss: bool = Field(
        default=False,
        description="Whether the other clusters are to carry everything when any one of them is lost: replicas that "
        "stand by for that are placed beforehand.",
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, max_length=16, description="Taints of InferenceClusters that are tolerated."
    )
    deletion_policy: Literal["Wait", "Orphan"] = Field(
        default="Wait",
        description="When the service is deleted: Wait until it is gone from every cluster, also from those that do "
        "not answer now, or Orphan: leave what runs in the clusters as it is.",
    )


class ClusterPlacement(Model):
    """One cluster that has replicas of the service, is to have some, or is to have none any more."""

    cluster: ObjectName = Field(description="The InferenceCluster's name.")
    state: PlacementState = Field(
        description="Placing (its replicas come up), Serving, Suspect (it does not answer: all stays as it is), Lost "
        "(it counts as gone: others take over), Draining (fewer are wanted, once others serve), Standby (it has no "
        "replica any more, and its gateways pass requests on) or Removing (nothing is to be left)."
    )
    accelerator: str = Field(default="", max_length=300, description="What a replica runs on, as 4x nvidia-l4.")
    replicas: int = Field(default=0, ge=0, description="Replicas that it may have at most.")
    min_replicas: int = Field(default=0, ge=0, description="Replicas that it has at least.")
    desired_replicas: int = Field(default=0, ge=0, description="Replicas that its own scaling decided on.")
    ready_replicas: int = Field(default=0, ge=0, description="Replicas that answer, as last told.")
    revision: str = Field(default="", max_length=16, description="Hash of the revision that serves there.")
    version: str = Field(default="", max_length=16, description="Version of model and runtime that it was given.")
    message: str = Field(default="", max_length=1024, description="What it is waiting for.")


class NotChosen(Model):
    """A cluster that has no replicas of the service, and why."""

    cluster: ObjectName = Field(description="The InferenceCluster's name.")
    reason: str = Field(max_length=64, description="Why, in a word.")
    message: str = Field(default="", max_length=512, description="Why, for people.")


class PlacedVersion(Model):
    """A version that some cluster has, or may get back."""

    version: str = Field(max_length=16, description="Hash of model and runtime.")
    content: str = Field(max_length=500_000, description="spec.model and spec.runtime of it, as JSON.")


class ClusterRolloutStatus(Model):
    """How a new version goes from cluster to cluster, and what it goes on from."""

    phase: Literal["Complete", "Rolling", "Baking", "Stopped"] = Field(
        default="Complete",
        description="Complete, Rolling (a wave takes the new version), Baking (it serves it, and is watched) or "
        "Stopped (a cluster went back: all have the stable version again).",
    )
    version: str = Field(default="", max_length=16, description="The version that the spec asks for.")
    stable: str = Field(default="", max_length=16, description="The one that all clusters had before.")
    wave: int = Field(default=0, ge=0, description="The wave that it has come to, from 1; 0: none is under way.")
    waves: int = Field(default=0, ge=0, description="How many there are.")
    since: str = Field(default="", max_length=32, description="Since when all of the wave serve the new version.")
    reason: str = Field(default="", max_length=64, description="Why it is in this phase, as one word.")
    message: str = Field(default="", max_length=1024, description="Why, for people.")
    rejected: Annotated[list[Annotated[str, Field(max_length=16)]], Field(max_length=16)] = Field(
        default_factory=list, description="Stopped: hashes by which clusters know the revision that went back."
    )
    handled: str = Field(default="", max_length=128, description="An action that is done, or from before this wave.")
    versions: Annotated[list[PlacedVersion], Field(max_length=8), Unique("version")] = Field(
        default_factory=list, description="What clusters have that wait, and what they get back."
    )


class PlacementStatus(Model):
    """Where the service is placed. All that the operator must remember of it stands here."""

    target: int = Field(
        default=0,
        ge=0,
        description="Replicas to place over all clusters, as many of the usual kind: what is asked "
        "for now and some room to grow.",
    )
    low_since: str = Field(
        default="", max_length=32, description="Since when fewer would do; they are taken away after a while."
    )
    clusters: Annotated[list[ClusterPlacement], Field(max_length=100), Unique("cluster")] = Field(
        default_factory=list, description="The clusters that have replicas, or are to have some or none."
    )
    # One field, not a map by cluster: nobody else writes it, and who owns which of 300 fields is more than they are.
    not_chosen: Annotated[list[NotChosen], Field(max_length=100)] = Field(
        default_factory=list, description="The clusters without replicas, and why."
    )
    rollout: ClusterRolloutStatus = Field(
        default_factory=ClusterRolloutStatus, description="How the newest version goes from cluster to cluster."
    )
    message: str = Field(default="", max_length=1024, description="What cannot be placed as asked for, and why.")
