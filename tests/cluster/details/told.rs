//! What a resource tells of itself: events for what was done, times, and the answer to a requested pass.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use oidc_operator::api::oauth2_client::OAuth2ClientStatus;
use oidc_operator::api::{
    Assignment, AuthorizationServer, FLUX_REQUEST_ANNOTATION, JsonWebKeySet, OAuth2Client, OidcProvider,
    RECONCILE_AT_ANNOTATION, ROTATE_AT_ANNOTATION, Scope, condition,
};
use serde_json::json;
use testbed::wait;

use super::{brisk, machine_on, quiet, until_swept};
use crate::bed::{Bed, LIMIT, Namespaced, Server, Space, conditions, is_list, text_of};
use crate::conditions::{Kstatus, check, kstatus};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(each_new_request_is_one_full_pass),
        side.shared(a_request_to_a_server_compares_all_its_clients),
        side.shared(a_request_waits_while_a_resource_is_suspended),
        side.shared(a_status_names_server_sync_and_next_rotation),
        side.shared(no_tool_waits_for_a_resource_that_is_created_suspended),
        side.shared(each_change_of_a_client_is_an_event),
        side.shared(each_change_of_a_key_set_is_an_event),
    ]
}

fn status_of(client: &OAuth2Client) -> OAuth2ClientStatus {
    client.status.clone().unwrap_or_default()
}

/// Waits until the client has answered this request.
async fn answered(space: &Space<'_>, request: &str) -> Result<OAuth2Client> {
    let has = |client: &OAuth2Client| status_of(client).last_handled_reconcile_at.as_deref() == Some(request);
    space.wait_client(&format!("an answer to {request}"), "app", has).await
}

async fn each_new_request_is_one_full_pass(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server)).await?;
    let (id, _) = space.credentials("app").await?;
    let reads = |mark: u64| {
        let asked = server.about_clients(mark);
        (
            asked.iter().filter(|exchange| exchange.head.method == "GET").count(),
            asked.len(),
        )
    };
    // The server is not swept meanwhile, so only the request makes the operator look.
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    space.annotate("app", RECONCILE_AT_ANNOTATION, "1").await?;
    answered(&space, "1").await?;
    let found = bed.registered(&id).await?;
    ensure!(found["scope"] == "read", "{found}");
    space.wait_event("app", "DriftCorrected", |_| true).await?;

    let mark = server.admin.journal().mark();
    space.annotate("app", FLUX_REQUEST_ANNOTATION, "2").await?;
    let client = answered(&space, "1 2").await?;
    ensure!(reads(mark) == (1, 1), "{:#?}", server.about_clients(mark));
    for (name, value) in [(RECONCILE_AT_ANNOTATION, "1"), (FLUX_REQUEST_ANNOTATION, "2")] {
        ensure!(
            client.annotations().get(name).is_some_and(|kept| kept == value),
            "{name}"
        );
    }
    // What remains of two values is a new one. Without any, there is no request.
    let mark = server.admin.journal().mark();
    space
        .change(
            "app",
            json!({ "metadata": { "annotations": { RECONCILE_AT_ANNOTATION: null } } }),
        )
        .await?;
    answered(&space, "2").await?;
    let removed = reads(mark);
    space
        .change(
            "app",
            json!({ "metadata": { "annotations": { FLUX_REQUEST_ANNOTATION: null } } }),
        )
        .await?;
    space.delete_secret("app").await?;
    space.wait_secret("the Secret again", "app", |_| true).await?;
    ensure!(reads(mark) == removed, "{:#?}", server.about_clients(mark));
    Ok(())
}

async fn a_request_to_a_server_compares_all_its_clients(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server)).await?;
    let (id, _) = space.credentials("app").await?;
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    let mark = server.admin.journal().mark();
    request(bed, &server, "now").await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    let lists = server.admin.journal().since(mark);
    ensure!(lists.iter().any(|exchange| is_list(&exchange.head)), "{lists:#?}");
    bed.wait_server("an answer", &server.name, |found| {
        let status = found.status.clone().unwrap_or_default();
        status.last_handled_reconcile_at.as_deref() == Some("now")
    })
    .await?;
    Ok(())
}

async fn request(bed: &Bed, server: &Server, value: &str) -> Result<AuthorizationServer> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { RECONCILE_AT_ANNOTATION: value } } }));
    let api = bed.servers_api();
    Ok(api.patch(&server.name, &PatchParams::default(), &patch).await?)
}

async fn a_request_waits_while_a_resource_is_suspended(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    space.ready_client("app", &machine_on(&server)).await?;
    space.change("app", json!({ "spec": { "suspend": true } })).await?;
    space.wait_condition("app", "Suspended", "True", "").await?;
    let mark = server.admin.journal().mark();
    space.annotate("app", RECONCILE_AT_ANNOTATION, "later").await?;
    space.change("app", json!({ "spec": { "clientName": "App" } })).await?;
    let client = space.wait_condition("app", "Suspended", "True", "").await?;
    ensure!(
        status_of(&client).last_handled_reconcile_at.is_none(),
        "{:?}",
        client.status
    );
    ensure!(
        server.about_clients(mark).is_empty(),
        "{:#?}",
        server.about_clients(mark)
    );
    space.change("app", json!({ "spec": { "suspend": null } })).await?;
    answered(&space, "later").await?;
    Ok(())
}

