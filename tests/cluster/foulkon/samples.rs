//! The samples for three servers, applied as a user would: with an overlay for the user's own addresses.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use libtest_mimic::Trial;
use oidc_operator::api::{OAuth2Client, OidcProvider};
use serde_json::{Value, json};
use testbed::run_dir::RunDir;
use testbed::{Foulkon, install, wait};

use super::stage::clients;
use crate::bed::{Bed, LIMIT, Space, client_id_of};
use crate::run::Side;

/// Folder of the samples in the repository.
const SAMPLES: &str = "deploy/samples/trust";
/// The providers on Foulkon.
const PROVIDERS: [&str; 2] = ["trust-hydra", "trust-openbao"];

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(the_samples_establish_trust_and_follow_changes)]
}

async fn the_samples_establish_trust_and_follow_changes(bed: &Bed) -> Result<()> {
    let foulkon = Foulkon::start().await?;
    let space = bed.space().await?;
    let run = RunDir::new()?;
    let overlay = overlay(bed, &space, &foulkon, &run).await?;
    kubectl(bed, &["apply", "-k", &overlay]).await?;
    for provider in PROVIDERS {
        space.until_ready::<OidcProvider>(provider).await?;
    }
    let issuer = async |name: &str| -> Result<String> {
        let provider = space.all::<OidcProvider>().get(name).await?;
        provider.status.and_then(|status| status.issuer).context("no issuer")
    };
    let id = async |name: &str| client_id_of(&space.wait_ready(name).await?);
    let (shop, wiki) = (id("shop").await?, id("wiki").await?);
    listed(&foulkon, &space, &[&shop, &wiki]).await?;
    for (provider, issuer) in [
        ("trust-hydra", issuer("hydra").await?),
        ("trust-openbao", issuer("openbao").await?),
    ] {
        let entry = entry(&foulkon, &space, provider).await?.context("no entry")?;
        ensure!(entry["issuerUrl"] == issuer, "{entry}");
    }

    // Recreate each client, which gives it another id.
    for (name, other) in [("shop", &wiki), ("wiki", &id("shop").await?)] {
        space.delete_and_wait(name).await?;
        listed(&foulkon, &space, &[&id_of_other(&space, name).await?]).await?;
        kubectl(bed, &["apply", "-k", &overlay]).await?;
        let anew = id(name).await?;
        ensure!(anew != *other, "{name} has the other's id");
        listed(&foulkon, &space, &[&anew, &id_of_other(&space, name).await?]).await?;
    }
    for provider in PROVIDERS {
        space.until_ready::<OidcProvider>(provider).await?;
    }

    kubectl(bed, &["delete", "-k", &overlay, "--wait=true", "--timeout=60s"]).await?;
    let left = foulkon.providers().await?;
    let path = format!("/oidc-operator/{}/", space.name());
    let is_ours = |entry: &&Value| entry["path"].as_str().is_some_and(|entry| entry.starts_with(&path));
    ensure!(!left.iter().any(|entry| is_ours(&entry)), "{left:#?}");
    Ok(())
}

/// The id of the other client.
async fn id_of_other(space: &Space<'_>, name: &str) -> Result<String> {
    let other = if name == "shop" { "wiki" } else { "shop" };
    client_id_of(&space.all::<OAuth2Client>().get(other).await?)
}

async fn entry(foulkon: &Foulkon, space: &Space<'_>, provider: &str) -> Result<Option<Value>> {
    let path = format!("/{}--{provider}", space.name());
    let (status, entry) = foulkon.call("GET", &path, None).await?;
    Ok((status == 200).then_some(entry))
}

/// Waits until each provider lists these clients and no other.
async fn listed(foulkon: &Foulkon, space: &Space<'_>, ids: &[&str]) -> Result<()> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    for provider in PROVIDERS {
        let what = format!("{provider} to list {ids:?}");
        wait::until(&what, LIMIT, async || {
            let found = entry(foulkon, space, provider).await?;
            Ok(found.filter(|entry| clients(entry) == json!(ids)))
        })
        .await?;
    }
    Ok(())
}

/// An overlay of the samples with the addresses of the servers that run here. Returns its folder.
async fn overlay(bed: &Bed, space: &Space<'_>, foulkon: &Foulkon, run: &RunDir) -> Result<String> {
    let bao = bed.bao().await?.address();
    let (user, password) = foulkon.admin();
    bed.canary(password);
    let login: Secret = serde_json::from_value(json!({
        "metadata": { "name": "foulkon-admin" }, "stringData": { "username": user, "password": password },
    }))?;
    let secrets: Api<Secret> = Api::namespaced(bed.client(), install::NAMESPACE);
    secrets.create(&PostParams::default(), &login).await?;

    let from = install::repository().join(SAMPLES);
    let to = run.path().join("trust");
    fs::create_dir(&to)?;
    for file in fs::read_dir(&from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    let replace = |name: &str, values: Value| {
        let members = values.as_object().cloned().unwrap_or_default();
        let patch: Vec<Value> = members
            .into_iter()
            .map(|(path, value)| json!({ "op": "replace", "path": path, "value": value }))
            .collect();
        json!({
            "target": { "kind": "AuthorizationServer", "name": name },
            "patch": serde_json::to_string(&patch).unwrap_or_default(),
        })
    };
    let account = bed.installation().login_account();
    let kustomization = json!({
        "resources": ["../trust"],
        "namespace": space.name(),
        "patches": [
            replace("hydra", json!({
                "/spec/hydra/adminUrl": bed.admin_url(), "/spec/hydra/publicUrl": bed.public_url(),
            })),
            replace("openbao", json!({
                "/spec/vault/address": bao, "/spec/vault/auth/kubernetes/serviceAccount/name": account,
            })),
            replace("foulkon", json!({ "/spec/foulkon/workerUrl": foulkon.address() })),
        ],
    });
    let overlay = run.path().join("overlay");
    fs::create_dir(&overlay)?;
    fs::write(overlay.join("kustomization.yaml"), kustomization.to_string())?;
    overlay
        .into_os_string()
        .into_string()
        .ok()
        .context("a path that is not UTF-8")
}

async fn kubectl(bed: &Bed, arguments: &[&str]) -> Result<()> {
    let mut kubectl = bed.plane().kubectl();
    let output = kubectl.args(arguments).stdin(Stdio::null()).output().await?;
    ensure!(
        output.status.success(),
        "kubectl {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
