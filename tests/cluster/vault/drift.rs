//! The operator corrects external changes and deletions, and leaves foreign objects alone.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};
use testbed::proxy::{Action, Fault, RequestHead};

use super::stage::{NOBODY, REDIRECT, Stage};
use crate::bed::{Bed, LIMIT};
use crate::conditions::Tone::Stalled;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(external_changes_are_corrected),
        side.shared(deleted_objects_are_recreated),
        side.shared(a_lost_or_edited_secret_is_restored_from_the_server),
        side.shared(the_new_id_of_a_recreated_client_is_used_everywhere),
        side.shared(the_operator_gives_up_after_three_corrections),
        side.shared(a_change_between_our_write_and_our_look_is_corrected),
        side.shared(an_issuer_of_others_is_not_taken_for_the_servers_address),
        side.shared(foreign_objects_are_not_touched),
        side.shared(the_servers_own_objects_cannot_be_claimed),
    ]
}

/// Type, name, a change by another writer, and the field that shows its correction.
fn changes() -> [(&'static str, &'static str, Value, &'static str); 5] {
    [
        (
            "client",
            "app",
            json!({ "redirect_uris": ["https://evil.example.com/"] }),
            "redirect_uris",
        ),
        (
            "key",
            "signing",
            json!({ "allowed_client_ids": ["*"] }),
            "allowed_client_ids",
        ),
        (
            "provider",
            "main",
            json!({ "allowed_client_ids": [] }),
            "allowed_client_ids",
        ),
        ("scope", "groups", json!({ "template": "{}" }), "template"),
        ("assignment", "staff", json!({ "group_ids": [NOBODY] }), "group_ids"),
    ]
}

async fn external_changes_are_corrected(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.everything(NOBODY).await?;
    for (type_, name, change, field) in changes() {
        let before = stage.object(type_, name).await?;
        bed.write_object(&stage.path(type_, name), change).await?;
        let as_before = |now: &Value| *now == before;
        bed.until_object(&format!("its {field} as before"), &stage.path(type_, name), as_before)
            .await?;
        let note =
            |event: &k8s_openapi::api::events::v1::Event| event.note.as_ref().is_some_and(|note| note.contains(field));
        stage.space.wait_event(name, "DriftCorrected", note).await?;
    }
    stage.all_ready().await
}

/// The server's reply to a write does not show the object, so the operator reads it. What another writer makes of it
/// before that is not the server's own form of what was sent.
async fn a_change_between_our_write_and_our_look_is_corrected(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.everything(NOBODY).await?;
    for (type_, name, change, field) in changes() {
        let path = stage.path(type_, name);
        let before = stage.object(type_, name).await?;
        let url = format!("/v1/identity/oidc/{path}");
        let wrote = AtomicBool::new(false);
        let looks = move |head: &RequestHead| {
            let is_write = head.path() == url && head.method != "GET";
            wrote.fetch_or(is_write, Ordering::Relaxed) && head.is("GET", &url)
        };
        // Longer than the test waits: the look goes on when the fault ends.
        let look = stage
            .server
            .admin
            .inject(Fault::new(looks, Action::Delay(LIMIT * 2)).times(1));
        bed.write_object(&path, change.clone()).await?;
        testbed::wait::until("the look after the write", LIMIT, async || {
            Ok((look.struck() == 1).then_some(()))
        })
        .await?;
        bed.write_object(&path, change).await?;
        look.end();
        let as_before = |now: &Value| *now == before;
        bed.until_object(&format!("its {field} as before"), &path, as_before)
            .await?;
    }
    stage.all_ready().await
}

/// The server shows its own address as the issuer of a provider that has none, so both look alike.
async fn an_issuer_of_others_is_not_taken_for_the_servers_address(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    let before = stage.object("provider", "main").await?;
    let path = stage.path("provider", "main");
    bed.write_object(&path, json!({ "issuer": "https://evil.example.com" }))
        .await?;
    // A pass that has no reason to compare the object.
    let annotation = Patch::Merge(json!({ "metadata": { "annotations": { "oidc-operator.dev/any": "1" } } }));
    let providers = stage.space.all::<OidcProvider>();
    providers.patch("main", &PatchParams::default(), &annotation).await?;
    bed.until_object("its issuer as before", &path, |now| *now == before)
        .await?;
    let note =
        |event: &k8s_openapi::api::events::v1::Event| event.note.as_ref().is_some_and(|note| note.contains("(issuer)"));
    stage.space.wait_event("main", "DriftCorrected", note).await?;
    let provider: OidcProvider = stage.space.until_ready("main").await?;
    let status = provider.status.context("no status")?;
    ensure!(
        status.issuer.as_deref() == before["issuer"].as_str(),
        "{status:?} {before}"
    );
    Ok(())
}

async fn deleted_objects_are_recreated(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.everything(NOBODY).await?;
    // In the order in which the server allows deletion: the provider, then the client, then what they refer to.
    for (type_, name) in [
        ("provider", "main"),
        ("client", "app"),
        ("scope", "groups"),
        ("assignment", "staff"),
        ("key", "signing"),
    ] {
        let path = stage.path(type_, name);
        let before = stage.object(type_, name).await?;
        if bed.delete_object(&path).await.is_err() {
            continue; // the operator has already recreated an object that refers to it
        }
        let back = bed.until_object("anything", &path, |_| true).await?;
        if type_ != "client" {
            ensure!(
                without_ids(back.clone()) == without_ids(before.clone()),
                "{path} was {before} and is {back}"
            );
        }
    }
    stage.all_ready().await
}

fn without_ids(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.remove("allowed_client_ids");
    }
    object
}

