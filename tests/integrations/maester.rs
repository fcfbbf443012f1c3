//! hydra-maester: a cluster moves in from it by the page alone, while it runs and while applications log in.

mod legacy;
mod objections;
mod page;
mod probe;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::{GROUP, OAuth2Client};
use serde_json::{Value, json};
use testbed::http;
use testbed::hydra::Hydra;
use testbed::maester::Maester;
use testbed::programs::Program;
use testbed::servers::Part;

use self::legacy::{CLIENTS, Legacy, NAMESPACES, STAYS};
use self::page::Page;
use self::probe::Probe;
use crate::stage::{LIMIT, Stage, story};

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    vec![story(
        "maester::a_cluster_moves_by_the_page_alone",
        None,
        &[Program::HydraMaester],
        a_cluster_moves_by_the_page_alone,
    )]
}

/// Clients in Hydra by id, without what changes with each write and without our mark.
type Registered = BTreeMap<String, Value>;
/// Secrets by namespace and name.
type Secrets = BTreeMap<String, Secret>;

async fn a_cluster_moves_by_the_page_alone() -> Result<()> {
    let stage = Stage::start(&[Part::Hydra2], &[], &[]).await?;
    let plane = &stage.servers.control_plane;
    let hydra = stage.servers.hydra2.as_ref().context("no Hydra")?;
    let maester = Maester::start(plane, hydra).await?;
    let told = play(&stage, hydra).await;
    told.with_context(|| format!("hydra-maester wrote:\n{}", maester.log_tail()))
}

async fn play(stage: &Stage, hydra: &Hydra) -> Result<()> {
    let server = format!(
        "apiVersion: oidc-operator.dev/v1alpha1\nkind: AuthorizationServer\nmetadata: {{ name: default }}\n\
         spec: {{ hydra: {{ adminUrl: {}, publicUrl: {} }}, resyncInterval: 5s }}\n",
        hydra.admin_url(),
        hydra.public_url()
    );
    stage.apply("default", &server).await?;
    let legacy = Legacy::make(stage, hydra).await?;
    let before = (registered(hydra).await?, secrets(stage).await?);
    let probe = Probe::start(hydra.public_url(), legacy.logins(&before.1)?);
    let page = Page::new(stage).await?;

    let plan = page.follow(1, 1).await?; // it exits with 1, because nothing is granted
    ensure!(plan.contains(&format!("{} skipped", CLIENTS + STAYS.len())), "{plan}");
    page.follow(2, 0).await?;
    let plan = page.follow(1, 1).await?;
    for (name, why) in STAYS {
        ensure!(
            plan.contains(name) && plan.contains(why),
            "{name}: no `{why}` in {plan}"
        );
    }
    ensure!(
        plan.contains(&format!("{CLIENTS} to move, {} skipped", STAYS.len())),
        "{plan}"
    );
    page.follow(3, 1).await?;
    let kept = page.read("clients.yaml")?;
    ensure!(
        kept.matches("kind: OAuth2Client\n").count() >= CLIENTS,
        "clients.yaml lacks some"
    );

    objections::a_client_that_is_not_as_its_resource_says(stage, hydra, &page, &before).await?;
    let before = objections::a_client_that_is_gone(stage, hydra, &page, before).await?;
    objections::a_move_that_has_only_begun(stage, hydra, &page).await?;
    let killed = page.killed_at_every_point(4).await?;
    let moved = page.follow(4, 1).await?;
    ensure!(moved.contains(&format!(" moved, {} left.", STAYS.len())), "{moved}");
    all_moved(stage, hydra, &before).await.context("after the move")?;
    let status = page.follow(5, 0).await?;
    ensure!(status.contains(", all well."), "{status}");
    nothing_more_is_written(stage, hydra, &page).await?;
    objections::an_annotation_that_leads_elsewhere(stage, hydra, &page).await?;
    objections::an_old_resource_that_is_refused(stage, &page).await?;

    let killed = killed + page.killed_on_the_way_back().await?;
    page.go_back().await?;
    legacy.is_back(stage).await?;
    let now = (registered(hydra).await?, secrets(stage).await?);
    same(&before, &now, |found| found).context("after the way back")?;
    page.follow(4, 1).await?;
    all_moved(stage, hydra, &before)
        .await
        .context("after the second move")?;
    page.clean_up().await?;

    let (logins, failed) = probe.end().await;
    ensure!(
        failed.is_empty(),
        "{} of {logins} logins failed: {:?}",
        failed.len(),
        failed.first()
    );
    eprintln!("maester: {CLIENTS} clients moved twice, {killed} kills, {logins} logins, none failed");
    Ok(())
}

