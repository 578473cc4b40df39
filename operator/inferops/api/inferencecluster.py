"""InferenceCluster: a member cluster: how it is reached, where it stands, what it may hold, what it costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import Model, SecretKey, Toleration
from inferops.api.checks import Rule, Unique
from inferops.api.conditions import Conditions
from inferops.api.formats import GatewayUrl, LabelKey, LabelValue, Name, ObjectName, PositiveDuration


class ClusterProfileRef(Model):
    """A ClusterProfile of the cluster inventory (multicluster.x-k8s.io)."""

    name: ObjectName = Field(description="Its name.")
    namespace: Name | None = Field(default=None, description="Its namespace; left out: the operator's.")


class ClusterAccess(Model):
    """How the cluster is reached: exactly one of the ways."""

    rules = (
        Rule(
            cel="(has(self.kubeconfigSecret) ? 1 : 0) + (has(self.clusterProfile) ? 1 : 0) "
            "+ (has(self.managedCluster) ? 1 : 0) + (self.hub ? 1 : 0) == 1",
            holds=lambda self: (
                sum(each is not None for each in (self.kubeconfig_secret, self.cluster_profile, self.managed_cluster))
                + bool(self.hub)
                == 1
            ),
            message="give exactly one of kubeconfigSecret, clusterProfile, managedCluster and hub: true",
        ),
    )
    kubeconfig_secret: SecretKey | None = Field(
        default=None, description="A kubeconfig in a Secret of the operator's namespace."
    )
    cluster_profile: ClusterProfileRef | None = Field(
        default=None,
        description="A ClusterProfile, whose cluster is logged in to by a command of the operator's "
        "--clusterprofile-provider-file.",
    )
    managed_cluster: Name | None = Field(
        default=None,
        description="A ManagedCluster of Open Cluster Management (OCM), of which the operator's cluster is the hub: "
        "its agent fetches what the cluster is to have, and nothing connects to it.",
    )
    hub: bool = Field(default=False, description="Whether it is the operator's own cluster.")
    allow: Annotated[list[Literal["Exec", "Files", "InsecureTLS"]], Field(max_length=3), Unique()] = Field(
        default_factory=list,
        description="What a kubeconfig may hold although it is dangerous: commands that the operator runs (Exec), "
        "paths of its file system (Files), servers whose certificates nobody checks (InsecureTLS). Left out: none.",
    )


class ClusterGateway(Model):
    """Where the cluster's gateways answer."""

    url: GatewayUrl = Field(
        description="As the operator reaches them. Any answer over HTTP shows that the cluster serves."
    )


class Room(Model):
    """How many replicas of one size find a place now."""

    accelerators: int = Field(ge=1, description="Accelerators of a replica, all on one node.")
    replicas: int = Field(ge=0, description="Replicas for which there is room.")


class OfferGrowth(Model):
    """What a node autoscaler may bring of an accelerator beside what there is."""

    nodes: int = Field(ge=0, description="Nodes that may come.")
    accelerators: int = Field(ge=0, description="Accelerators on these.")
    trust: float = Field(
        default=1.0, gt=0, le=1, description="Share of them that is reckoned with: halved whenever they did not come."
    )
    since: str = Field(default="", max_length=32, description="When it was halved last.")


class Offer(Model):
    """What the cluster can hold of one accelerator, now."""

    accelerator: ObjectName = Field(description="The Accelerator's name.")
    spot: bool = Field(default=False, description="Whether it is of spot nodes.")
    nodes: int = Field(ge=0, description="Nodes that have it and can be scheduled to.")
    total: int = Field(ge=0, description="Accelerators on these.")
    free: int = Field(ge=0, description="Those of them that no pod has.")
    room: list[Room] = Field(
        default_factory=list, max_length=16, description="Replicas that fit, node by node, by their accelerators."
    )
    growth: OfferGrowth | None = Field(default=None, description="What may come beside, where spec.growth tells of it.")


