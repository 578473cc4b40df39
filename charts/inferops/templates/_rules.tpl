{{/* The rights of the operator and of the gateway, in parts: what belongs to no namespace, what is needed in each
namespace with services, and what in the operator's own. All three together are manifests/install/rbac.yaml. */}}

{{- define "inferops.operator.rules.cluster" -}}
- apiGroups: [serving.inferops.dev]
  resources: [servingruntimes, accelerators]
  verbs: [list, watch]
- apiGroups: [resource.k8s.io] # where accelerators come by DRA
  resources: [resourceslices]
  verbs: [list, watch]
- apiGroups: [""] # whose UID tells which cluster it is
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}

{{- define "inferops.operator.rules.services" -}}
- apiGroups: [serving.inferops.dev] # the finalizer, and what placed services have in this cluster (access.hub)
  resources: [inferenceservices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [serving.inferops.dev]
  resources: [inferenceservices/status]
  verbs: [patch]
# For owner references with blockOwnerDeletion where OwnerReferencesPermissionEnforcement is on (OpenShift).
- apiGroups: [serving.inferops.dev]
  resources: [inferenceservices/finalizers]
  verbs: [update]
# Server-side apply is patch, and create where the object is not there yet. `get` finds out whose a taken name is.
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [leaderworkerset.x-k8s.io] # need not be installed
  resources: [leaderworkersets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [resource.k8s.io] # where accelerators come by DRA
  resources: [resourceclaimtemplates]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io] # where a Gateway is named
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [inference.networking.k8s.io] # where an endpoint picker is
  resources: [inferencepools]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [multicluster.x-k8s.io] # where traffic.export asks for it
  resources: [serviceexports]
  verbs: [get, list, watch, create, patch, delete]
# Those that put the built-in gateway behind a Service.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch] # of gates that are Jobs
  resources: [jobs]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
# A model's config.json, where spec.model.config names it. No list, no watch.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
{{- end }}

{{/* What is free in this cluster is only known to whom is shown the pods of all namespaces. */}}
{{- define "inferops.operator.rules.capacity" -}}
- apiGroups: [""]
  resources: [pods, resourcequotas]
  verbs: [list, watch]
- apiGroups: [resource.k8s.io] # where accelerators come by DRA
  resources: [resourceclaims]
  verbs: [list, watch]
{{- end }}

{{/* What counts in the operator's own namespace alone, and is asked there where not all namespaces are watched. */}}
{{- define "inferops.operator.rules.clusters" -}}
- apiGroups: [serving.inferops.dev]
  resources: [inferenceclusters]
  verbs: [list, watch]
- apiGroups: [serving.inferops.dev]
  resources: [inferenceclusters/status]
  verbs: [patch]
- apiGroups: [multicluster.x-k8s.io] # where an InferenceCluster names one
  resources: [clusterprofiles]
  verbs: [get]
{{- end }}

{{- define "inferops.operator.rules.home" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, watch, create, patch]
- apiGroups: [""] # that InferenceClusters name
  resources: [secrets]
  verbs: [get]
{{- if .Values.watchNamespaces }}
{{ include "inferops.operator.rules.clusters" . }}
{{ include "inferops.gateway.rules.home" . }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- end }}

{{- define "inferops.gateway.rules.cluster" -}}
- apiGroups: [serving.inferops.dev]
  resources: [servingruntimes]
  verbs: [list, watch]
{{- end }}

{{- define "inferops.gateway.rules.home" -}}
- apiGroups: [discovery.k8s.io] # that list the gateway's own replicas
  resources: [endpointslices]
  verbs: [list, watch]
{{- end }}

{{- define "inferops.gateway.rules.services" -}}
- apiGroups: [serving.inferops.dev]
  resources: [inferenceservices]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end }}
