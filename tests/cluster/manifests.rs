//! The manifests in `deploy`: rendered from the chart, and equal to what it renders with the same settings.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use testbed::install::{self, NAMESPACE};
use testbed::process;
use testbed::programs::Program;
use tokio::process::Command;
use tokio::runtime::Runtime;

use crate::bed::Bed;
use crate::run::{Side, pure};

/// Settings of the chart for manifests without Helm.
const PLAIN: &str = "crds.keep=false";
/// Settings of the overlay `namespaced`.
const NAMESPACED: &str = "watchNamespaces={team-a}";
/// Settings of the overlay `openshift`.
const OPENSHIFT: &str = "metrics.serviceMonitor.enabled=true";
/// Settings of the folder `monitoring`.
const MONITORING: &[&str] = &[
    "metrics.podMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "dashboard.enabled=true",
];
/// What a Kubernetes without the Prometheus Operator does not serve.
const NOT_SERVED: [&str; 3] = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

/// The tests that need no bed.
pub fn files() -> Vec<Trial> {
    vec![
        pure("manifests::files_match_the_chart", || {
            Runtime::new()?.block_on(files_match_the_chart())
        }),
        pure("manifests::overlays_are_what_the_chart_renders", || {
            Runtime::new()?.block_on(overlays_are_what_the_chart_renders())
        }),
        pure("manifests::the_bundle_has_the_same_permissions", || {
            Runtime::new()?.block_on(the_bundle_has_the_same_permissions())
        }),
    ]
}

/// The tests that need a Kubernetes API.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(the_api_accepts_every_overlay),
        side.shared(the_api_accepts_every_example_of_the_documentation),
        side.shared(a_protected_object_is_not_deleted),
    ]
}

/// Files below `deploy`, and their texts.
async fn rendered() -> Result<Vec<(&'static str, String)>> {
    let head = "# Rendered from charts/oidc-operator by `make generate`.\n";
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": NAMESPACE, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    let namespace = serde_saphyr::to_string(&namespace)?;
    let only = async |template: &str, settings: &[&str]| render(settings, Some(template)).await;
    let roles = only("role", &[NAMESPACED]).await?;
    let of_overlay = |document: &&str| document.contains(":home\n") || document.contains("namespace: team-a\n");
    let roles: Vec<&str> = roles.split("---\n").filter(of_overlay).collect();
    Ok(vec![
        (
            "install.yaml",
            format!("{head}---\n{namespace}{}", render(&[PLAIN], None).await?),
        ),
        ("crds.yaml", format!("{head}{}", only("crds", &[PLAIN]).await?)),
        (
            "deletion-protection.yaml",
            format!(
                "{head}{}",
                only("deletionprotection", &["deletionProtection.enabled=true"]).await?
            ),
        ),
        (
            "overlays/namespaced/roles.yaml",
            format!("{head}---\n{}", roles.join("---\n")),
        ),
        (
            "overlays/openshift/servicemonitor.yaml",
            format!("{head}{}", only("servicemonitor", &[OPENSHIFT]).await?),
        ),
        (
            "monitoring/podmonitor.yaml",
            format!("{head}{}", only("podmonitor", MONITORING).await?),
        ),
        (
            "monitoring/prometheusrule.yaml",
            format!("{head}{}", only("prometheusrule", MONITORING).await?),
        ),
        (
            "monitoring/dashboard.yaml",
            format!("{head}{}", only("dashboard", MONITORING).await?),
        ),
        (
            "monitoring/alerts.yaml",
            groups(&only("prometheusrule", MONITORING).await?)?,
        ),
    ])
}

/// The rule groups of a PrometheusRule, as a Prometheus without the Prometheus Operator reads them.
fn groups(rule: &str) -> Result<String> {
    let (_, groups) = rule.split_once("\nspec:\n").context("no spec")?;
    let lines = groups.lines().map(|line| line.strip_prefix("  ").unwrap_or(line));
    let head = "# Rendered from charts/oidc-operator by `make generate`, for `rule_files` of Prometheus.\n";
    Ok(lines.fold(head.to_owned(), |text, line| text + line + "\n"))
}

async fn files_match_the_chart() -> Result<()> {
    for (name, text) in rendered().await? {
        let path = deploy().join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text)?;
        }
        let found = std::fs::read_to_string(&path).with_context(|| format!("reading {name}"))?;
        ensure!(
            found == text,
            "deploy/{name} differs from the chart; run `make generate`"
        );
    }
    Ok(())
}

