//! Changes and deletions by another writer are corrected; entries of others are left alone.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::OidcProvider;
use serde_json::{Value, json};

use super::stage::{ISSUER, Stage, clients, trusting};
use crate::bed::Bed;
use crate::conditions::Tone::Stalled;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_changed_provider_is_corrected),
        side.shared(a_renamed_provider_is_found_and_renamed_back),
        side.shared(a_deleted_provider_is_recreated),
        side.shared(a_provider_is_left_alone_after_three_corrections),
        side.shared(a_provider_of_others_is_not_changed),
        side.shared(a_provider_moved_out_of_reach_is_not_changed),
        side.shared(a_provider_that_others_made_in_its_place_is_not_changed),
        side.shared(a_provider_restored_at_its_path_is_managed_again),
    ]
}

async fn a_changed_provider_is_corrected(bed: &Bed) -> Result<()> {
    for (change, field) in [
        (json!({ "clients": [] }), "(clients)"),
        (json!({ "clients": ["web", "evil"] }), "(clients)"),
        (json!({ "issuerUrl": "https://evil.example.com" }), "(issuerUrl)"),
        (json!({ "path": "/oidc-operator/elsewhere/" }), "(path)"),
    ] {
        let stage = Stage::eager(bed).await?;
        stage.ready("main", trusting(&["web"])).await?;
        let name = stage.name("main");
        let before = stage.entry(&name).await?;
        stage.meddle(&name, change).await?;
        stage
            .until("everything as before", &name, |entry| is_same(entry, &before))
            .await?;
        let note =
            |event: &k8s_openapi::api::events::v1::Event| event.note.as_ref().is_some_and(|note| note.contains(field));
        stage.space.wait_event("main", "DriftCorrected", note).await?;
        stage.space.until_ready::<OidcProvider>("main").await?;
    }
    Ok(())
}

/// Whether two entries are the same, except for the time of the last write.
fn is_same(one: &Value, other: &Value) -> bool {
    let without_time = |entry: &Value| {
        let mut entry = entry.clone();
        entry["updateAt"] = Value::Null;
        entry["clients"] = clients(&entry);
        entry
    };
    without_time(one) == without_time(other)
}

async fn a_renamed_provider_is_found_and_renamed_back(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    let before = stage.entry(&name).await?;
    stage
        .meddle(&name, json!({ "name": format!("{}-renamed", stage.space.name()) }))
        .await?;
    stage
        .until("everything as before", &name, |entry| is_same(entry, &before))
        .await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    let all = stage.foulkon.providers().await?;
    let ours = all.iter().filter(|entry| entry["path"] == before["path"]).count();
    ensure!(ours == 1, "{all:#?}");
    Ok(())
}

async fn a_deleted_provider_is_recreated(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    let before = stage.entry(&name).await?;
    stage.foulkon.must("DELETE", &format!("/{name}"), None).await?;
    let back = stage.until("an id", &name, |entry| entry["id"].is_string()).await?;
    ensure!(clients(&back) == clients(&before) && back["issuerUrl"] == before["issuerUrl"]);
    let id = back["id"].as_str().context("an id")?.to_owned();
    let known =
        |provider: &OidcProvider| provider.status.as_ref().and_then(|status| status.id.clone()) == Some(id.clone());
    stage.space.until("its new id in the status", "main", known).await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    Ok(())
}

async fn a_provider_is_left_alone_after_three_corrections(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    let theirs = json!({ "clients": ["theirs"] });
    for _ in 0..3 {
        stage.meddle(&name, theirs.clone()).await?;
        stage
            .until("its clients back", &name, |entry| clients(entry) == json!(["web"]))
            .await?;
    }
    stage.meddle(&name, theirs).await?;
    stage
        .space
        .until("a conflict", "main", |provider: &OidcProvider| {
            let conditions = crate::bed::conditions(provider);
            oidc_operator::api::condition::find(&conditions, "Ready").is_some_and(|ready| ready.reason == "Conflict")
        })
        .await?;
    stage.read_again(&name).await?;
    ensure!(
        clients(&stage.entry(&name).await?) == json!(["theirs"]),
        "it was corrected once more"
    );
    // A change of the spec resumes the writes.
    stage
        .space
        .respecify::<OidcProvider>("main", json!({ "allowedClients": [{ "clientId": "other" }] }))
        .await?;
    stage
        .until("its clients", &name, |entry| clients(entry) == json!(["other"]))
        .await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    Ok(())
}

