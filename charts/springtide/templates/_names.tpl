{{- define "springtide.labels" -}}
app.kubernetes.io/name: springtide
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: operator
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "springtide.selector" -}}
app.kubernetes.io/name: springtide
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Call with (list root image): the full name of an image, behind the private registry when there is one. */}}
{{- define "springtide.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 }}
{{- with $root.Values.imageRegistry }}{{ . }}/{{ end }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/* What the operator may do in a namespace that holds clusters. Secrets: never listed, only read and written by name. */}}
{{- define "springtide.namespacedRules" -}}
- apiGroups: [springtide.dev]
  resources: [lakeclusters, computegroups]
  verbs: [get, list, watch, patch]
- apiGroups: [springtide.dev]
  resources: [lakeclusters/status, computegroups/status]
  verbs: [get, patch]
- apiGroups: [springtide.dev]
  resources: [lakeclusters/finalizers, computegroups/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [get, list, watch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}

{{- define "springtide.pullSecretNames" -}}
{{- range $i, $secret := .Values.imagePullSecrets }}{{ if $i }},{{ end }}{{ $secret.name }}{{ end }}
{{- end }}