class ClusterTaint(Model):
    """Keeps services off the cluster that do not tolerate it."""

    key: LabelKey = Field(description="The taint's key.")
    value: LabelValue = Field(default="", description="The taint's value.")
    effect: Literal["NoSchedule", "NoExecute"] = Field(
        description="NoSchedule: nothing new is placed there. NoExecute: what is there moves elsewhere too."
    )


class ClusterPrice(Model):
    """What an accelerator costs in this cluster."""

    accelerator: ObjectName = Field(description="The Accelerator's name.")
    usd_per_hour: float = Field(ge=0, description="US dollars an hour for one, on demand.")
    spot_usd_per_hour: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="US dollars an hour for one on spot nodes."
    )


class ClusterLatency(Model):
    """How far clients of a region are."""

    region: LabelValue = Field(description="The clients' region.")
    milliseconds: int = Field(ge=0, le=10_000, description="A round trip between them and this cluster's gateways.")


class ClusterGrowth(Model):
    """Nodes that the cluster's node autoscaler may bring."""

    accelerator: ObjectName = Field(description="The Accelerator's name.")
    spot: bool = Field(default=False, description="Whether they are spot nodes.")
    max_nodes: int = Field(
        ge=1, le=1000, description="The most nodes with this accelerator, those that are there included."
    )
    accelerators_per_node: int = Field(ge=1, le=128, description="Accelerators on each of them.")
    provisioning: PositiveDuration = Field(
        default="10m",
        description="How long a node takes to come. Replicas that wait for longer go to other clusters that have room.",
    )


class InferenceClusterSpec(Model):
    """A member cluster."""

    rules = (
        Rule(
            cel="self.growth.all(a, self.growth.exists_one(b, a.accelerator == b.accelerator && a.spot == b.spot))",
            holds=lambda self: len({(each.accelerator, each.spot) for each in self.growth}) == len(self.growth),
            field="growth",
            message="the same accelerator stands twice; add up maxNodes",
        ),
    )
    access: ClusterAccess = Field(description="How the cluster is reached.")
    region: LabelValue | None = Field(default=None, description="Region, for placement and residency.")
    zone: LabelValue | None = Field(default=None, description="Zone within the region.")
    prices: Annotated[list[ClusterPrice], Field(max_length=64), Unique("accelerator")] = Field(
        default_factory=list, description="Prices of this cluster; left out: those of the Accelerators."
    )
    latency: Annotated[list[ClusterLatency], Field(max_length=64), Unique("region")] = Field(
        default_factory=list,
        description="Round trips from regions of clients; left out: 0 from its own region, and from any other the "
        "longest that another cluster tells.",
    )
    namespaces: Annotated[list[Name], Field(max_length=256), Unique()] = Field(
        default_factory=list, description="Namespaces whose services may be placed here; left out: all."
    )
    gateway: ClusterGateway | None = Field(
        default=None,
        description="The cluster's gateways, by which is told whether it serves while its API server does not answer.",
    )
    taints: Annotated[list[ClusterTaint], Field(max_length=16)] = Field(
        default_factory=list,
        description="Of the cluster as a whole, such as while it is drained; services tolerate them by "
        "placement.tolerations.",
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=16,
        description="Further taints of its nodes, which services that are placed there tolerate.",
    )
    growth: list[ClusterGrowth] = Field(
        default_factory=list,
        max_length=32,
        description="What its node autoscaler may bring: used where no cluster has room. Left out: nothing.",
    )


class InferenceClusterStatus(Model):
    """What the operator knows of the cluster."""

    observed_generation: int = Field(default=0, ge=0, description="The generation of the spec that was last judged.")
    conditions: Conditions = Field(default_factory=list, description="The cluster's conditions.")
    cluster_uid: str = Field(
        default="",
        alias="clusterUID",
        max_length=64,
        description="UID of its namespace kube-system: which cluster it is.",
    )
    offers: list[Offer] = Field(
        default_factory=list, max_length=128, description="What it can hold now, by accelerator."
    )
    summary: str = Field(
        default="",
        max_length=65536,
        description="The same and more for another hub, which reads it over OCM; empty: no other hub asks for it.",
    )