async fn a_lost_or_edited_secret_is_restored_from_the_server(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.everything(NOBODY).await?;
    let before = stage.space.secret_data("app").await?;
    let mark = stage.server.admin.journal().mark();
    stage.space.delete_secret("app").await?;
    let is_back = |secret: &k8s_openapi::api::core::v1::Secret| crate::bed::text_of(secret) == before;
    stage.space.wait_secret("its data back", "app", is_back).await?;
    stage
        .space
        .edit_secret(
            "app",
            json!({ "CLIENT_SECRET": "not-that-one", "ISSUER": "https://evil.example.com" }),
        )
        .await?;
    stage.space.wait_secret("its data as before", "app", is_back).await?;
    ensure!(stage.writes(mark).is_empty(), "{:#?}", stage.writes(mark));
    stage.space.wait_ready("app").await?;
    Ok(())
}

async fn the_new_id_of_a_recreated_client_is_used_everywhere(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.everything(NOBODY).await?;
    let (old, _) = stage.space.credentials("app").await?;
    let path = stage.path("client", "app");
    bed.delete_object(&path).await?;
    let has_another = |client: &OAuth2Client| {
        let status = client.status.clone().unwrap_or_default();
        status.client_id.is_some_and(|id| id != old)
    };
    stage.space.wait_client("another id", "app", has_another).await?;
    let client = stage.space.wait_ready("app").await?;
    let (id, secret) = stage.space.credentials("app").await?;
    let object = bed.existing(&path).await?;
    ensure!(object["client_id"] == id.as_str() && object["client_secret"] == secret.as_str() && id != old);
    ensure!(client.status.is_some_and(|status| status.client_id == Some(id.clone())));
    for list in [stage.path("key", "signing"), stage.path("provider", "main")] {
        let only_new = |object: &Value| object["allowed_client_ids"] == json!([id]);
        bed.until_object("the new id alone", &list, only_new).await?;
    }
    stage.space.wait_event("app", "ClientReplaced", |_| true).await?;
    Ok(())
}

async fn the_operator_gives_up_after_three_corrections(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let scope: Scope = stage.ready("contested", json!({ "description": "ours" })).await?;
    let path = stage.path("scope", "contested");
    for number in 1..=3 {
        bed.write_object(&path, json!({ "description": "theirs" })).await?;
        bed.until_object(&format!("our description, correction {number}"), &path, |scope| {
            scope["description"] == "ours"
        })
        .await?;
    }
    bed.write_object(&path, json!({ "description": "theirs" })).await?;
    let message = oidc_operator::error::Error::Contested("description".to_owned()).to_string();
    stage
        .space
        .says::<Scope>("contested", Stalled, "Conflict", &message)
        .await?;
    stage.swept().await?;
    ensure!(bed.existing(&path).await?["description"] == "theirs");
    // After a change of the spec, the operator corrects it again.
    stage
        .space
        .respecify::<Scope>("contested", json!({ "description": "ours again" }))
        .await?;
    bed.until_object("our new description", &path, |scope| {
        scope["description"] == "ours again"
    })
    .await?;
    ensure!(scope.name_any() == "contested");
    Ok(())
}

