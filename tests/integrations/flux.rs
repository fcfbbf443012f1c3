//! Flux: its own controllers apply a repository with all kinds.

mod delivery;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use testbed::install::{self, NAMESPACE};
use testbed::programs::Program;
use testbed::servers::Servers;
use testbed::{http, wait};

use self::delivery::Delivery;
use crate::kinds::{self, ON_HYDRA, ON_VAULT, TEAM, all_ready, api, condition, is_true, until};
use crate::stage::{LIMIT, Stage, story};

/// A file in the repository, and its text.
type File = (&'static str, String);

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    let programs = &[Program::SourceController, Program::KustomizeController];
    vec![story(
        "flux::a_repository_with_all_kinds_converges_and_is_pruned",
        None,
        programs,
        a_repository_with_all_kinds_converges_and_is_pruned,
    )]
}

async fn a_repository_with_all_kinds_converges_and_is_pruned() -> Result<()> {
    let stage = kinds::stage().await?;
    let delivery = Delivery::start(&stage).await?;
    let files = files(&stage).await?;
    let told = play(&stage, &delivery, &files).await;
    told.with_context(|| delivery.log_tail())
}

async fn play(stage: &Stage, delivery: &Delivery, files: &[File]) -> Result<()> {
    delivery.applied("every kind, in the wrong order", files).await?;
    all_ready(&stage.client()).await?;
    nothing_changes(stage, delivery)
        .await
        .context("another reconciliation")?;
    refused_by_the_api(delivery, files)
        .await
        .context("a spec that Kubernetes refuses")?;
    refused_by_the_server(stage, delivery, files)
        .await
        .context("a spec that Hydra refuses")?;
    delivery.applied("what was there before", files).await?;
    all_ready(&stage.client()).await?;
    suspended_from_the_start(stage, delivery, files)
        .await
        .context("a suspended resource")?;
    let last: Vec<File> = files
        .iter()
        .filter(|(name, _)| name.contains("namespace"))
        .cloned()
        .collect();
    delivery.applied("nothing but the namespace", &last).await?;
    nothing_is_left(stage).await.context("after the prune")
}

/// The clients are in the first file, and what they need in the last.
async fn files(stage: &Stage) -> Result<Vec<File>> {
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {TEAM} }}\n");
    Ok(vec![
        ("identity/1-team.yaml", format!("{ON_HYDRA}---\n{ON_VAULT}")),
        ("identity/2-servers.yaml", kinds::platform(&stage.servers).await?),
        ("identity/3-namespace.yaml", namespace),
    ])
}

/// The files with one more.
fn with(files: &[File], name: &'static str, text: &str) -> Vec<File> {
    files.iter().cloned().chain([(name, text.to_owned())]).collect()
}

/// Two more reconciliations of the same commit write nothing to any resource, Secret or ConfigMap.
async fn nothing_changes(stage: &Stage, delivery: &Delivery) -> Result<()> {
    for (name, count) in [("hydra", 6), ("vault", 5)] {
        let server = ("AuthorizationServer", name);
        until(&stage.client(), server, "to count its resources", |found| {
            found["status"]["resources"] == count
        })
        .await?;
    }
    let (versions, inventory) = (versions(stage).await?, delivery.inventory().await?);
    ensure!(
        inventory.as_array().is_some_and(|entries| entries.len() == 15),
        "{inventory:#}"
    );
    for _ in 0..2 {
        delivery.reconcile().await?;
        ensure!(self::versions(stage).await? == versions, "a resource was written");
        ensure!(delivery.inventory().await? == inventory, "the inventory is another");
    }
    Ok(())
}

/// resourceVersion of every resource of the operator, and of what it wrote for them.
async fn versions(stage: &Stage) -> Result<BTreeMap<String, Option<String>>> {
    let mut versions = BTreeMap::new();
    for (kind, name) in kinds::all() {
        let found = api(stage.client(), kind)?.get(name).await?;
        versions.insert(format!("{kind} {name}"), found.resource_version());
    }
    for secret in secrets(stage, TEAM).await? {
        versions.insert(format!("Secret {}", secret.name_any()), secret.resource_version());
    }
    Ok(versions)
}

async fn secrets(stage: &Stage, namespace: &str) -> Result<Vec<Secret>> {
    let secrets: Api<Secret> = Api::namespaced(stage.client(), namespace);
    Ok(secrets.list(&ListParams::default()).await?.items)
}

