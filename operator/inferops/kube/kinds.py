"""The kinds that the operator reads or writes, and where the API server has them."""

from __future__ import annotations

from dataclasses import dataclass

from inferops.api import API_VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object and its place in the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection, one object or its subresource. An empty namespace means all of them."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(part for part in (f"{root}{scope}/{self.plural}", name, subresource) if part)


INFERENCE_SERVICE = Kind(API_VERSION, "InferenceService", "inferenceservices")
INFERENCE_CLUSTER = Kind(API_VERSION, "InferenceCluster", "inferenceclusters")
SERVING_RUNTIME = Kind(API_VERSION, "ServingRuntime", "servingruntimes", namespaced=False)
ACCELERATOR = Kind(API_VERSION, "Accelerator", "accelerators", namespaced=False)
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
RECORD = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
SERVICE = Kind("v1", "Service", "services")
BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
JOB = Kind("batch/v1", "Job", "jobs")
POD = Kind("v1", "Pod", "pods")
NODE = Kind("v1", "Node", "nodes", namespaced=False)
RESOURCE_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
LEADER_WORKER_SET = Kind("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "leaderworkersets")
CLAIM_TEMPLATE = Kind("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates")
DEVICE_SLICE = Kind("resource.k8s.io/v1", "ResourceSlice", "resourceslices", namespaced=False)
DEVICE_CLAIM = Kind("resource.k8s.io/v1", "ResourceClaim", "resourceclaims")
EVENT = Kind("v1", "Event", "events")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
INFERENCE_POOL = Kind("inference.networking.k8s.io/v1", "InferencePool", "inferencepools")
SERVICE_EXPORT = Kind("multicluster.x-k8s.io/v1alpha1", "ServiceExport", "serviceexports")
CLUSTER_PROFILE = Kind("multicluster.x-k8s.io/v1alpha1", "ClusterProfile", "clusterprofiles")
MANAGED_CLUSTER = Kind("cluster.open-cluster-management.io/v1", "ManagedCluster", "managedclusters", namespaced=False)
MANIFEST_WORK = Kind("work.open-cluster-management.io/v1", "ManifestWork", "manifestworks")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

BY_KIND: dict[str, Kind] = {
    kind.kind: kind
    for kind in (
        DEPLOYMENT,
        LEADER_WORKER_SET,
        CLAIM_TEMPLATE,
        RECORD,
        SERVICE,
        BUDGET,
        JOB,
        ENDPOINT_SLICE,
        HTTP_ROUTE,
        INFERENCE_POOL,
        SERVICE_EXPORT,
        POD,
        NODE,
        EVENT,
        LEASE,
    )
}