async fn foreign_objects_are_not_touched(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let theirs = |type_: &str| stage.path(type_, "theirs");
    let made = [
        ("scope", json!({ "description": "theirs" })),
        ("assignment", json!({ "entity_ids": [NOBODY] })),
        ("key", json!({ "algorithm": "ES512" })),
        ("client", json!({ "redirect_uris": ["https://theirs.example.com/"] })),
        ("provider", json!({ "issuer": "https://theirs.example.com" })),
    ];
    for (type_, fields) in &made {
        bed.write_object(&theirs(type_), fields.clone()).await?;
    }
    let mut before = Vec::new();
    for (type_, _) in &made {
        before.push(bed.existing(&theirs(type_)).await?);
    }
    stage.make::<Scope>("theirs", json!({})).await?;
    stage
        .make::<Assignment>("theirs", json!({ "subjects": [NOBODY] }))
        .await?;
    stage
        .make::<JsonWebKeySet>("theirs", json!({ "generate": { "algorithm": "RS256" } }))
        .await?;
    stage
        .make::<OAuth2Client>("theirs", json!({ "redirectUris": [REDIRECT] }))
        .await?;
    stage
        .make::<OidcProvider>("theirs", json!({ "allowedClients": [{ "clientId": "*" }] }))
        .await?;
    let message = |type_: &str| {
        let name = format!("{}.theirs", stage.space.name());
        format!(
            "The {type_} `{name}` already exists on the server and does not belong to this resource; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.objectNames), or create a new resource with another name."
        )
    };
    let space = &stage.space;
    space
        .says::<Scope>("theirs", Stalled, "NotOwned", &message("scope"))
        .await?;
    space
        .says::<Assignment>("theirs", Stalled, "NotOwned", &message("assignment"))
        .await?;
    space
        .says::<JsonWebKeySet>("theirs", Stalled, "NotOwned", &message("key"))
        .await?;
    space
        .says::<OAuth2Client>("theirs", Stalled, "NotOwned", &message("client"))
        .await?;
    space
        .says::<OidcProvider>("theirs", Stalled, "NotOwned", &message("provider"))
        .await?;
    ensure!(
        space.secret("theirs").await?.is_none(),
        "a Secret for a foreign client exists"
    );
    // Deleting the resources does not delete the foreign objects.
    let gone = space.remove::<Scope>("theirs").await?;
    space.until_gone(&gone).await?;
    let gone = space.remove::<OAuth2Client>("theirs").await?;
    space.until_gone(&gone).await?;
    space.delete_namespace_and_wait().await?;
    for ((type_, _), before) in made.iter().zip(before) {
        let now = bed.existing(&theirs(type_)).await?;
        ensure!(now == before, "{type_} was {before} and is {now}");
    }
    Ok(())
}

async fn the_servers_own_objects_cannot_be_claimed(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    let mut before = Vec::new();
    for path in ["key/default", "provider/default", "assignment/allow_all"] {
        before.push((path, bed.existing(path).await?));
    }
    stage
        .make::<JsonWebKeySet>(
            "keys",
            json!({ "setName": "default", "generate": { "algorithm": "RS256" } }),
        )
        .await?;
    stage
        .make::<OidcProvider>("issuer", json!({ "vault": { "name": "default" } }))
        .await?;
    stage
        .make::<Assignment>("all", json!({ "vault": { "name": "allow_all" }, "subjects": [NOBODY] }))
        .await?;
    stage.make::<Scope>("base", json!({ "name": "openid" })).await?;
    let message = |field: &str, name: &str| {
        format!("{field}: the server reserves the name `{name}`. Create a new resource with another name.")
    };
    let own = |field: &str, type_: &str| {
        format!(
            "{field}: the {type_} `default` is the server's own and can only be adopted. Set adoption: Allow and ask the server's admin to list it in adopt.objectNames (a key also needs reservedKeySets: Allow), or create a new resource with another name."
        )
    };
    let space = &stage.space;
    space
        .says::<JsonWebKeySet>("keys", Stalled, "InvalidSpec", &own("setName", "key"))
        .await?;
    space
        .says::<OidcProvider>("issuer", Stalled, "InvalidSpec", &own("vault.name", "provider"))
        .await?;
    space
        .says::<Assignment>("all", Stalled, "InvalidSpec", &message("vault.name", "allow_all"))
        .await?;
    space
        .says::<Scope>("base", Stalled, "InvalidSpec", &message("name", "openid"))
        .await?;
    space.delete_namespace_and_wait().await?;
    for (path, before) in before {
        let now = bed.object(path).await?.with_context(|| format!("{path} is gone"))?;
        ensure!(now == before, "{path} was {before} and is {now}");
    }
    Ok(())
}
