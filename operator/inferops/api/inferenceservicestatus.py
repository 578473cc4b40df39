"""InferenceService's status: what the operator saw, decided and did, and all that it must remember."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import Model
from inferops.api.checks import Unique
from inferops.api.conditions import Conditions
from inferops.api.placement import PlacementStatus
from inferops.api.rolloutstatus import RolloutStatus
from inferops.api.scalingstatus import ScalingStatus

Role = Literal["Stable", "Canary", "Previous", "Retiring"]


class RevisionStatus(Model):
    """One revision as it stands."""

    name: str = Field(max_length=63, description="Name of the revision's objects: the service's name and the hash.")
    hash: str = Field(max_length=16, description="Hash of what is served: model, runtime and accelerators.")
    role: Role = Field(
        description="Stable is the one that serves, Canary is being rolled out, Previous is kept to go back to, "
        "Retiring is being removed."
    )
    accelerator: str = Field(
        default="", max_length=300, description="What a replica runs on, for example 4x nvidia-l4."
    )
    image: str = Field(default="", max_length=512, description="The engine's image, fixed when the revision was made.")
    replicas: int = Field(default=0, ge=0, description="Replicas wanted.")
    ready_replicas: int = Field(default=0, ge=0, description="Replicas that answer.")
    weight: int = Field(default=0, ge=0, le=100, description="Percentage of requests sent to it.")
    desired_weight: int = Field(
        default=0, ge=0, le=100, description="Percentage that it is to get once enough of its replicas are ready."
    )
    observed_weight: int | None = Field(
        default=None, ge=0, le=100, description="Percentage that it got of those counted last; none: nobody counts."
    )
    usd_per_hour: str = Field(
        default="", max_length=32, description="US dollars an hour of one replica, by its Accelerator's price."
    )
    message: str = Field(default="", max_length=1024, description="What it is waiting for.")


class NotActedOn(Model):
    """A part of the spec that is valid and stored, and not acted on by this version of the operator."""

    field: str = Field(max_length=128, description="The field, for example spec.rollout.steps.")
    message: str = Field(max_length=512, description="What happens instead.")


class SizedOption(Model):
    """One way to serve the model, as sizing estimates it."""

    accelerator: str = Field(max_length=300, description="What a replica runs on, for example 2x nvidia-h100-80gb.")
    precision: str = Field(max_length=16, description="How its weights are stored.")
    replicas: int = Field(ge=1, description="Replicas that carry spec.load.concurrency.")
    concurrency: int = Field(ge=1, description="Requests at once that one replica carries within the SLO.")
    kv_tokens: int = Field(ge=0, description="Tokens of KV cache of one replica.")
    longest_context: int = Field(ge=0, description="Longest context in tokens that fits.")
    ttft: str = Field(max_length=32, description="Time to first token at that load.")
    tpot: str = Field(default="", max_length=32, description="Time per output token at that load; none of an encoder.")
    tokens_per_second: int = Field(
        ge=0, description="Tokens answered, by an encoder read, a second, over all replicas."
    )
    usd_per_hour: str = Field(default="", max_length=32, description="US dollars an hour, over all replicas.")
    usd_per_million_tokens: str = Field(default="", max_length=32, description="US dollars for a million of them.")


class SizingStatus(Model):
    """Which accelerators would do, by sizing's estimate."""

    asked: str = Field(
        default="", max_length=64, description="Digest of the wishes that latestRevision was last found to meet."
    )
    model: str = Field(default="", max_length=512, description="What is known of the model, and from where.")
    options: list[SizedOption] = Field(default_factory=list, max_length=8, description="The cheapest, in this order.")
    rejected: list[Annotated[str, Field(max_length=512)]] = Field(
        default_factory=list,
        max_length=8,
        description="What would be cheaper, or was asked for, and why it will not do.",
    )


class InferenceServiceStatus(Model):
    """What the operator saw and did. All that it must remember stands here."""

    observed_generation: int = Field(default=0, ge=0, description="The generation of the spec that was last judged.")
    conditions: Conditions = Field(
        default_factory=list,
        description="Ready, Available, Reconciling, Stalled (kstatus), and Valid, Scheduled, RolledOut, Routed.",
    )
    replicas: int = Field(default=0, ge=0, description="Pods that exist, over all revisions.")
    ready_replicas: int = Field(default=0, ge=0, description="Replicas of the stable revision that answer.")
    desired_replicas: int | None = Field(
        default=None, ge=0, description="Replicas that scaling decided on last; none before its first decision."
    )
    selector: str = Field(
        default="", max_length=512, description="Label selector of the pods, for the scale subresource."
    )
    url: str = Field(default="", max_length=512, description="Address of the service inside the cluster.")
    hostnames: list[Annotated[str, Field(max_length=253)]] = Field(
        default_factory=list, max_length=16, description="Host names under which its HTTPRoute was accepted."
    )
    stable_revision: str = Field(default="", max_length=16, description="Hash of the revision that gets the traffic.")
    latest_revision: str = Field(default="", max_length=16, description="Hash of the revision that the spec asks for.")
    revisions: Annotated[list[RevisionStatus], Field(max_length=16), Unique("hash")] = Field(
        default_factory=list, description="The revisions that exist."
    )
    rollout: RolloutStatus = Field(default_factory=RolloutStatus, description="The rollout, and those before it.")
    scaling: ScalingStatus = Field(
        default_factory=ScalingStatus, description="The numbers behind desiredReplicas, and what was learned."
    )
    placement: PlacementStatus = Field(
        default_factory=PlacementStatus, description="In which clusters it is, where spec.placement.clusters is given."
    )
    sizing: SizingStatus = Field(default_factory=SizingStatus, description="Which accelerators would do.")
    explain: list[Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=list, max_length=16, description="Why it is so, a sentence a decision."
    )
    not_acted_on: Annotated[list[NotActedOn], Field(max_length=32), Unique("field")] = Field(
        default_factory=list,
        description="Parts of the spec that this version of the operator validates and stores and does not act on.",
    )