async fn a_status_names_server_sync_and_next_rotation(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let begun = Timestamp::now() - SignedDuration::from_secs(1); // the status has whole seconds
    space.ready_client("app", &machine_on(&server)).await?;
    let mark = server.admin.journal().mark();
    until_swept(&server, mark, 2).await?;
    let first = space.client("app").await?;
    let status = status_of(&first);
    ensure!(status.server.as_deref() == Some(&*server.name), "{status:?}");
    ensure!(status.next_rotation_at.is_none(), "{status:?}");
    let synced = time(&status.last_sync_time)?;
    ensure!(synced >= begun && synced <= Timestamp::now(), "{status:?}");

    let rotation = json!({ "period": "1000h", "withoutOverlap": "Allow" });
    space.change("app", json!({ "spec": { "rotation": rotation } })).await?;
    let client = space.wait_ready("app").await?;
    let status = status_of(&client);
    let since = time(&status.rotated_at)?;
    let planned = time(&status.next_rotation_at)?;
    let late = planned.duration_since(since + SignedDuration::from_hours(1000));
    ensure!(late.abs() < SignedDuration::from_secs(2), "{status:?}");
    // It changes with the schedule, also if only the annotation changes.
    let soon = Timestamp::now() + SignedDuration::from_hours(2);
    space.annotate("app", ROTATE_AT_ANNOTATION, &soon.to_string()).await?;
    let is_sooner = |client: &OAuth2Client| {
        let next = time(&status_of(client).next_rotation_at).ok();
        next.is_some_and(|next| next.duration_since(soon).abs() < SignedDuration::from_secs(2))
    };
    space.wait_client("an earlier rotation", "app", is_sooner).await?;
    let none = json!({ "metadata": { "annotations": { ROTATE_AT_ANNOTATION: null } }, "spec": { "rotation": null } });
    space.change("app", none).await?;
    let is_none = |client: &OAuth2Client| status_of(client).next_rotation_at.is_none();
    space.wait_client("no next rotation", "app", is_none).await?;

    // A comparison changes nothing; a correction is a write.
    space.wait_ready("app").await?;
    let settled = space.client("app").await?;
    let mark = server.admin.journal().mark();
    until_swept(&server, mark, 2).await?;
    ensure!(
        space.client("app").await?.resource_version() == settled.resource_version(),
        "a sweep wrote the status"
    );
    let before = time(&status_of(&settled).last_sync_time)?;
    wait::until("another second", LIMIT, async || {
        Ok((Timestamp::now().as_second() > before.as_second()).then_some(()))
    })
    .await?;
    let (id, _) = space.credentials("app").await?;
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    let is_later = |client: &OAuth2Client| time(&status_of(client).last_sync_time).is_ok_and(|at| at > before);
    space.wait_client("a later sync", "app", is_later).await?;
    Ok(())
}

fn time(text: &Option<String>) -> Result<Timestamp> {
    Ok(text.as_deref().unwrap_or_default().parse()?)
}

async fn no_tool_waits_for_a_resource_that_is_created_suspended(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    goes_on::<OAuth2Client>(&space, "{ grantTypes: [client_credentials], suspend: true }").await?;
    goes_on::<Scope>(&space, "{ suspend: true }").await?;
    goes_on::<Assignment>(&space, "{ subjects: [a], suspend: true }").await?;
    goes_on::<JsonWebKeySet>(&space, "{ generate: { algorithm: ES256 }, suspend: true }").await?;
    goes_on::<OidcProvider>(&space, "{ suspend: true }").await?;
    // Nobody takes it as ready, and once it is resumed, tools wait for it.
    let client = space.client("app").await?;
    ensure!(
        !condition::is_true(&conditions(&client), "Ready"),
        "{:?}",
        client.status
    );
    space.change("app", json!({ "spec": { "suspend": null } })).await?;
    let resumed = space.wait_ready("app").await?;
    ensure!(kstatus(&resumed) == Kstatus::Current, "{:?}", resumed.status);
    Ok(())
}

async fn goes_on<K: Namespaced>(space: &Space<'_>, spec: &str) -> Result<()> {
    let made: K = space.make("app", spec).await?;
    ensure!(kstatus(&made) == Kstatus::InProgress, "{:?}", made.status());
    let found: K = space
        .until("a pass", "app", |found: &K| kstatus(found) != Kstatus::InProgress)
        .await?;
    ensure!(kstatus(&found) == Kstatus::Current, "{:?}", found.status());
    check(found.meta().generation, &conditions(&found))?;
    ensure!(found.finalizers().is_empty(), "{:?}", found.finalizers());
    Ok(())
}