/// Flux quotes what the custom resource definitions say.
async fn refused_by_the_api(delivery: &Delivery, files: &[File]) -> Result<()> {
    let more = "\
apiVersion: oidc-operator.dev/v1alpha1
kind: OAuth2Client
metadata: { name: fragment, namespace: team-shop }
spec:
  serverRef: { name: hydra }
  redirectUris: ['https://shop.example.com/callback#top']
";
    let message = delivery
        .failed("a fragment", &with(files, "identity/4-more.yaml", more))
        .await?;
    ensure!(
        message.contains("redirectUris: a redirect URI must not have a fragment"),
        "{message}"
    );
    Ok(())
}

/// Flux names the resource without a wait for its timeout; the resource says why.
async fn refused_by_the_server(stage: &Stage, delivery: &Delivery, files: &[File]) -> Result<()> {
    let more = "\
apiVersion: oidc-operator.dev/v1alpha1
kind: OAuth2Client
metadata: { name: refused, namespace: team-shop }
spec:
  serverRef: { name: hydra }
  redirectUris: [https://shop.example.com/callback]
  postLogoutRedirectUris: [https://elsewhere.example.org/]
";
    let message = delivery
        .failed("elsewhere", &with(files, "identity/4-more.yaml", more))
        .await?;
    ensure!(
        message.contains("OAuth2Client/team-shop/refused status: 'Failed'"),
        "{message}"
    );
    let client = stage.client();
    let refused = until(&client, ("OAuth2Client", "refused"), "to be refused", |found| {
        is_true(found, "Stalled")
    });
    let refused = refused.await?;
    let (_, said) = condition(&refused, "Stalled").context("no Stalled")?;
    ensure!(said.contains("does not accept postLogoutRedirectUris"), "{said}");
    Ok(())
}

/// A suspended resource of each namespaced kind does not hold the wait of Flux.
async fn suspended_from_the_start(stage: &Stage, delivery: &Delivery, files: &[File]) -> Result<()> {
    let mut documents = Vec::new();
    let mut names = Vec::new();
    for mut document in install::manifests(ON_VAULT)? {
        let name = format!("later-{}", document["metadata"]["name"].as_str().unwrap_or_default());
        document["metadata"]["name"] = json!(name);
        document["spec"]["suspend"] = json!(true);
        names.push((document["kind"].as_str().unwrap_or_default().to_owned(), name));
        documents.push(serde_saphyr::to_string(&document)?);
    }
    let files = with(files, "identity/4-more.yaml", &documents.join("---\n"));
    delivery.applied("suspended resources", &files).await?;
    for (kind, name) in &names {
        until(
            &stage.client(),
            (kind.as_str(), name.as_str()),
            "to be suspended",
            |found| is_true(found, "Suspended"),
        )
        .await?;
    }
    Ok(())
}

/// Secret, AuthorizationServers and their resources went in one commit: all are gone, also on the servers.
async fn nothing_is_left(stage: &Stage) -> Result<()> {
    for kind in [
        "OAuth2Client",
        "JsonWebKeySet",
        "OidcProvider",
        "Scope",
        "Assignment",
        "AuthorizationServer",
    ] {
        let api = api(stage.client(), kind)?;
        let mut last = Vec::new();
        let gone = wait::until(&format!("every {kind} to be gone"), LIMIT, async || {
            last = api.list(&ListParams::default()).await?.items;
            Ok(last.is_empty().then_some(()))
        })
        .await;
        gone.with_context(|| format!("{:?}", last.iter().map(|object| &object.data).collect::<Vec<_>>()))?;
    }
    let login = secrets(stage, NAMESPACE).await?;
    ensure!(login.iter().all(|secret| secret.name_any() != "vault-token"));
    let left = secrets(stage, TEAM).await?;
    ensure!(
        left.is_empty(),
        "{:?}",
        left.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );
    on_the_servers(&stage.servers).await
}

async fn on_the_servers(servers: &Servers) -> Result<()> {
    let hydra = servers.hydra2.as_ref().context("no Hydra")?;
    let clients = format!("{}/clients", hydra.prefixed_admin_url());
    let clients: Value = serde_json::from_str(&http::client().get(clients).send().await?.text().await?)?;
    ensure!(clients == json!([]), "{clients}");
    let bao = servers.bao.as_ref().context("no OpenBao")?;
    for type_ in ["client", "provider", "key", "scope", "assignment"] {
        let (_, listed) = bao.call("LIST", &format!("identity/oidc/{type_}"), None).await?;
        ensure!(!listed.to_string().contains(TEAM), "{type_}: {listed}");
    }
    Ok(())
}
