//! What resources on a Vault tell of themselves: events for what was done, and the answer to a requested pass.

use anyhow::{Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::status::Standing;
use oidc_operator::api::{
    Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, RECONCILE_AT_ANNOTATION, ROTATE_AT_ANNOTATION, Scope,
};
use serde_json::{Value, json};

use super::stage::{NOBODY, Stage};
use crate::bed::{Bed, Namespaced, conditions};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_requested_pass_reads_each_object),
        side.shared(each_change_of_an_object_is_an_event),
        side.shared(observed_objects_are_compared_and_not_written),
    ]
}

async fn a_requested_pass_reads_each_object(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    reads::<OAuth2Client>(&stage, "app", "client").await?;
    reads::<OidcProvider>(&stage, "main", "provider").await?;
    reads::<JsonWebKeySet>(&stage, "signing", "key").await?;
    reads::<Scope>(&stage, "groups", "scope").await?;
    reads::<Assignment>(&stage, "staff", "assignment").await
}

/// The server is not compared meanwhile, so only the request makes the operator look.
async fn reads<K: Namespaced>(stage: &Stage<'_>, name: &str, type_: &str) -> Result<()> {
    let mark = stage.server.admin.journal().mark();
    annotate::<K>(stage, name, RECONCILE_AT_ANNOTATION, "now").await?;
    let answered = |found: &K| {
        let mut status = found.status().cloned().unwrap_or_default();
        status.records_mut().last_handled_reconcile_at.as_deref() == Some("now")
    };
    let found: K = stage.space.until("an answer", name, answered).await?;
    let path = format!("/v1/identity/oidc/{}", stage.path(type_, name));
    let about = stage.about(mark);
    let is_read = about
        .iter()
        .any(|exchange| exchange.head.method == "GET" && exchange.head.path() == path);
    ensure!(is_read, "{about:#?}");
    ensure!(stage.writes(mark).is_empty(), "{about:#?}");
    let mut status = found.status().cloned().unwrap_or_default();
    let records = status.records_mut();
    let server = records.server.and_then(|server| server.clone());
    ensure!(server.as_deref() == Some(&*stage.server.name), "{server:?}");
    ensure!(records.last_sync_time.is_some(), "{:?}", found.status());
    Ok(())
}

async fn annotate<K: Namespaced>(stage: &Stage<'_>, name: &str, key: &str, value: &str) -> Result<K> {
    let patch: Value = json!({ "metadata": { "annotations": { key: value } } });
    let api = stage.space.all::<K>();
    Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
}

async fn each_change_of_an_object_is_an_event(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let space = &stage.space;
    let told = async |name: &str, reason: &str, note: &str| {
        let says = |event: &Event| event.note.as_deref() == Some(note);
        space.wait_event(name, reason, says).await.map(drop)
    };
    stage.ready::<Scope>("groups", json!({ "description": "a" })).await?;
    told("groups", "Registered", "Registered the scope on the server.").await?;
    space
        .respecify::<Scope>("groups", json!({ "description": "b" }))
        .await?;
    told("groups", "Updated", "Updated description of the scope on the server.").await?;
    let scope = space.remove::<Scope>("groups").await?;
    told("groups", "Deleted", "Deleted the scope on the server.").await?;
    space.until_gone(&scope).await?;

    stage
        .ready::<JsonWebKeySet>(
            "signing",
            json!({ "generate": { "algorithm": "ES256" }, "deletionPolicy": "Orphan" }),
        )
        .await?;
    told("signing", "Registered", "Registered the key on the server.").await?;
    let now = jiff::Timestamp::now().to_string();
    annotate::<JsonWebKeySet>(&stage, "signing", ROTATE_AT_ANNOTATION, &now).await?;
    let note = "The server has made another key, which signs now, as rotate-at requested.";
    told("signing", "KeyRotated", note).await?;
    let set = space.remove::<JsonWebKeySet>("signing").await?;
    let note = "The key stays on the server, and this resource no longer manages it.";
    told("signing", "Released", note).await?;
    space.until_gone(&set).await?;
    bed.delete_object(&stage.path("key", "signing")).await
}

async fn observed_objects_are_compared_and_not_written(bed: &Bed) -> Result<()> {
    const DIFFERS: &str = "The scope on the server differs from this spec in description, and the operator only observes it. Change one of the two, or set managementPolicy: Full.";
    let stage = Stage::eager(bed).await?;
    let space = &stage.space;
    let spec = json!({ "description": "a", "managementPolicy": "ObserveOnly" });
    stage.make::<Scope>("groups", spec).await?;
    let is = |reason: &'static str| move |found: &Scope| says(found, reason);
    let scope = space.until("nothing there", "groups", is("ObjectNotFound")).await?;
    ensure!(scope.finalizers().is_empty(), "{:?}", scope.finalizers());
    // One that others made belongs to them.
    let path = stage.path("scope", "groups");
    bed.write_object(&path, json!({ "description": "b", "template": "{}" }))
        .await?;
    space.until("whose it is", "groups", is("NotOwned")).await?;
    bed.delete_object(&path).await?;
    space.until("nothing there", "groups", is("ObjectNotFound")).await?;
    let mark = stage.server.admin.journal().mark();
    let writes = |mark: u64| {
        let mut writes = stage.writes(mark);
        writes.retain(|exchange| exchange.head.path().contains("/scope/"));
        writes
    };
    ensure!(writes(0).is_empty(), "{:#?}", writes(0));
    space
        .respecify::<Scope>("groups", json!({ "managementPolicy": "Full" }))
        .await?;
    space.until_ready::<Scope>("groups").await?;
    ensure!(writes(mark).len() == 1, "{:#?}", writes(mark));
    space
        .respecify::<Scope>("groups", json!({ "managementPolicy": "ObserveOnly" }))
        .await?;
    space.until("the same", "groups", is("Available")).await?;
    bed.write_object(&path, json!({ "description": "b", "template": "{}" }))
        .await?;
    let scope = space.until("the difference", "groups", is("DriftDetected")).await?;
    let detected = conditions(&scope)
        .into_iter()
        .find(|found| found.type_ == "DriftDetected");
    ensure!(
        detected.is_some_and(|detected| detected.message == DIFFERS),
        "{:?}",
        scope.status
    );
    ensure!(writes(mark).len() == 1, "{:#?}", writes(mark));
    let scope = space.remove::<Scope>("groups").await?;
    space.until_gone(&scope).await?;
    ensure!(bed.object(&path).await?.is_some(), "the scope is gone");
    bed.delete_object(&path).await
}

fn says(found: &Scope, reason: &str) -> bool {
    let conditions = conditions(found);
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| ready.reason == reason && ready.observed_generation == found.metadata.generation)
}