/// The notes of all events about a resource, by reason.
async fn notes(bed: &Bed, space: &Space<'_>, name: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let events: Api<Event> = Api::namespaced(bed.client(), space.name());
    let mut notes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events.list(&ListParams::default()).await? {
        let regarding = event.regarding.clone().unwrap_or_default();
        if regarding.name.as_deref() == Some(name) {
            let reason = event.reason.unwrap_or_default();
            notes.entry(reason).or_default().push(event.note.unwrap_or_default());
        }
    }
    Ok(notes)
}

/// Waits for an event with exactly this note.
async fn told(space: &Space<'_>, name: &str, reason: &str, note: &str) -> Result<()> {
    let says = |event: &Event| event.note.as_deref() == Some(note);
    space.wait_event(name, reason, says).await.map(drop)
}

async fn each_change_of_a_client_is_an_event(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"],
        "rotation": { "withoutOverlap": "Allow" } });
    space.ready_client("app", &spec.to_string()).await?;
    told(&space, "app", "Registered", "Registered the client on the server.").await?;
    space
        .change("app", json!({ "spec": { "clientName": "App", "scopes": ["read"] } }))
        .await?;
    let note = "Updated clientName and scopes of the client on the server.";
    told(&space, "app", "Updated", note).await?;
    let (_, before) = space.credentials("app").await?;
    space
        .annotate("app", ROTATE_AT_ANNOTATION, &Timestamp::now().to_string())
        .await?;
    space
        .wait_secret("another secret", "app", |found| {
            text_of(found)["CLIENT_SECRET"] != before
        })
        .await?;
    space.wait_event("app", "SecretRotated", |_| true).await?;
    space.delete_secret("app").await?;
    let note = "Secret `app` was deleted, and the operator has written it again.";
    told(&space, "app", "SecretRestored", note).await?;
    space.edit_secret("app", json!({ "CLIENT_ID": "b3RoZXI=" })).await?;
    let note = "Secret `app` was changed, and the operator has written it again.";
    told(&space, "app", "SecretRestored", note).await?;
    space
        .change("app", json!({ "spec": { "credentials": { "secretName": "other" } } }))
        .await?;
    let note = "Secret `other` takes the place of Secret `app`, which is deleted.";
    told(&space, "app", "SecretRenamed", note).await?;
    let mark = server.admin.journal().mark();
    until_swept(&server, mark, 2).await?;
    let client = space.delete("app").await?;
    told(&space, "app", "Deleted", "Deleted the client on the server.").await?;
    space.wait_gone(&client).await?;
    let counts: BTreeMap<String, usize> = notes(bed, &space, "app")
        .await?
        .into_iter()
        .map(|(reason, notes)| (reason, notes.len()))
        .collect();
    let expected = [
        ("Registered", 1),
        ("Updated", 1),
        ("SecretRotated", 1),
        ("SecretRestored", 2),
        ("SecretRenamed", 1),
        ("Deleted", 1),
    ];
    let expected: BTreeMap<String, usize> = expected.map(|(reason, count)| (reason.to_owned(), count)).into();
    ensure!(counts == expected, "{:#?}", notes(bed, &space, "app").await?);

    let spec = json!({ "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"],
        "deletionPolicy": "Orphan" });
    let client = space.ready_client("left", &spec.to_string()).await?;
    space.delete_and_wait("left").await?;
    let note = "The client stays on the server, and this resource no longer manages it.";
    told(&space, "left", "Released", note).await?;
    bed.unregister(&client.uid().unwrap_or_default()).await
}

async fn each_change_of_a_key_set_is_an_event(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let spec = "{ generate: { algorithm: ES256 }, privateKey: {}, rotation: { period: 1000h, prePublish: 0s } }";
    let set: JsonWebKeySet = space.ready("keys", spec).await?;
    told(&space, "keys", "Registered", "Registered the key set on the server.").await?;
    let status = set.status.unwrap_or_default();
    let (since, planned) = (time(&status.rotated_at)?, time(&status.next_rotation_at)?);
    let late = planned.duration_since(since + SignedDuration::from_hours(1000));
    ensure!(late.abs() < SignedDuration::from_secs(2), "{status:?}");
    let patch = json!({ "metadata": { "annotations": { ROTATE_AT_ANNOTATION: Timestamp::now().to_string() } } });
    space
        .all::<JsonWebKeySet>()
        .patch("keys", &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    let note = "Another key signs now. Verifiers need the former one until the overlap is over.";
    told(&space, "keys", "KeyRotated", note).await?;
    space.delete_secret("keys").await?;
    let note = "Secret `keys` was deleted, and the operator has written it again.";
    told(&space, "keys", "SecretRestored", note).await?;
    let set: JsonWebKeySet = space.remove("keys").await?;
    told(&space, "keys", "Deleted", "Deleted the key set on the server.").await?;
    space.until_gone(&set).await?;
    let found: Vec<String> = notes(bed, &space, "keys").await?.into_keys().collect();
    ensure!(
        found == ["Deleted", "KeyRotated", "Registered", "SecretRestored"],
        "{found:?}"
    );
    Ok(())
}