async fn overlays_are_what_the_chart_renders() -> Result<()> {
    for (overlay, settings) in [
        ("base", &[PLAIN][..]),
        ("overlays/namespaced", &[PLAIN, NAMESPACED]),
        ("overlays/openshift", &[PLAIN, OPENSHIFT]),
    ] {
        let built = install::manifests(&kustomize(overlay).await?)?;
        let mut built: Vec<Value> = built
            .into_iter()
            .filter(|object| object["kind"] != "Namespace")
            .collect();
        let mut chart = install::manifests(&render(settings, None).await?)?;
        for objects in [&mut built, &mut chart] {
            objects.iter_mut().for_each(sort_arguments);
            objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]));
        }
        ensure!(
            built.len() == chart.len(),
            "{overlay}: {} objects, {} in the chart",
            built.len(),
            chart.len()
        );
        for (built, chart) in built.iter().zip(&chart) {
            ensure!(built == chart, "{overlay}: {built:#} instead of {chart:#}");
        }
    }
    Ok(())
}

/// The bundle for Operator Lifecycle Manager is assembled from the manifests.
async fn the_bundle_has_the_same_permissions() -> Result<()> {
    let mut olm = Command::new(deploy().join("olm.sh"));
    olm.current_dir(env!("CARGO_MANIFEST_DIR"));
    process::output("deploy/olm.sh", olm).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/olm/manifests");
    let version = std::fs::read_to_string(folder.join("oidc-operator.clusterserviceversion.yaml"))?;
    let version = install::manifests(&version)?.into_iter().next().context("no version")?;
    let install = install::manifests(&std::fs::read_to_string(deploy().join("install.yaml"))?)?;
    let object = |kind: &str, suffix: &str| {
        let is_it = |object: &&Value| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            object["kind"] == kind && name.ends_with(suffix)
        };
        install.iter().find(is_it).with_context(|| format!("no {kind}"))
    };
    let strategy = &version["spec"]["install"]["spec"];
    let rules = |list: &str| strategy[list][0]["rules"].clone();
    ensure!(rules("clusterPermissions") == object("ClusterRole", ":oidc-operator")?["rules"]);
    ensure!(rules("permissions") == object("Role", ":lease")?["rules"]);
    let image = |spec: &Value| spec["template"]["spec"]["containers"][0]["image"].clone();
    ensure!(image(&strategy["deployments"][0]["spec"]) == image(&object("Deployment", "oidc-operator")?["spec"]));
    let kinds = std::fs::read_dir(folder)?.flatten();
    let kinds = kinds.filter(|entry| entry.file_name().to_string_lossy().ends_with(".crd.yaml"));
    ensure!(kinds.count() == 6, "not six kinds");
    Ok(())
}

/// A patch adds an argument at the end.
fn sort_arguments(object: &mut Value) {
    let arguments = object.pointer_mut("/spec/template/spec/containers/0/args");
    if let Some(arguments) = arguments.and_then(Value::as_array_mut) {
        arguments.sort_by_key(Value::to_string);
    }
}

async fn the_api_accepts_every_overlay(bed: &Bed) -> Result<()> {
    install::make_namespace(bed.plane(), "team-a").await?;
    for overlay in ["base", "overlays/namespaced", "overlays/openshift", "monitoring"] {
        let served = install::manifests(&kustomize(overlay).await?)?.into_iter();
        let served: Vec<String> = served
            .filter(|object| !NOT_SERVED.iter().any(|kind| object["kind"] == *kind))
            .map(|object| object.to_string())
            .collect();
        let valid = install::validate(bed.plane(), &served.join("\n---\n")).await;
        valid.with_context(|| overlay.to_owned())?;
    }
    Ok(())
}

