{{/* A Role or ClusterRole with its binding; the context is (dict "root" $ "kind" KIND "name" NAME "namespace" NAMESPACE
"account" ACCOUNT "rules" RULES), of a ClusterRole without a namespace. */}}
{{- define "inferops.granted" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name | quote }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
{{ include "inferops.labels" (dict "root" .root "name" "") | indent 4 }}
rules:
{{ .rules | indent 2 }}
---
{{ include "inferops.bound" . }}
{{- end }}

{{- define "inferops.bound" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if .namespace }}RoleBinding{{ else }}ClusterRoleBinding{{ end }}
metadata:
  name: {{ .binding | default .name | quote }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
{{ include "inferops.labels" (dict "root" .root "name" "") | indent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ .account | quote }}
    namespace: {{ .root.Release.Namespace | quote }}
{{- end }}
