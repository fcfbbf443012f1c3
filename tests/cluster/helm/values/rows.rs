//! One row for each value of the chart.

/// A value, what it is set to (JSON), other settings that it needs, and a text that only then is in the rendering.
pub(super) struct Row(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static [&'static str],
    pub(super) &'static str,
);

/// What rows need to be rendered at all.
const POLICY: &[&str] = &["networkPolicy.enabled=true"];
const TO_SERVERS: &[&str] = &[
    "networkPolicy.enabled=true",
    r#"networkPolicy.servers.cidrs=["10.1.2.0/24"]"#,
];
const TRACED: &[&str] = &[r#"tracing.endpoint="http://collector.monitoring:4318""#];
const SERVICE_MONITOR: &[&str] = &["metrics.serviceMonitor.enabled=true"];
const POD_MONITOR: &[&str] = &["metrics.podMonitor.enabled=true"];
const RULE: &[&str] = &["prometheusRule.enabled=true"];
const DASHBOARD: &[&str] = &["dashboard.enabled=true"];

/// One row for each value of the chart.
pub(super) const ROWS: &[Row] = &[
    Row("replicaCount", "3", &[], "replicas: 3"),
    Row(
        "image.registry",
        r#""registry.test""#,
        &[],
        "image: \"registry.test/oidc-operator/oidc-operator:",
    ),
    Row("image.repository", r#""mine""#, &[], "image: \"ghcr.io/mine:"),
    Row("image.tag", r#""v9""#, &[], "oidc-operator:v9\""),
    Row(
        "image.digest",
        r#""sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef""#,
        &[],
        "oidc-operator@sha256:0123456789abcdef",
    ),
    Row("image.pullPolicy", r#""Always""#, &[], "imagePullPolicy: Always"),
    Row(
        "imagePullSecrets",
        r#"[{"name":"login"}]"#,
        &[],
        "imagePullSecrets:\n        - name: login",
    ),
    Row("nameOverride", r#""iam""#, &[], "app.kubernetes.io/name: iam"),
    Row("fullnameOverride", r#""logins""#, &[], "name: logins\n"),
    Row("namespaceOverride", r#""elsewhere""#, &[], "namespace: elsewhere"),
    Row("commonLabels", r#"{"team":"iam"}"#, &[], "team: iam"),
    Row(
        "commonAnnotations",
        r#"{"owner":"iam"}"#,
        &[],
        "annotations:\n    owner: iam",
    ),
    Row("crds.install", "false", &[], ""),
    Row("crds.keep", "false", &[], ""),
    Row(
        "crds.annotations",
        r#"{"example.com/sync":"yes"}"#,
        &[],
        "example.com/sync: \"yes\"",
    ),
    Row("serviceAccount.create", "false", &[], "serviceAccountName: default"),
    Row("serviceAccount.name", r#""robot""#, &[], "serviceAccountName: robot"),
    Row(
        "serviceAccount.annotations",
        r#"{"example.com/role":"iam"}"#,
        &[],
        "example.com/role: iam",
    ),
    Row("watchNamespaces", r#"["default"]"#, &[], "--watch-namespaces=default"),
    Row("serverClass", r#""edge""#, &[], "resourceNames: [oidc-operator-edge]"),
    Row("rbac.create", "false", &[], ""),
    Row("rbac.pods.list", "true", &[], "--list-pods=true"),
    Row("rbac.secrets.watch", "false", &[], "--watch-secrets=false"),
    Row("rbac.aggregate.view", "false", &[], ""),
    Row("rbac.aggregate.edit", "false", &[], ""),
    Row("rbac.aggregate.admin", "false", &[], ""),
    Row("clusterId", r#""west""#, &[], "\"--cluster-id=west\""),
    Row(
        "login.serviceAccount.create",
        "true",
        &[],
        "resources: [serviceaccounts/token]",
    ),
    Row(
        "login.serviceAccount.name",
        r#""visitor""#,
        &[],
        "--login-service-account=visitor",
    ),
    Row(
        "outputLabels",
        r#"{"team":"shop"}"#,
        &[],
        "\"--output-labels=team=shop\"",
    ),
    Row(
        "docsUrl",
        r#""https://docs.example.com""#,
        &[],
        "\"--docs-url=https://docs.example.com\"",
    ),
    Row("formerClusterIds", r#"["east"]"#, &[], "\"--former-cluster-ids=east\""),
    Row("vault.serviceAccounts", r#"["second"]"#, &[], "resourceNames: [second]"),
    Row("log.level", r#""debug""#, &[], "\"--log=debug\""),
    Row("log.format", r#""text""#, &[], "--log-format=text"),
    Row("leaderElection.enabled", "false", &[], "type: Recreate"),
    Row(
        "leaderElection.namespace",
        r#""default""#,
        &[],
        "--lease-namespace=default",
    ),
    Row("networkPolicy.enabled", "true", &[], "kind: NetworkPolicy"),
    Row(
        "networkPolicy.scrapers",
        r#"[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]"#,
        POLICY,
        "app: prometheus",
    ),
    Row(
        "networkPolicy.apiServer.cidrs",
        r#"["10.0.0.10/32"]"#,
        POLICY,
        "cidr: \"10.0.0.10/32\"",
    ),
    Row("networkPolicy.apiServer.ports", "[16443]", POLICY, "port: 16443"),
    Row(
        "networkPolicy.servers.cidrs",
        r#"["10.1.2.0/24"]"#,
        POLICY,
        "cidr: \"10.1.2.0/24\"",
    ),
    Row("networkPolicy.servers.ports", "[4445]", TO_SERVERS, "port: 4445"),
    Row(
        "networkPolicy.extraEgress",
        r#"[{"ports":[{"port":5353}]}]"#,
        POLICY,
        "port: 5353",
    ),
    Row("port", "9090", &[], "containerPort: 9090"),
    Row("metrics.perResource", "true", &[], "- --metrics-per-resource"),
    Row("metrics.service.create", "false", &[], ""),
    Row(
        "metrics.service.annotations",
        r#"{"prometheus.io/scrape":"true"}"#,
        &[],
        "prometheus.io/scrape: \"true\"",
    ),
    Row("metrics.serviceMonitor.enabled", "true", &[], "kind: ServiceMonitor"),
    Row(
        "metrics.serviceMonitor.labels",
        r#"{"release":"prometheus"}"#,
        SERVICE_MONITOR,
        "release: prometheus",
    ),
    Row(
        "metrics.serviceMonitor.interval",
        r#""90s""#,
        SERVICE_MONITOR,
        "interval: 90s",
    ),
    Row(
        "metrics.serviceMonitor.scrapeTimeout",
        r#""7s""#,
        SERVICE_MONITOR,
        "scrapeTimeout: 7s",
    ),
    Row("metrics.podMonitor.enabled", "true", &[], "kind: PodMonitor"),
    Row(
        "metrics.podMonitor.labels",
        r#"{"release":"prometheus"}"#,
        POD_MONITOR,
        "release: prometheus",
    ),
    Row("metrics.podMonitor.interval", r#""90s""#, POD_MONITOR, "interval: 90s"),
    Row(
        "metrics.podMonitor.scrapeTimeout",
        r#""7s""#,
        POD_MONITOR,
        "scrapeTimeout: 7s",
    ),
    Row(
        "tracing.endpoint",
        r#""http://collector.monitoring:4318""#,
        &[],
        "\"--otlp-endpoint=http://collector.monitoring:4318\"",
    ),
    Row("tracing.sampleRatio", "0.25", TRACED, "- --trace-sample-ratio=0.25"),
    Row("podDisruptionBudget.enabled", "true", &[], "kind: PodDisruptionBudget"),
    Row(
        "podDisruptionBudget.maxUnavailable",
        r#""50%""#,
        &["podDisruptionBudget.enabled=true"],
        "maxUnavailable: 50%",
    ),
    Row("prometheusRule.enabled", "true", &[], "kind: PrometheusRule"),
    Row(
        "prometheusRule.labels",
        r#"{"release":"prometheus"}"#,
        RULE,
        "release: prometheus",
    ),
    Row(
        "prometheusRule.annotations",
        r#"{"example.com/rules":"yes"}"#,
        RULE,
        "example.com/rules: \"yes\"",
    ),
    Row("prometheusRule.interval", r#""2m""#, RULE, "interval: 2m"),
    Row(
        "prometheusRule.runbookUrl",
        r#""https://wiki.test/oidc""#,
        RULE,
        "runbook_url: https://wiki.test/oidc#oidcqueuestuck",
    ),
    Row(
        "prometheusRule.alerts.OidcOperatorDown",
        r#"{"severity":"page"}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcOperatorNoLeader",
        r#"{"for":"99m"}"#,
        RULE,
        "for: 99m",
    ),
    Row(
        "prometheusRule.alerts.OidcResourceNotReady",
        r#"{"labels":{"team":"iam"}}"#,
        RULE,
        "team: iam",
    ),
    Row(
        "prometheusRule.alerts.OidcServerUnreachable",
        r#"{"labels":{"severity":"page"}}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcLoginFailing",
        r#"{"severity":"page"}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcRotationOverdue",
        r#"{"for":"99m"}"#,
        RULE,
        "for: 99m",
    ),
    Row(
        "prometheusRule.alerts.OidcDeletionBlocked",
        r#"{"severity":"page"}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcReconcileErrors",
        r#"{"severity":"page"}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcConflict",
        r#"{"severity":"page"}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcObjectsUnreadable",
        r#"{"severity":"page"}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcQueueStuck",
        r#"{"severity":"page"}"#,
        RULE,
        "severity: page",
    ),
    Row(
        "prometheusRule.alerts.OidcSweepLate",
        r#"{"for":"25h"}"#,
        RULE,
        "for: 25h",
    ),
    Row(
        "prometheusRule.alerts.OidcOrphanedObjects",
        r#"{"enabled":false}"#,
        RULE,
        "",
    ),
    Row("dashboard.enabled", "true", &[], "oidc-operator.json: |"),
    Row(
        "dashboard.labels",
        r#"{"kind":"dashboard"}"#,
        DASHBOARD,
        "kind: dashboard",
    ),
    Row(
        "dashboard.annotations",
        r#"{"grafana_folder":"Identity"}"#,
        DASHBOARD,
        "grafana_folder: Identity",
    ),
    Row("dashboard.namespace", r#""default""#, DASHBOARD, "namespace: default"),
    Row(
        "deletionProtection.enabled",
        "true",
        &[],
        "kind: ValidatingAdmissionPolicyBinding",
    ),
    Row("uninstallCheck.enabled", "true", &[], "- uninstall-check"),
    Row("resources", r#"{"limits":{"memory":"1Gi"}}"#, &[], "memory: 1Gi"),
    Row("podSecurityContext", r#"{"fsGroup":2000}"#, &[], "fsGroup: 2000"),
    Row("securityContext", r#"{"runAsUser":1000}"#, &[], "runAsUser: 1000"),
    Row(
        "startupProbe",
        r#"{"failureThreshold":99}"#,
        &[],
        "failureThreshold: 99",
    ),
    Row(
        "livenessProbe",
        r#"{"failureThreshold":98}"#,
        &[],
        "failureThreshold: 98",
    ),
    Row(
        "readinessProbe",
        r#"{"failureThreshold":97}"#,
        &[],
        "failureThreshold: 97",
    ),
    Row(
        "terminationGracePeriodSeconds",
        "45",
        &[],
        "terminationGracePeriodSeconds: 45",
    ),
    Row(
        "podAnnotations",
        r#"{"example.com/inject":"no"}"#,
        &[],
        "example.com/inject: \"no\"",
    ),
    Row("podLabels", r#"{"tier":"control"}"#, &[], "tier: control"),
    Row("nodeSelector", r#"{"disk":"ssd"}"#, &[], "disk: ssd"),
    Row(
        "tolerations",
        r#"[{"key":"infra","operator":"Exists"}]"#,
        &[],
        "key: infra",
    ),
    Row(
        "affinity",
        r#"{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[]}}"#,
        &[],
        "podAntiAffinity:",
    ),
    Row(
        "topologySpreadConstraints",
        r#"[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway"}]"#,
        &[],
        "topologyKey: zone",
    ),
    Row(
        "priorityClassName",
        r#""system-cluster-critical""#,
        &[],
        "priorityClassName: \"system-cluster-critical\"",
    ),
    Row("dnsPolicy", r#""Default""#, &[], "dnsPolicy: Default"),
    Row(
        "dnsConfig",
        r#"{"options":[{"name":"ndots","value":"2"}]}"#,
        &[],
        "name: ndots",
    ),
    Row(
        "hostAliases",
        r#"[{"ip":"10.9.9.9","hostnames":["id.test"]}]"#,
        &[],
        "id.test",
    ),
    Row(
        "extraArgs",
        r#"["--metrics-max-age=5s"]"#,
        &[],
        "\"--metrics-max-age=5s\"",
    ),
    Row("extraEnv", r#"[{"name":"EXTRA","value":"1"}]"#, &[], "name: EXTRA"),
    Row("extraEnvFrom", r#"[{"secretRef":{"name":"proxy"}}]"#, &[], "envFrom:"),
    Row("extraVolumes", r#"[{"name":"ca","emptyDir":{}}]"#, &[], "volumes:"),
    Row(
        "extraVolumeMounts",
        r#"[{"name":"ca","mountPath":"/ca"}]"#,
        &[r#"extraVolumes=[{"name":"ca","emptyDir":{}}]"#],
        "mountPath: /ca",
    ),
];

/// The value with templates of its own.
pub(super) const EXTRA_OBJECTS: Row = Row(
    "extraObjects",
    r#"[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-extra","namespace":"{{ .Release.Namespace }}"}}]"#,
    &[],
    "oidc-operator-extra",
);

/// Values whose default would contradict another row, so that they are not part of the rendering with all values.
pub(super) const ALONE: [&str; 7] = [
    "crds.install", // nothing else could be applied
    "rbac.create",
    "serviceAccount.create",
    "leaderElection.enabled", // not with several replicas
    "metrics.service.create", // a ServiceMonitor needs it
    "namespaceOverride",      // the namespace does not exist
    "commonLabels",           // applied in a rendering of its own
];

/// Kinds of the Prometheus Operator, which is not installed here.
pub(super) const NOT_SERVED: [&str; 3] = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

/// Values that a release on the node of the tests cannot have, with the reason.
pub(super) const NOT_ON_A_NODE: &[(&str, &str)] = &[
    ("image.registry", "it is the registry of the tests"),
    ("image.repository", "there is one image"),
    ("image.tag", "there is one tag"),
    ("image.digest", "there is one image"),
    ("nameOverride", "selectors are immutable"),
    ("fullnameOverride", "it makes another release"),
    ("namespaceOverride", "the namespace does not exist"),
    ("crds.install", "Helm would take the kinds away"),
    ("rbac.create", "no pod would become ready"),
    ("serviceAccount.create", "the roles would be those of `default`"),
    ("clusterId", "it must never change"),
    ("leaderElection.enabled", "not with several replicas"),
    ("metrics.service.create", "a ServiceMonitor needs it"),
    ("metrics.serviceMonitor.enabled", "the kind is not served"),
    ("metrics.podMonitor.enabled", "the kind is not served"),
    ("prometheusRule.enabled", "the kind is not served"),
    ("nodeSelector", "the node has no such label"),
    ("dnsPolicy", "servers would not be found"),
    ("extraEnvFrom", "the Secret does not exist"),
    ("startupProbe", "a slow machine needs its time"),
];
