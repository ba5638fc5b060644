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

{{/* Labels of what Prometheus and Grafana read; `monitoring.labels` go before ours. */}}
{{- define "springtide.monitoringLabels" -}}
{{- merge (dict) .Values.monitoring.labels (include "springtide.labels" . | fromYaml) | toYaml }}
{{- end }}

{{/* Call with (list root image): the full name of an image, behind the private registry when there is one. */}}
{{- define "springtide.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 }}
{{- with $root.Values.imageRegistry }}{{ . }}/{{ end }}{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/*
What the operator may do in a namespace that holds clusters, and no more: the controller's tests run under these rules and compare
them with what was used. Secrets are never listed, and none is changed but those with certificates that the operator has issued; of pods
only frontends are deleted, to be made anew in an order that no StatefulSet keeps; claims only grow.
*/}}
{{- define "springtide.namespacedRules" -}}
- apiGroups: [springtide.dev]
  resources: [lakeclusters, computegroups]
  verbs: [get, list, watch, patch]
- apiGroups: [springtide.dev]
  resources: [lakeclusters/status, computegroups/status]
  verbs: [patch]
- apiGroups: [springtide.dev]
  resources: [calendars]
  verbs: [list, watch]
# A statement that waits wakes a group from 0.
- apiGroups: [springtide.dev]
  resources: [computegroups/scale]
  verbs: [patch]
# Where owner references are enforced, who sets one must be allowed this.
- apiGroups: [springtide.dev]
  resources: [lakeclusters/finalizers, computegroups/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [statefulsets/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, services, serviceaccounts]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  # A certificate is renewed by an update of the version that was seen: deleted and made anew, its authority's key could be lost.
  verbs: [get, create, update, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  # None is deleted. Where owner references are enforced, who changes those of an object must be allowed that: they say with what it goes.
  verbs: [list, watch, patch, delete]
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets/scale]
  verbs: [update]
# The data of a cluster is deleted by a Job, where somebody has asked for it by name,
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, patch, delete]
# and never because its namespace goes, which is looked at before. A Role gives no other namespace than its own.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
{{- end }}

{{- define "springtide.pullSecretNames" -}}
{{- range $i, $secret := .Values.imagePullSecrets }}{{ if $i }},{{ end }}{{ $secret.name }}{{ end }}
{{- end }}
