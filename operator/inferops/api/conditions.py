"""Conditions: their types, the fixed list of reasons, and the shape they have in every status."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from inferops.api.base import Model
from inferops.api.checks import Matching, Unique


class ConditionType(StrEnum):
    """What a condition speaks of. The first four follow kstatus, the others are the stages behind Ready."""

    READY = "Ready"
    AVAILABLE = "Available"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    VALID = "Valid"
    SCHEDULED = "Scheduled"
    ROLLED_OUT = "RolledOut"
    ROUTED = "Routed"
    # ... of a member cluster
    CONTROL_PLANE_HEALTHY = "ControlPlaneHealthy"
    DATA_PLANE_HEALTHY = "DataPlaneHealthy"
    CAPACITY_FRESH = "CapacityFresh"


class Reason(StrEnum):
    """Every reason that a condition of ours can have; tools may rely on the words."""

    # Valid
    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    RUNTIME_NOT_FOUND = "RuntimeNotFound"
    RUNTIME_INVALID = "RuntimeInvalid"
    SOURCE_NOT_SUPPORTED = "SourceNotSupported"
    ARGUMENT_NOT_ALLOWED = "ArgumentNotAllowed"
    ACCELERATOR_REQUIRED = "AcceleratorRequired"
    ACCELERATOR_NOT_FOUND = "AcceleratorNotFound"
    MODEL_UNKNOWN = "ModelUnknown"
    NO_ACCELERATOR_FITS = "NoAcceleratorFits"
    TENSOR_PARALLEL_INVALID = "TensorParallelInvalid"
    MULTI_NODE_NOT_SUPPORTED = "MultiNodeNotSupported"
    LEADER_WORKER_SET_MISSING = "LeaderWorkerSetMissing"
    NAME_CONFLICT = "NameConflict"
    REJECTED_BY_API_SERVER = "RejectedByAPIServer"
    # Scheduled
    SCHEDULED = "Scheduled"
    NO_MATCHING_NODE = "NoMatchingNode"
    NODES_TOO_SMALL = "NodesTooSmall"
    NODES_UNAVAILABLE = "NodesUnavailable"
    INSUFFICIENT_CAPACITY = "InsufficientCapacity"
    UNSCHEDULABLE = "Unschedulable"
    PODS_REFUSED = "PodsRefused"
    # RolledOut, Available, Ready
    CREATING = "Creating"
    PULLING = "Pulling"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid"
    LOADING = "Loading"
    CRASH_LOOP = "CrashLoop"
    PROMOTED = "Promoted"
    # ... why a rollout is where it is
    ROLLOUT_STARTED = "RolloutStarted"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    WARMING = "Warming"
    SHIFTING = "Shifting"
    OBSERVING = "Observing"
    NO_DATA = "NoData"
    UNDECIDED = "Undecided"
    GATE_WAITS = "GateWaits"
    PROMOTING = "Promoting"
    ROLLOUT_PAUSED = "RolloutPaused"
    ROLLOUT_RESUMED = "RolloutResumed"
    NOBODY_SPLITS = "NobodySplits"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    # ... why it was rolled back, or ended
    HARM_SHOWN = "HarmShown"
    ERROR_BURST = "ErrorBurst"
    OUT_OF_MEMORY = "OutOfMemory"
    CAPACITY_DEADLINE = "CapacityDeadlineExceeded"
    PULL_DEADLINE = "PullDeadlineExceeded"
    LOAD_DEADLINE = "LoadDeadlineExceeded"
    WARM_UP_DEADLINE = "WarmUpDeadlineExceeded"
    GATE_FAILED = "GateFailed"
    ABORTED = "Aborted"
    REJECTED_BEFORE = "RejectedBefore"
    SUPERSEDED = "Superseded"
    AVAILABLE = "MinimumReplicasAvailable"
    UNAVAILABLE = "NoReplicaAvailable"
    SCALED_TO_ZERO = "ScaledToZero"
    REQUESTS_WAIT = "RequestsWait"
    SCALED_UP = "ScaledUp"
    SCALED_DOWN = "ScaledDown"
    READY = "Ready"
    REPLICAS_NOT_READY = "ReplicasNotReady"
    # Routed
    SERVICE_ROUTED = "ServiceRouted"
    NO_ENDPOINTS = "NoEndpoints"
    GATEWAY_NOT_READY = "GatewayNotReady"
    GATEWAY_API_MISSING = "GatewayAPIMissing"
    INFERENCE_POOL_MISSING = "InferencePoolMissing"
    ACCESS_NOT_CHECKED = "AccessNotChecked"
    ROUTE_PENDING = "RoutePending"
    ROUTE_ACCEPTED = "RouteAccepted"
    ROUTE_REFUSED = "RouteRefused"
    SERVICE_EXPORT_MISSING = "ServiceExportMissing"
    EXPORT_PENDING = "ExportPending"
    EXPORT_REFUSED = "ExportRefused"
    EXPORT_CONFLICT = "ExportConflict"
    # ... of which these are the Gateway API's own words
    NOT_ALLOWED_BY_LISTENERS = "NotAllowedByListeners"
    NO_MATCHING_LISTENER_HOSTNAME = "NoMatchingListenerHostname"
    NO_MATCHING_PARENT = "NoMatchingParent"
    UNSUPPORTED_VALUE = "UnsupportedValue"
    UNSUPPORTED_PROTOCOL = "UnsupportedProtocol"
    REF_NOT_PERMITTED = "RefNotPermitted"
    INVALID_KIND = "InvalidKind"
    INVALID_EXTENSION_REF = "InvalidExtensionRef"
    BACKEND_NOT_FOUND = "BackendNotFound"
    # ControlPlaneHealthy of a member cluster
    ANSWERS = "Answers"
    PROBING = "Probing"
    SUSPECT = "Suspect"
    LOST = "Lost"
    RETURNING = "Returning"
    UNAUTHORIZED = "Unauthorized"
    HUB_CUT_OFF = "HubCutOff"
    # ... why it is not asked at all
    KUBECONFIG_NOT_FOUND = "KubeconfigNotFound"
    KUBECONFIG_REFUSED = "KubeconfigRefused"
    CLUSTER_PROFILE_NOT_FOUND = "ClusterProfileNotFound"
    CLUSTER_PROFILE_REFUSED = "ClusterProfileRefused"
    MANAGED_CLUSTER_NOT_FOUND = "ManagedClusterNotFound"
    MANAGED_CLUSTER_REFUSED = "ManagedClusterRefused"
    SAME_CLUSTER = "SameCluster"
    # ... DataPlaneHealthy
    NODES_READY = "NodesReady"
    NODES_NOT_READY = "NodesNotReady"
    GATEWAY_ANSWERS = "GatewayAnswers"
    GATEWAY_SILENT = "GatewaySilent"
    NOT_SEEN = "NotSeen"
    # ... CapacityFresh
    COUNTED = "Counted"
    STALE = "Stale"
    # Reconciling, and resources whose behaviour comes later
    PROGRESSING = "Progressing"
    TERMINATING = "Terminating"
    NOT_ACTED_ON = "NotActedOn"


class Condition(Model):
    """One condition, as metav1.Condition."""

    type: Annotated[str, Field(max_length=64)] = Field(description="What the condition speaks of.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int = Field(default=0, ge=0, description="The generation of the spec that was judged.")
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] = Field(
        description="When the status last changed, RFC 3339."
    )
    reason: Annotated[
        str, Field(max_length=128), Matching("^[A-Z][A-Za-z0-9]*$", "must be one CamelCase word, for example CrashLoop")
    ] = Field(description="Why, as one CamelCase word from a fixed list.")
    message: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Why, for people: names the field and the remedy."
    )


Conditions = Annotated[list[Condition], Field(max_length=16), Unique("type")]
