//! The scripts for Argo CD: what its own repository would take, and the same in its ConfigMap.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::{path, read};

/// The scripts, in the layout of Argo CD's repository.
const SCRIPTS: &str = "deploy/argo-cd/resource_customizations/oidc-operator.dev";
/// The ConfigMap with all of them.
const CONFIG_MAP: &str = "deploy/argo-cd/argocd-cm.yaml";
/// What comes before the keys of the ConfigMap.
const HEAD: &str = "\
# Health and actions of the kinds of oidc-operator.dev in Argo CD, rendered from resource_customizations by `make generate`.
# This adds the keys to the ConfigMap of Argo CD and leaves all other keys as they are:
# kubectl apply --server-side --field-manager oidc-operator-customizations -n argocd -f deploy/argo-cd/argocd-cm.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  labels:
    app.kubernetes.io/name: argocd-cm
    app.kubernetes.io/part-of: argocd
data:
";

#[test]
fn the_config_map_has_the_scripts_of_every_kind() -> Result<()> {
    let mut text = HEAD.to_owned();
    for kind in kinds() {
        let health = read(&format!("{SCRIPTS}/{kind}/health.lua"))?;
        text += &format!("  resource.customizations.health.oidc-operator.dev_{kind}: |\n");
        text += &indented(&health, 4);
        text += &format!("  resource.customizations.actions.oidc-operator.dev_{kind}: |\n    discovery.lua: |\n");
        text += &indented(&read(&format!("{SCRIPTS}/{kind}/actions/discovery.lua"))?, 6);
        text += "    definitions:\n";
        for action in actions(&kind)? {
            text += &format!("    - name: {action}\n      action.lua: |\n");
            text += &indented(&read(&format!("{SCRIPTS}/{kind}/actions/{action}/action.lua"))?, 8);
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path(CONFIG_MAP), &text)?;
    }
    ensure!(
        read(CONFIG_MAP)? == text,
        "{CONFIG_MAP} differs from the scripts; run `make generate`"
    );
    Ok(())
}

/// All kinds report in the same way, so one script judges them all.
#[test]
fn every_kind_has_the_same_health_script_and_no_other_kind_has_one() -> Result<()> {
    let first = read(&format!("{SCRIPTS}/OAuth2Client/health.lua"))?;
    for kind in kinds() {
        ensure!(read(&format!("{SCRIPTS}/{kind}/health.lua"))? == first, "{kind}");
    }
    let found: BTreeSet<String> = folders(SCRIPTS)?.into_iter().collect();
    assert_eq!(found, kinds().into_iter().collect());
    Ok(())
}

fn kinds() -> Vec<String> {
    let mut kinds: Vec<String> = oidc_operator::api::crds()
        .into_iter()
        .map(|crd| crd.spec.names.kind)
        .collect();
    kinds.sort();
    kinds
}

/// Names of the actions of a kind, which are the folders with a script.
fn actions(kind: &str) -> Result<Vec<String>> {
    let mut names = folders(&format!("{SCRIPTS}/{kind}/actions"))?;
    names.retain(|name| name != "testdata");
    Ok(names)
}

fn folders(relative: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path(relative)).with_context(|| format!("reading {relative}"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A block of YAML; empty lines stay empty.
fn indented(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    text.lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("{pad}{line}\n"),
        })
        .collect()
}