/// The manifests of our kinds in the README and in `docs`, with names of their own: several pages declare `default`.
fn examples() -> Result<Vec<(String, Value)>> {
    let mut pages = vec![install::repository().join("README.md")];
    let mut folders = vec![install::repository().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => pages.push(path),
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    for page in pages {
        for block in blocks(&std::fs::read_to_string(&page)?) {
            let documents: Vec<Value> = serde_saphyr::from_multiple(&block)?;
            let ours = |document: &Value| {
                let version = document["apiVersion"].as_str();
                version.is_some_and(|version| version.starts_with("oidc-operator.dev/"))
            };
            for mut document in documents.into_iter().filter(ours) {
                document["metadata"] = json!({ "name": format!("example-{}", found.len()) });
                if document["kind"] != "AuthorizationServer" {
                    document["metadata"]["namespace"] = json!("default");
                }
                found.push((page.display().to_string(), document));
            }
        }
    }
    Ok(found)
}

/// The blocks of YAML in a page, without the indentation of a list.
fn blocks(page: &str) -> Vec<String> {
    let (mut found, mut block) = (Vec::new(), None::<(usize, String)>);
    for line in page.lines() {
        let bare = line.trim_start();
        match &mut block {
            None if bare == "```yaml" => block = Some((line.len() - bare.len(), String::new())),
            Some(_) if bare == "```" => found.extend(block.take().map(|(_, text)| text)),
            Some((indentation, text)) => {
                *text += line.get(*indentation..).unwrap_or_default();
                text.push('\n');
            }
            None => {}
        }
    }
    found
}

async fn the_api_accepts_every_example_of_the_documentation(bed: &Bed) -> Result<()> {
    let examples = examples()?;
    ensure!(examples.len() > 20, "only {} examples were found", examples.len());
    let texts: Vec<String> = examples.iter().map(|(_, example)| example.to_string()).collect();
    if install::validate(bed.plane(), &texts.join("\n---\n")).await.is_ok() {
        return Ok(());
    }
    for ((page, _), text) in examples.iter().zip(&texts) {
        let valid = install::validate(bed.plane(), text).await;
        valid.with_context(|| format!("{page}: {text}"))?;
    }
    Ok(())
}

async fn a_protected_object_is_not_deleted(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    install::apply(
        bed.plane(),
        &std::fs::read_to_string(deploy().join("deletion-protection.yaml"))?,
    )
    .await?;
    let machine = "{ grantTypes: [client_credentials] }";
    for name in ["labelled", "annotated", "open"] {
        space.ready_client(name, machine).await?;
    }
    let mark = json!({ "oidc-operator.dev/deletion-protection": "true" });
    space
        .change("labelled", json!({ "metadata": { "labels": mark } }))
        .await?;
    space
        .change("annotated", json!({ "metadata": { "annotations": mark } }))
        .await?;
    // The kube-apiserver takes a moment until it enforces a policy.
    let refused = testbed::wait::until("the policy to be enforced", crate::bed::LIMIT, async || {
        let options = kube::api::DeleteParams {
            dry_run: true,
            ..Default::default()
        };
        Ok(space.clients().delete("labelled", &options).await.err())
    });
    let refused = refused.await?.to_string();
    ensure!(
        refused.contains("protected by oidc-operator.dev/deletion-protection"),
        "{refused}"
    );
    for name in ["labelled", "annotated"] {
        ensure!(
            space.clients().delete(name, &Default::default()).await.is_err(),
            "{name} was deleted"
        );
    }
    space.delete_and_wait("open").await?;
    let off = json!({ "oidc-operator.dev/deletion-protection": null });
    space
        .change("labelled", json!({ "metadata": { "labels": off } }))
        .await?;
    space
        .change("annotated", json!({ "metadata": { "annotations": off } }))
        .await?;
    space.delete_and_wait("labelled").await?;
    space.delete_and_wait("annotated").await?;
    Ok(())
}

fn deploy() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// Renders the chart, or one of its templates, without what only Helm needs.
async fn render(settings: &[&str], template: Option<&str>) -> Result<String> {
    let mut helm = Command::new(Program::Helm.path().await?);
    helm.args(["template", "oidc-operator", "charts/oidc-operator", "--skip-tests"]);
    helm.args(["--namespace", NAMESPACE])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    for setting in settings {
        helm.args(["--set", setting]);
    }
    if let Some(template) = template {
        helm.args(["--show-only", &format!("templates/{template}.yaml")]);
    }
    let text = process::output("helm template", helm).await?;
    let of_helm = ["# Source:", "app.kubernetes.io/managed-by: Helm", "helm.sh/chart:"];
    let mut lines = text.lines().filter(|line| {
        let line = line.trim();
        !line.is_empty() && !of_helm.iter().any(|part| line.starts_with(part))
    });
    Ok(lines.by_ref().fold(String::new(), |text, line| text + line + "\n"))
}

async fn kustomize(folder: &str) -> Result<String> {
    let mut kubectl = Command::new(Program::Kubectl.path().await?);
    kubectl.arg("kustomize").arg(deploy().join(folder));
    process::output("kubectl kustomize", kubectl).await
}
