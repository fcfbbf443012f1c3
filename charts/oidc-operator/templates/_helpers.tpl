{{- define "oidc-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "oidc-operator.fullname" -}}
{{- $name := include "oidc-operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Names of cluster-scoped objects contain the namespace, so that two releases do not share them. */}}
{{- define "oidc-operator.clusterName" -}}
{{- printf "%s:%s" (include "oidc-operator.namespace" .) (include "oidc-operator.fullname" .) }}
{{- end }}

{{- define "oidc-operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Annotations of one object: those of the whole chart, and its own. Call it with (list $ own). */}}
{{- define "oidc-operator.annotations" -}}
{{- $all := mustMergeOverwrite (dict) (index . 0).Values.commonAnnotations (default (dict) (index . 1)) }}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "oidc-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "oidc-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "oidc-operator.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
{{ include "oidc-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "oidc-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "oidc-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The ServiceAccount that the operator uses to log in to servers; empty if there is none. Never the operator's own, whose
     tokens must not be sent to a server. */}}
{{- define "oidc-operator.loginServiceAccountName" -}}
{{- $account := .Values.login.serviceAccount }}
{{- $name := $account.name }}
{{- if $account.create }}
{{- $name = default (printf "%s-login" (include "oidc-operator.fullname" .)) $account.name }}
{{- end }}
{{- if has (include "oidc-operator.serviceAccountName" .) (append .Values.vault.serviceAccounts $name) }}
{{- fail "login.serviceAccount, vault.serviceAccounts: the operator does not log in to servers as its own ServiceAccount; name one without rights" }}
{{- end }}
{{- $name }}
{{- end }}

{{- define "oidc-operator.image" -}}
{{- $name := list .Values.image.registry .Values.image.repository | compact | join "/" }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $name .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* A probe of the operator: (list path values). The values may name another handler. */}}
{{- define "oidc-operator.probe" -}}
{{- $values := index . 1 }}
{{- $probe := dict }}
{{- if not (or $values.exec $values.grpc $values.tcpSocket) }}
{{- $probe = dict "httpGet" (dict "path" (index . 0) "port" "http") }}
{{- end }}
{{- toYaml (mustMergeOverwrite $probe $values) }}
{{- end }}

{{/* One name for all releases of a namespace: two of them must not work at the same time. */}}
{{- define "oidc-operator.leaseName" -}}
oidc-operator
{{- end }}
