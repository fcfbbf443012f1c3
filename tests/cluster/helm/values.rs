//! Every value of the chart: what it changes, and that the kube-apiserver accepts the result.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use oidc_operator::cli::{Cli, Command};
use oidc_operator::prerequisites;
use serde_json::Value;
use testbed::install;
use testbed::process;
use testbed::programs::Program;

use crate::bed::Bed;
use crate::closing::rbac::{Grant, grants};

/// A value, what it is set to (JSON), other settings that it needs, and a text that only then is in the rendering.
struct Row(&'static str, &'static str, &'static [&'static str], &'static str);

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
const ROWS: &[Row] = &[
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
const EXTRA_OBJECTS: Row = Row(
    "extraObjects",
    r#"[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-extra","namespace":"{{ .Release.Namespace }}"}}]"#,
    &[],
    "oidc-operator-extra",
);
/// Values whose default would contradict another row, so that they are not part of the rendering with all values.
const ALONE: [&str; 7] = [
    "crds.install", // nothing else could be applied
    "rbac.create",
    "serviceAccount.create",
    "leaderElection.enabled", // not with several replicas
    "metrics.service.create", // a ServiceMonitor needs it
    "namespaceOverride",      // the namespace does not exist
    "commonLabels",           // applied in a rendering of its own
];
/// Kinds of the Prometheus Operator, which is not installed here.
const NOT_SERVED: [&str; 3] = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

/// Values that a release on the node of the tests cannot have, with the reason.
const NOT_ON_A_NODE: &[(&str, &str)] = &[
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

/// Flags of Helm that change every value that a release on a node can have.
pub fn on_a_node() -> Vec<String> {
    let rows = ROWS.iter().chain([&EXTRA_OBJECTS]);
    let possible = rows.filter(|row| !NOT_ON_A_NODE.iter().any(|(value, _)| *value == row.0));
    possible
        .map(|Row(value, to, _, _)| format!("--set-json '{value}={to}'"))
        .collect()
}

pub(super) async fn every_value_changes_what_it_says(bed: &Bed) -> Result<()> {
    let rows: Vec<&Row> = ROWS.iter().chain([&EXTRA_OBJECTS]).collect();
    let listed: BTreeSet<String> = rows.iter().map(|row| row.0.to_owned()).collect();
    ensure!(listed.len() == rows.len(), "a value has two rows");
    ensure!(
        listed == leaves()?,
        "rows and values differ: {:?}",
        listed.symmetric_difference(&leaves()?)
    );

    let default = render(&[]).await?;
    for Row(value, to, needed, text) in &rows {
        let base = render(needed).await?;
        let setting = format!("{value}={to}");
        let changed = render(&[needed, &[setting.as_str()][..]].concat()).await?;
        ensure!(changed != base, "{value} changes nothing");
        ensure!(
            changed.contains(text) && (text.is_empty() || !base.contains(text)),
            "{setting}: no `{text}`"
        );
    }
    let all: Vec<String> = rows
        .iter()
        .filter(|row| !ALONE.contains(&row.0))
        .map(|Row(value, to, _, _)| format!("{value}={to}"))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    accepts(bed, &default).await.context("the defaults")?;
    accepts(bed, &render(&all).await?).await.context("all values")?;
    for row in rows
        .iter()
        .filter(|row| ALONE.contains(&row.0) && row.0 != "namespaceOverride")
    {
        let setting = format!("{}={}", row.0, row.1);
        accepts(bed, &render(&[&setting]).await?).await.context(setting)?;
    }
    Ok(())
}

/// A probe has one handler only: Kubernetes refuses two.
pub(super) async fn a_probe_may_have_another_handler(bed: &Bed) -> Result<()> {
    for handler in [
        r#"{"exec":{"command":["/oidc-operator","--version"]}}"#,
        r#"{"tcpSocket":{"port":8080}}"#,
        r#"{"httpGet":{"path":"/metrics"}}"#,
    ] {
        let settings = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| format!("{probe}={handler}"));
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        accepts(bed, &render(&settings).await?).await.context(handler)?;
    }
    Ok(())
}

/// What the operator asks for before it is ready is what the chart grants: nothing is missing, and nothing is too much.
pub(super) async fn the_roles_grant_what_the_operator_needs(_bed: &Bed) -> Result<()> {
    for settings in [
        &[][..],
        &["leaderElection.enabled=false"],
        &["rbac.secrets.watch=false"],
        &[r#"watchNamespaces=["a","b"]"#],
        &[
            r#"watchNamespaces=["a","oidc-system"]"#,
            r#"leaderElection.namespace="here""#,
        ],
        &[
            r#"watchNamespaces=["a"]"#,
            "rbac.secrets.watch=false",
            r#"serverClass="edge""#,
        ],
    ] {
        let manifests = install::manifests(&render(settings).await?)?;
        let deployment = manifests.iter().find(|manifest| manifest["kind"] == "Deployment");
        let arguments = &deployment.context("no Deployment")?["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments: Vec<String> = serde_json::from_value(arguments.clone())?;
        let home = ["--namespace".to_owned(), install::NAMESPACE.to_owned()];
        let command = Cli::try_parse_from(["oidc-operator".to_owned()].into_iter().chain(arguments).chain(home))?;
        let Command::Run(run) = command.command else {
            anyhow::bail!("the Deployment runs something else");
        };
        let needed: BTreeSet<Grant> = prerequisites::needs(&run).iter().map(Grant::needed).collect();
        let granted = grants(&manifests, "oidc-operator")?;
        let differing: Vec<String> = needed.symmetric_difference(&granted).map(Grant::to_string).collect();
        ensure!(differing.is_empty(), "{settings:?}: {differing:#?}");
    }
    Ok(())
}

/// The commands that the chart prints after an installation.
pub(super) async fn the_notes_hold_what_the_api_accepts(bed: &Bed) -> Result<()> {
    for (settings, words) in [
        (
            &[][..],
            &[
                "works in all namespaces",
                "helm test oidc-operator -n oidc-system",
                "-n default",
            ][..],
        ),
        (
            &[r#"watchNamespaces=["team-a"]"#, r#"serverClass="edge""#],
            &[
                "works in the namespaces team-a, on AuthorizationServers with serverClass: edge",
                "-n team-a",
            ],
        ),
        (&["rbac.create=false"], &["WARNING: rbac.create"]),
        (&["crds.keep=false"], &["WARNING: crds.keep"]),
        (&["leaderElection.enabled=false"], &["WARNING: leaderElection.enabled"]),
        (
            &[
                "networkPolicy.enabled=true",
                r#"tracing.endpoint="http://collector.monitoring:4318""#,
            ],
            &["WARNING: networkPolicy.extraEgress"],
        ),
    ] {
        let notes = helm(&["install", "--dry-run=client"], settings).await?;
        let (_, notes) = notes.split_once("NOTES:").context("no notes")?;
        for word in words {
            ensure!(notes.contains(word), "{settings:?}: no `{word}` in {notes}");
        }
        let blocks: Vec<&str> = notes
            .split("<<EOF\n")
            .skip(1)
            .filter_map(|rest| rest.split("  EOF").next())
            .collect();
        ensure!(blocks.len() == 4, "{} blocks", blocks.len());
        for block in blocks {
            let namespace = block.contains("namespace: team-a").then_some("team-a");
            if let Some(namespace) = namespace {
                install::make_namespace(bed.plane(), namespace).await?;
            }
            let block = block.replace("{name: default}", "{name: of-the-notes}"); // the bed has a server of that name
            let valid = install::validate(bed.plane(), &block).await;
            valid.with_context(|| block.clone())?;
        }
    }
    Ok(())
}

pub(super) async fn a_mistyped_value_is_refused_by_name(_bed: &Bed) -> Result<()> {
    let wrong = [
        ("replicas=2", "replicas"),
        ("image.repo=x", "repo"),
        ("metrics.serviceMonitor.enable=true", "enable"),
        ("port=0", "port"),
        ("prometheusRule.alerts.OidcServerDown.enabled=false", "OidcServerDown"),
        ("prometheusRule.alerts.OidcConflict.after=\"1h\"", "after"),
        ("tracing.endpoint=\"collector:4317\"", "endpoint"),
        ("podDisruptionBudget.maxUnavailable=0", "maxUnavailable"),
        ("log.format=\"xml\"", "format"),
        ("networkPolicy.servers.cidrs=[\"10.1.2.0\"]", "cidrs"),
    ];
    for (setting, word) in wrong {
        let refused = render(&[setting]).await;
        let said = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(said.contains(word), "{setting}: {said}");
    }
    let contradictions = [
        (&["replicaCount=2", "leaderElection.enabled=false"][..], "replicaCount"),
        (
            &["metrics.serviceMonitor.enabled=true", "metrics.service.create=false"],
            "metrics.serviceMonitor",
        ),
        (&["login.serviceAccount.name=\"oidc-operator\""], "login.serviceAccount"),
    ];
    for (settings, word) in contradictions {
        let said = render(settings)
            .await
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        ensure!(said.contains(word), "{settings:?}: {said}");
    }
    Ok(())
}

/// Paths of all values: members of objects that the schema closes, and all other values as a whole.
fn leaves() -> Result<BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/oidc-operator/values.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut leaves = BTreeSet::new();
    collect("", &schema, &mut leaves);
    leaves.remove("global"); // defined by Helm
    Ok(leaves)
}

fn collect(at: &str, schema: &Value, leaves: &mut BTreeSet<String>) {
    for (key, of_key) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}{key}");
        match of_key["additionalProperties"] == Value::Bool(false) {
            true => collect(&format!("{path}."), of_key, leaves),
            false => drop(leaves.insert(path)),
        }
    }
}

/// Renders the chart with values in JSON.
async fn render(settings: &[&str]) -> Result<String> {
    helm(&["template"], settings).await
}

async fn helm(verb: &[&str], settings: &[&str]) -> Result<String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/oidc-operator");
    let mut helm = tokio::process::Command::new(Program::Helm.path().await?);
    helm.args(verb).arg("oidc-operator").arg(chart);
    helm.args(["--namespace", install::NAMESPACE]).kill_on_drop(true);
    for setting in settings {
        helm.args(["--set-json", setting]);
    }
    process::output(&format!("helm {}", verb[0]), helm).await
}

/// Has the kube-apiserver validate a rendering, without storing it.
async fn accepts(bed: &Bed, rendered: &str) -> Result<()> {
    let mut manifests = install::manifests(rendered)?;
    for pod in manifests.iter_mut().filter(|manifest| manifest["kind"] == "Pod") {
        pod["spec"]["serviceAccountName"] = "default".into(); // its own is not stored
    }
    let served = manifests
        .iter()
        .filter(|manifest| !NOT_SERVED.iter().any(|kind| manifest["kind"] == *kind));
    let served: Vec<String> = served.map(Value::to_string).collect();
    install::validate(bed.plane(), &served.join("\n---\n")).await
}