fn not_owned(name: &str) -> String {
    format!(
        "The provider `{name}` already exists on the server and does not belong to this resource; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.objectNames), or create a new resource with another name."
    )
}

async fn a_provider_of_others_is_not_changed(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let name = stage.name("main");
    for path in ["/theirs/", &stage.path()] {
        let theirs = json!({ "name": name, "path": path, "issuerUrl": "https://theirs.example.com", "clients": ["x"] });
        stage.foulkon.must("POST", "", Some(theirs)).await?;
        let before = stage.entry(&name).await?;
        stage.make::<OidcProvider>("main", trusting(&["web"])).await?;
        let message = not_owned(&name);
        stage
            .space
            .says::<OidcProvider>("main", Stalled, "NotOwned", &message)
            .await?;
        let made = stage.space.remove::<OidcProvider>("main").await?;
        stage.space.until_gone(&made).await?;
        ensure!(stage.entry(&name).await? == before, "it was changed");
        stage.foulkon.must("DELETE", &format!("/{name}"), None).await?;
    }
    Ok(())
}

async fn a_provider_moved_out_of_reach_is_not_changed(bed: &Bed) -> Result<()> {
    for (change, message) in [
        (
            json!({ "path": "/theirs/" }),
            "The provider was moved to the path `/theirs/` on the server, which is not below foulkon.pathPrefix; the operator does not change it there. Move it back, or delete it on the server.".to_owned(),
        ),
        (
            json!({ "name": "n_w", "issuerUrl": "https://theirs.example.com" }),
            "The provider was renamed to `n_w` on the server, where an underscore matches any character; the operator does not change it. Rename it, or delete it on the server.".to_owned(),
        ),
    ] {
        let stage = Stage::eager(bed).await?;
        stage.ready("main", trusting(&["web"])).await?;
        let name = stage.name("main");
        let moved = stage.meddle(&name, change).await?;
        stage.space.says::<OidcProvider>("main", Stalled, "NotOwned", &message).await?;
        let made = stage.space.remove::<OidcProvider>("main").await?;
        stage.space.until_gone(&made).await?;
        let left = stage.foulkon.providers().await?;
        ensure!(left.contains(&moved), "{left:#?}");
        let now = moved["name"].as_str().context("a name")?;
        stage.foulkon.must("DELETE", &format!("/{now}"), None).await?;
    }
    Ok(())
}

/// The server's database was restored: the entry has the same name and path, but another id.
async fn a_provider_restored_at_its_path_is_managed_again(bed: &Bed) -> Result<()> {
    let stage = Stage::eager(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    let mut entry = stage.entry(&name).await?;
    stage.foulkon.must("DELETE", &format!("/{name}"), None).await?;
    entry["clients"] = json!(["old"]);
    // The operator may have recreated it first.
    let (status, _) = stage.foulkon.call("POST", "", Some(entry)).await?;
    ensure!(status == 201 || status == 409, "{status}");
    stage
        .until("its clients", &name, |entry| clients(entry) == json!(["web"]))
        .await?;
    let made = stage.space.until_ready::<OidcProvider>("main").await?;
    stage.space.remove::<OidcProvider>("main").await?;
    stage.space.until_gone(&made).await?;
    ensure!(stage.found(&name).await?.is_none(), "it still exists");
    Ok(())
}

/// The entry has the same name and a path of the same namespace, but not the resource's own path.
async fn a_provider_that_others_made_in_its_place_is_not_changed(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    stage.foulkon.must("DELETE", &format!("/{name}"), None).await?;
    let theirs = json!({ "name": name, "path": stage.path(), "issuerUrl": ISSUER, "clients": ["theirs"] });
    let theirs = stage.foulkon.must("POST", "", Some(theirs)).await?;
    stage
        .space
        .respecify::<OidcProvider>("main", json!({ "allowedClients": [{ "clientId": "other" }] }))
        .await?;
    let message = not_owned(&name);
    stage
        .space
        .says::<OidcProvider>("main", Stalled, "NotOwned", &message)
        .await?;
    let made = stage.space.remove::<OidcProvider>("main").await?;
    stage.space.until_gone(&made).await?;
    ensure!(stage.entry(&name).await? == theirs, "it was changed");
    Ok(())
}
