//! `managementPolicy: ObserveOnly`: what is on the server is compared and never written.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::{JsonWebKeySet, condition};
use serde_json::{Value, json};

use super::{brisk, until_swept};
use crate::bed::{Bed, Namespaced, Space, conditions, settled};
use crate::conditions::{Kstatus, check, kstatus};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(an_observed_client_is_compared_and_not_written),
        side.shared(an_observed_key_set_is_compared_and_not_written),
    ]
}

/// Whether a resource says this of its object: the reason of `Ready`, and the message of `DriftDetected` if it is there.
fn says<K: Namespaced>(found: &K, reason: &str, drift: Option<&str>) -> bool {
    let conditions = conditions(found);
    let ready = condition::find(&conditions, condition::READY);
    let detected = condition::find(&conditions, condition::DRIFT_DETECTED);
    ready.is_some_and(|ready| ready.reason == reason && ready.observed_generation == found.meta().generation)
        && detected.map(|detected| detected.message.as_str()) == drift
}

/// Sets `managementPolicy: ObserveOnly` for the client `app`, and waits until it is found as its spec wants it.
async fn observe(space: &Space<'_>) -> Result<()> {
    space
        .change("app", json!({ "spec": { "managementPolicy": "ObserveOnly" } }))
        .await?;
    space
        .wait_client("the same", "app", |found| says(found, "Available", None))
        .await?;
    Ok(())
}

async fn an_observed_client_is_compared_and_not_written(bed: &Bed) -> Result<()> {
    const DIFFERS: &str = "The client on the server differs from this spec in scopes, and the operator only observes it. Change one of the two, or set managementPolicy: Full.";
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let observed = |more: Value| {
        let mut spec = json!({ "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"],
            "scopes": ["read"], "managementPolicy": "ObserveOnly" });
        spec.as_object_mut()
            .into_iter()
            .for_each(|spec| spec.extend(more.as_object().cloned().unwrap_or_default()));
        spec.to_string()
    };
    // What does not exist is not made.
    space.apply_client("app", &observed(json!({}))).await?;
    space
        .wait_client("nothing there", "app", |found| says(found, "ObjectNotFound", None))
        .await?;
    let writes = |mark: u64| {
        let mut asked = server.about_clients(mark);
        asked.retain(|exchange| exchange.head.method != "GET");
        asked
    };
    ensure!(writes(0).is_empty(), "{:#?}", writes(0));
    ensure!(space.client("app").await?.finalizers().is_empty(), "it has a finalizer");
    ensure!(space.secret("app").await?.is_none(), "it has a Secret");
    space
        .change("app", json!({ "spec": { "managementPolicy": "Full" } }))
        .await?;
    space.wait_ready("app").await?;
    let (id, secret) = space.credentials("app").await?;

    // What differs is named and stays.
    observe(&space).await?;
    let mark = server.admin.journal().mark();
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    let client = space
        .wait_client("the difference", "app", |found| {
            says(found, "DriftDetected", Some(DIFFERS))
        })
        .await?;
    check(client.metadata.generation, &conditions(&client))?;
    ensure!(kstatus(&client) == Kstatus::Failed, "{:?}", client.status);
    let sweeps = server.admin.journal().mark();
    until_swept(&server, sweeps, 2).await?;
    ensure!(writes(mark).is_empty(), "{:#?}", writes(mark));
    ensure!(bed.registered(&id).await?["scope"] == "read admin", "it was corrected");
    bed.tamper(&id, |found| found["scope"] = json!("read")).await?;
    space
        .wait_client("the same again", "app", |found| says(found, "Available", None))
        .await?;
    space
        .change(
            "app",
            json!({ "spec": { "managementPolicy": "Full", "clientName": "App" } }),
        )
        .await?;
    space.wait_ready("app").await?;
    ensure!(
        space.credentials("app").await? == (id.clone(), secret.clone()),
        "the credentials have changed"
    );
    bed.token(&id, &secret, "read").await?;

    // The client outlives its resource.
    observe(&space).await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&id).await?.is_some(), "the client is gone");
    bed.unregister(&id).await?;

    // Of a client of others, only a resource that could adopt it learns what differs.
    let taken = format!("taken-in-{}", space.name());
    bed.register(json!({ "client_id": taken, "grant_types": ["client_credentials"], "scope": "admin" }))
        .await?;
    space
        .apply_client("other", &observed(json!({ "clientId": taken })))
        .await?;
    space
        .wait_client("whose it is", "other", |found| says(found, "NotOwned", None))
        .await?;
    bed.unregister(&taken).await
}

async fn an_observed_key_set_is_compared_and_not_written(bed: &Bed) -> Result<()> {
    const DIFFERS: &str = "The key set on the server differs from this spec in keys, and the operator only observes it. Change one of the two, or set managementPolicy: Full.";
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name }, "generate": { "algorithm": "ES256" },
        "managementPolicy": "ObserveOnly" });
    space.make::<JsonWebKeySet>("keys", &spec.to_string()).await?;
    let nothing = |found: &JsonWebKeySet| says(found, "ObjectNotFound", None);
    let set = space.until("nothing there", "keys", nothing).await?;
    ensure!(set.finalizers().is_empty(), "{:?}", set.finalizers());
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "managementPolicy": "Full" }))
        .await?;
    let set: JsonWebKeySet = space.until_ready("keys").await?;
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "managementPolicy": "ObserveOnly" }))
        .await?;
    let same = |found: &JsonWebKeySet| says(found, "Available", None);
    space.until("the same", "keys", same).await?;
    let admin = bed.admin().await?;
    let name = set.uid().unwrap_or_default();
    let found = settled("the set", async || admin.get_key_set(&name).await).await?;
    let kid = found.and_then(|found| Some(found.keys.first()?.public.kid.clone()));
    let kid = kid.context("no key")?;
    settled("a deletion", async || admin.delete_key(&name, &kid).await).await?;
    let differs =
        |found: &JsonWebKeySet| says(found, "DriftDetected", Some(DIFFERS)) || says(found, "ObjectNotFound", None);
    space.until("the difference", "keys", differs).await?;
    Ok(())
}
