{{/* What all templates share. Names are fixed: there is one installation in a namespace, and the operator finds its
gateways by the name of their Service. */}}

{{/* Labels of every object; the context is (dict "root" $ "name" NAME), where NAME may be empty. */}}
{{- define "inferops.labels" -}}
app.kubernetes.io/part-of: inferops
{{- with .name }}
app.kubernetes.io/name: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of pods: without those that change with each version, which would start them anew. */}}
{{- define "inferops.podLabels" -}}
app.kubernetes.io/part-of: inferops
app.kubernetes.io/name: {{ .name }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name of an object that belongs to no namespace: in every namespace that is watched alone there may be one. */}}
{{- define "inferops.clusterName" -}}
{{ .name }}{{ if .root.Values.watchNamespaces }}-{{ .root.Release.Namespace }}{{ end }}
{{- end }}

{{- define "inferops.image" -}}
{{- with .Values.image -}}
{{ with .registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if or .tag (not .digest) }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end }}

{{- define "inferops.operator.account" -}}
{{ .Values.operator.serviceAccount.name | default "inferops-operator" }}
{{- end }}

{{- define "inferops.gateway.account" -}}
{{ .Values.gateway.serviceAccount.name | default "inferops-gateway" }}
{{- end }}

{{/* The namespaces that are watched, as arguments of either command. */}}
{{- define "inferops.watched" -}}
{{- range .Values.watchNamespaces }}
- --watch-namespace={{ . }}
{{- end }}
{{- end }}

{{/* How pods are placed; the context is (dict "root" $ "own" VALUES "name" NAME). */}}
{{- define "inferops.placement" -}}
topologySpreadConstraints:
{{- with .own.topologySpreadConstraints }}
{{ toYaml . | indent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: {{ .name }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{- define "inferops.imageOf" -}}
image: {{ include "inferops.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* A custom resource of the values. Helm cannot build a resource whose CustomResourceDefinition the same installation
brings: the first time it is a hook, made once that is there, and with what lets later upgrades take it over. */}}
{{- define "inferops.resource" -}}
apiVersion: serving.inferops.dev/v1alpha1
kind: {{ .kind }}
metadata:
  name: {{ .name | quote }}
  labels:
{{ include "inferops.labels" (dict "root" .root "name" "") | indent 4 }}
  {{- if and .root.Release.IsInstall .root.Values.crds.enabled (not (.root.Capabilities.APIVersions.Has "serving.inferops.dev/v1alpha1")) }}
  annotations:
    helm.sh/hook: post-install,post-rollback
    helm.sh/hook-delete-policy: hook-failed
    meta.helm.sh/release-name: {{ .root.Release.Name | quote }}
    meta.helm.sh/release-namespace: {{ .root.Release.Namespace | quote }}
  {{- end }}
spec:
{{ toYaml .spec | indent 2 }}
{{- end }}
