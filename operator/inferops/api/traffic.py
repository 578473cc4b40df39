"""TrafficSpec: how requests reach the replicas of an InferenceService, and who may send them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import Model
from inferops.api.checks import Rule, Unique
from inferops.api.formats import (
    Duration,
    GatewayUrl,
    HeaderName,
    Hostname,
    Name,
    ObjectName,
    PositiveDuration,
    SecretKeyName,
)

RequestsPerMinute = Annotated[int, Field(ge=1, le=10_000_000)]
TokensPerMinute = Annotated[int, Field(ge=1, le=10_000_000_000)]


class GatewayRef(Model):
    """A Gateway of the Gateway API."""

    name: ObjectName = Field(description="The Gateway's name.")
    namespace: Name | None = Field(default=None, description="Its namespace; left out: that of the InferenceService.")
    section_name: ObjectName | None = Field(
        default=None, description="One of its listeners, by name; left out: all that allow the route."
    )


class EndpointPicker(Model):
    """An endpoint picker of the Gateway API Inference Extension, which chooses the replica for each request."""

    name: ObjectName = Field(description="The picker's Service, in the same namespace.")
    port: int = Field(default=9002, ge=1, le=65535, description="Its port (gRPC, external processing).")
    failure_mode: Literal["FailOpen", "FailClose"] = Field(
        default="FailClose", description="FailOpen: while the picker is away any replica gets the request."
    )


class ClientLimits(Model):
    """Limits of one client in place of those of all."""

    name: SecretKeyName = Field(description="The client: a key of the Secret.")
    requests_per_minute: RequestsPerMinute | None = Field(
        default=None, description="Requests a minute; left out: no limit."
    )
    tokens_per_minute: TokensPerMinute | None = Field(
        default=None, description="Tokens a minute, prompts and answers together; left out: no limit."
    )


class AccessSpec(Model):
    """Who may send requests through the built-in gateway, and how many."""

    api_keys_secret: ObjectName = Field(
        description="A Secret of the same namespace. Each of its keys is a client's name, its value that client's API "
        "key, or `sha256:` and the hexadecimal SHA-256 of it. Requests without one of them are refused."
    )
    requests_per_minute: RequestsPerMinute | None = Field(
        default=None, description="Requests a minute of each client; left out: no limit."
    )
    tokens_per_minute: TokensPerMinute | None = Field(
        default=None, description="Tokens a minute of each client, prompts and answers together; left out: no limit."
    )
    clients: Annotated[list[ClientLimits], Field(max_length=64), Unique("name")] = Field(
        default_factory=list[ClientLimits], description="Clients with limits of their own."
    )


class SpilloverTarget(Model):
    """Another cluster where the same service is, by the same namespace and name."""

    name: ObjectName = Field(description="The cluster's name, as metrics and logs tell it.")
    url: GatewayUrl = Field(
        description="Its gateways, as those of this cluster reach them. Certificates of https are verified."
    )


class TrafficSpec(Model):
    """How requests reach the replicas."""

    rules = (
        Rule(
            cel="!has(self.endpointPicker) || !has(self.access)",
            holds=lambda self: self.endpoint_picker is None or self.access is None,
            field="access",
            message="API keys are checked by the built-in gateway, which traffic.endpointPicker passes by; "
            "take one of them away",
        ),
        Rule(
            cel="!has(self.endpointPicker) || !has(self.spillover) || size(self.spillover) == 0",
            holds=lambda self: self.endpoint_picker is None or not self.spillover,
            field="spillover",
            message="requests are passed on to other clusters by the built-in gateway, which traffic.endpointPicker "
            "passes by; take one of them away",
        ),
    )
    hostnames: Annotated[list[Hostname], Field(max_length=16), Unique()] = Field(
        default_factory=list,
        description="Host names under which the model is reached; a first label `*` stands for any.",
    )
    gateway_ref: GatewayRef | None = Field(
        default=None, description="A Gateway to attach an HTTPRoute to; left out: the operator's default."
    )
    match_model_name: bool | None = Field(
        default=None,
        description="Whether the HTTPRoute asks for the model's name in the header X-Gateway-Model-Name, which "
        "body-based routers set; left out: where there are no hostnames.",
    )
    endpoint_picker: EndpointPicker | None = Field(
        default=None,
        description="Route to an InferencePool a revision in place of Services, with this endpoint picker. Needs the "
        "Gateway API Inference Extension and a Gateway that supports it.",
    )
    queue_timeout: Duration = Field(default="30s", description="How long a request may wait for a replica.")
    max_queue: int = Field(
        default=500, ge=0, le=1_000_000, description="How many requests may wait; more are answered with 429."
    )
    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="Requests at once that one replica gets; more wait in the gateway. Left out: the engine queues.",
    )
    request_timeout: PositiveDuration = Field(
        default="1h", description="How long a request may take in all, streams too."
    )
    session_header: HeaderName | None = Field(
        default=None,
        description="A header that names a session, for example X-Session-Id: its requests stay on one revision, and "
        "on one replica where its load allows.",
    )
    access: AccessSpec | None = Field(
        default=None, description="Who may send requests; left out: everybody who reaches the gateway."
    )
    export: bool = Field(
        default=False,
        description="Export the Service of this name to the clusters of a clusterset, by a ServiceExport: it is "
        "NAME.NAMESPACE.svc.clusterset.local there. Needs an implementation of the Multi-Cluster Services API.",
    )
    spillover: Annotated[list[SpilloverTarget], Field(max_length=16), Unique("name")] = Field(
        default_factory=list[SpilloverTarget],
        description="Clusters whose gateways are asked, the first one first, where a request would wait here longer "
        "than the SLO's ttft (left out: a tenth of queueTimeout), or gets no replica. Keep it nearest first. Left out: "
        "requests wait here.",
    )
