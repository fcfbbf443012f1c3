//! Every value of the chart: what it changes, and that the kube-apiserver accepts the result.

mod rows;

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
use rows::{ALONE, EXTRA_OBJECTS, NOT_ON_A_NODE, NOT_SERVED, ROWS, Row};

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