async fn registered(hydra: &Hydra) -> Result<Registered> {
    let url = format!("{}/clients?page_size=500", hydra.prefixed_admin_url());
    let (status, found) = http::exchange(http::client().get(url), None, "the clients").await?;
    ensure!(status == 200, "{status}");
    let mut all = Registered::new();
    for mut client in found.as_array().context("no list")?.clone() {
        for changing in ["updated_at", "registration_access_token", "registration_client_uri"] {
            client.as_object_mut().context("no object")?.remove(changing);
        }
        if let Some(metadata) = client["metadata"].as_object_mut() {
            metadata.remove(GROUP);
        }
        if client["metadata"] == json!({}) {
            client["metadata"] = Value::Null;
        }
        all.insert(client["client_id"].as_str().context("no id")?.to_owned(), client);
    }
    Ok(all)
}

async fn secrets(stage: &Stage) -> Result<Secrets> {
    let mut all = Secrets::new();
    for namespace in NAMESPACES {
        let found: Api<Secret> = Api::namespaced(stage.client(), namespace);
        let found = found.list(&ListParams::default()).await?.items;
        all.extend(
            found
                .into_iter()
                .map(|secret| (format!("{namespace}/{}", secret.name_any()), secret)),
        );
    }
    Ok(all)
}

/// No client and no Secret of those before is lost, and none is another one.
fn same(before: &(Registered, Secrets), now: &(Registered, Secrets), part: impl Fn(&Value) -> &Value) -> Result<()> {
    for (id, client) in &before.0 {
        let found = now.0.get(id).with_context(|| format!("client {id} is lost"))?;
        ensure!(
            part(found) == part(client),
            "client {id} was {client:#} and is {found:#}"
        );
    }
    for (name, secret) in &before.1 {
        let found = now.1.get(name).with_context(|| format!("Secret {name} is lost"))?;
        ensure!(found.uid() == secret.uid(), "Secret {name} is another one");
        ensure!(found.data == secret.data, "Secret {name} has another content");
    }
    Ok(())
}

async fn all_moved(stage: &Stage, hydra: &Hydra, before: &(Registered, Secrets)) -> Result<()> {
    let now = (registered(hydra).await?, secrets(stage).await?);
    same(before, &now, |found| found)?;
    ensure!(now.0.len() == before.0.len(), "there are {} clients", now.0.len());
    let clients: Api<OAuth2Client> = Api::all(stage.client());
    let found = clients.list(&ListParams::default()).await?.items;
    ensure!(found.len() == CLIENTS, "{} OAuth2Clients", found.len());
    for client in &found {
        let status = client.status.clone().unwrap_or_default();
        let is_ready = status
            .conditions
            .iter()
            .any(|found| found.type_ == "Ready" && found.status == "True");
        ensure!(is_ready, "{}: {:?}", client.name_any(), status.conditions);
    }
    let left = legacy::api(&stage.client(), None)
        .list(&ListParams::default())
        .await?
        .items;
    let names: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
    ensure!(names.len() == STAYS.len(), "{names:?} are left");
    Ok(())
}

/// Two more sweeps and one more command change nothing, anywhere.
async fn nothing_more_is_written(stage: &Stage, hydra: &Hydra, page: &Page) -> Result<()> {
    let versions = async || -> Result<BTreeMap<String, Option<String>>> {
        let clients: Api<OAuth2Client> = Api::all(stage.client());
        let clients = clients.list(&ListParams::default()).await?.items;
        let clients = clients
            .into_iter()
            .map(|found| (format!("client {}", found.name_any()), found.resource_version()));
        let secrets = secrets(stage).await?.into_iter();
        Ok(clients
            .chain(secrets.map(|(name, found)| (name, found.resource_version())))
            .collect())
    };
    let url = format!("{}/clients?page_size=500", hydra.prefixed_admin_url());
    let on_server = async || http::exchange(http::client().get(&url), None, "the clients").await;
    let (before, clients) = (versions().await?, on_server().await?);
    swept_twice(stage).await?;
    let said = page.follow(4, 1).await?;
    ensure!(said.contains("0 moved"), "{said}");
    let now = versions().await?;
    if let Some((name, _)) = now.iter().find(|(name, version)| before.get(*name) != Some(*version)) {
        bail!("{name} was written");
    }
    ensure!(on_server().await? == clients, "a client was written");
    Ok(())
}

/// Waits for two more sweeps of the operator.
async fn swept_twice(stage: &Stage) -> Result<()> {
    let swept = async || -> Result<u64> {
        let metrics = http::client()
            .get(format!("{}/metrics", stage.operator_url))
            .send()
            .await?;
        let text = metrics.text().await?;
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix("oidc_operator_sweep_duration_seconds_count"));
        let count = count
            .and_then(|line| line.rsplit(' ').next())
            .context("no count of sweeps")?;
        Ok(count.parse::<f64>()? as u64)
    };
    let before = swept().await?;
    testbed::wait::until("two sweeps", LIMIT, async || {
        Ok((swept().await? >= before + 2).then_some(()))
    })
    .await
}
