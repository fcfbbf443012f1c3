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

{{/* The operator derives the same name from its class: one Lease per cluster and class, wherever it is installed. */}}
{{- define "oidc-operator.leaseName" -}}
{{- list "oidc-operator" .Values.serverClass | compact | join "-" }}
{{- end }}

{{/* Verbs for Secrets in the namespaces that the operator works in. */}}
{{- define "oidc-operator.secretVerbs" -}}
[get, {{ if .Values.rbac.secrets.watch }}list, watch, {{ end }}create, update, delete]
{{- end }}

{{/* A RoleBinding or ClusterRoleBinding to the operator: (list $ kind name namespace). */}}
{{- define "oidc-operator.binding" -}}
{{- $root := index . 0 }}
{{- $kind := index . 1 }}
{{- $name := index . 2 }}
{{- $namespace := index . 3 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "oidc-operator.labels" $root | nindent 4 }}
  {{- with include "oidc-operator.annotations" (list $root dict) }}{{ . | nindent 2 }}{{ end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "oidc-operator.serviceAccountName" $root }}
    namespace: {{ include "oidc-operator.namespace" $root }}
{{- end }}

{{/* Head of a Role of the operator: (list $ name namespace). */}}
{{- define "oidc-operator.role" -}}
{{- $root := index . 0 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ index . 1 }}
  namespace: {{ index . 2 }}
  labels:
    {{- include "oidc-operator.labels" $root | nindent 4 }}
  {{- with include "oidc-operator.annotations" (list $root dict) }}{{ . | nindent 2 }}{{ end }}
{{- end }}

{{/* Flags that decide what the operator needs in the cluster. */}}
{{- define "oidc-operator.flags" -}}
- --leader-election={{ .Values.leaderElection.enabled }}
- --lease-namespace={{ .Values.leaderElection.namespace }}
{{- with .Values.serverClass }}
- --server-class={{ . }}
{{- end }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
- --watch-secrets={{ .Values.rbac.secrets.watch }}
{{- if .Values.rbac.pods.list }}
- --list-pods=true
{{- end }}
{{- end }}

{{/* Pod of a hook that runs a verb of the operator once: (list $ verb flags). */}}
{{- define "oidc-operator.verb" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "oidc-operator.serviceAccountName" $root }}
automountServiceAccountToken: true
enableServiceLinks: false
restartPolicy: Never
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ index . 1 }}
    image: {{ include "oidc-operator.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args:
      - {{ index . 1 }}
      {{- with index . 2 }}
      {{- . | nindent 6 }}
      {{- end }}
    env:
      - name: OIDC_OPERATOR_NAMESPACE
        value: {{ include "oidc-operator.namespace" $root }}
    {{- with $root.Values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    resources:
      {{- toYaml $root.Values.resources | nindent 6 }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
