//! The verbs that look at an installation.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use oidc_operator::plugin::NOT_READY;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{MACHINE, Plugin};
use crate::bed::{Bed, OperatorOptions, Options, ServerOptions};

/// A bed of its own whose operator leads.
pub(super) fn options() -> Options {
    Options {
        operator: Some(OperatorOptions {
            leader_election: true,
            ..OperatorOptions::default()
        }),
        server: Some(ServerOptions::default()),
        ..Options::default()
    }
}

pub(super) async fn check_names_what_is_wrong(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    let text = plugin.succeeds(&space, &["check"]).await?;
    for line in [
        "ok     The Kubernetes API answers, version v".to_owned(),
        "ok     The clock of this machine is that of the Kubernetes API.".to_owned(),
        format!("ok     The CRDs are those of version {}.", env!("CARGO_PKG_VERSION")),
        format!(
            "ok     You may read and change the resources of namespace `{}`.",
            space.name()
        ),
        "ok     The operator `".to_owned(),
        "ok     AuthorizationServer default is ready.".to_owned(),
    ] {
        ensure!(
            text.lines().any(|found| found.starts_with(&line)),
            "no line `{line}` in {text}"
        );
    }
    ensure!(text.lines().count() == 6, "{text}");

    // A server that cannot be reached, and a CRD of another version.
    bed.create_server(
        "lost",
        json!({ "hydra": { "adminUrl": "http://127.0.0.1:1" }, "access": [] }),
    )
    .await?;
    bed.server_condition("lost", "Ready", "False", "").await?;
    let crds: Api<CustomResourceDefinition> = Api::all(bed.client());
    let name = "scopes.oidc-operator.dev";
    let mut stored = serde_json::to_value(crds.get(name).await?)?;
    let schema = &mut stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["description"] = json!("Of another version.");
    let change = json!({ "spec": { "versions": stored["spec"]["versions"] } });
    crds.patch(name, &PatchParams::default(), &Patch::Merge(change)).await?;
    let said = plugin.run(&space, &["check", "-o", "json"]).await?;
    ensure!(said.code == Some(NOT_READY.into()), "{:?} {}", said.code, said.err);
    let findings: Vec<Value> = serde_json::from_str(&said.out)?;
    let bad = findings.iter().filter(|found| found["verdict"] == "Bad");
    let bad: Vec<&str> = bad.filter_map(|found| found["message"].as_str()).collect();
    let [crd, server] = bad[..] else {
        anyhow::bail!("{findings:#?}")
    };
    ensure!(
        crd.contains("of this program: scopes.oidc-operator.dev. Apply crds/"),
        "{crd}"
    );
    ensure!(
        server.starts_with("AuthorizationServer lost is not ready: "),
        "{server}"
    );
    Ok(())
}

pub(super) async fn uninstall_check_names_what_would_be_left(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    space.ready_client("app", MACHINE).await?;
    let said = plugin.run(&space, &["uninstall-check"]).await?;
    ensure!(said.code == Some(NOT_READY.into()), "{:?} {}", said.code, said.err);
    ensure!(
        said.out.contains("Without the operator, Kubernetes cannot delete them"),
        "{}",
        said.out
    );
    let none = plugin
        .succeeds(&space, &["uninstall-check", "--server-class", "another"])
        .await?;
    ensure!(none.contains("you can uninstall it"), "{none}");
    Ok(())
}

pub(super) async fn completion_is_a_script_of_the_shell(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    let script = plugin.succeeds(&space, &["completion", "bash"]).await?;
    // Bash itself reads the script and completes a verb.
    let asked = "\nCOMP_WORDS=(kubectl-oidc uninst) COMP_CWORD=1; _kubectl__oidc kubectl-oidc uninst kubectl-oidc; echo \"${COMPREPLY[@]}\"\n";
    let mut bash = tokio::process::Command::new("bash")
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = bash.stdin.take().context("no input")?;
    input.write_all(format!("{script}{asked}").as_bytes()).await?;
    drop(input);
    let output = bash.wait_with_output().await?;
    let completed = String::from_utf8(output.stdout)?;
    ensure!(completed.trim() == "uninstall-check", "{completed}");
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        let script = plugin.succeeds(&space, &["completion", shell]).await?;
        ensure!(script.contains("uninstall-check"), "{shell}: {script}");
    }
    Ok(())
}
