//! A cluster restored from a snapshot, on a Vault. Objects there have no place for a marker, so the claim in the status
//! names the cluster that created them.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};

use super::stage::{REDIRECT, Stage};
use crate::bed::{Bed, Namespaced, Options};
use crate::conditions::Tone::Stalled;
use crate::restored::{COPY, ORIGINAL, belongs_to_the_original, passes, started_as};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options::bare();
    vec![side.alone(options, a_restored_copy_leaves_objects_of_the_original_alone)]
}

/// The types of objects on the server.
const TYPES: [&str; 5] = ["scope", "assignment", "key", "client", "provider"];

async fn objects(stage: &Stage<'_>, name: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for type_ in TYPES {
        found.push(stage.object(type_, name).await?);
    }
    Ok(found)
}

/// Creates a resource of each kind.
async fn make_all(stage: &Stage<'_>, name: &str) -> Result<()> {
    stage.ready::<Scope>(name, json!({ "description": "one" })).await?;
    stage
        .ready::<Assignment>(name, json!({ "subjects": ["somebody"] }))
        .await?;
    let key = json!({ "generate": { "algorithm": "ES256" } });
    stage.ready::<JsonWebKeySet>(name, key).await?;
    stage
        .ready::<OAuth2Client>(name, json!({ "redirectUris": [REDIRECT] }))
        .await?;
    let provider = json!({ "allowedClients": [{ "clientId": "*" }] });
    stage.ready::<OidcProvider>(name, provider).await.map(drop)
}

async fn is_not_ours<K: Namespaced>(stage: &Stage<'_>, type_: &str, change: Value) -> Result<()> {
    stage.space.respecify::<K>("it", change).await?;
    let message = belongs_to_the_original(type_, &format!("{}.it", stage.space.name()));
    stage
        .space
        .says::<K>("it", Stalled, "NotOwned", &message)
        .await
        .map(drop)
}

async fn lets_go<K: Namespaced>(stage: &Stage<'_>) -> Result<()> {
    let going = stage.space.remove::<K>("going").await?;
    stage.space.until_gone(&going).await
}

async fn is_taken_over<K: Namespaced>(stage: &Stage<'_>) -> Result<()> {
    let has_it = |found: &K| serde_json::to_value(found.status()).is_ok_and(|status| status["clusterId"] == COPY);
    stage.space.until::<K>("the claim of the copy", "it", has_it).await?;
    stage.space.until_ready::<K>("it").await.map(drop)
}

async fn a_restored_copy_leaves_objects_of_the_original_alone(bed: &Bed) -> Result<()> {
    started_as(bed, ORIGINAL, "").await?;
    let stage = Stage::eager(bed).await?;
    make_all(&stage, "it").await?;
    make_all(&stage, "going").await?;
    let (before, going) = (objects(&stage, "it").await?, objects(&stage, "going").await?);
    let secret = stage.space.secret("it").await?;

    started_as(bed, COPY, "").await?;
    let mark = stage.server.admin.journal().mark();
    is_not_ours::<Scope>(&stage, "scope", json!({ "description": "another" })).await?;
    is_not_ours::<Assignment>(&stage, "assignment", json!({ "subjects": ["nobody"] })).await?;
    is_not_ours::<JsonWebKeySet>(&stage, "key", json!({ "rotation": { "period": "2h" } })).await?;
    is_not_ours::<OAuth2Client>(&stage, "client", json!({ "redirectUris": ["https://b.example.com/"] })).await?;
    is_not_ours::<OidcProvider>(
        &stage,
        "provider",
        json!({ "allowedClients": [{ "clientId": "*" }, { "clientId": "abc" }] }),
    )
    .await?;
    lets_go::<OidcProvider>(&stage).await?;
    lets_go::<OAuth2Client>(&stage).await?;
    lets_go::<JsonWebKeySet>(&stage).await?;
    lets_go::<Assignment>(&stage).await?;
    lets_go::<Scope>(&stage).await?;
    stage.space.wait_event("going", "LeftBehind", |_| true).await?;
    stage.swept().await?;
    let writes = stage.writes(mark);
    ensure!(writes.is_empty(), "{writes:#?}");
    ensure!(
        objects(&stage, "it").await? == before,
        "objects of the original were changed"
    );
    ensure!(
        objects(&stage, "going").await? == going,
        "objects of the original were changed"
    );
    ensure!(
        stage.space.secret("it").await? == secret,
        "the copy's Secret was changed"
    );

    started_as(bed, COPY, ORIGINAL).await?;
    is_taken_over::<Scope>(&stage).await?;
    is_taken_over::<Assignment>(&stage).await?;
    is_taken_over::<JsonWebKeySet>(&stage).await?;
    is_taken_over::<OAuth2Client>(&stage).await?;
    is_taken_over::<OidcProvider>(&stage).await?;
    stage.space.wait_event("it", "MarkTakenOver", |_| true).await?;
    let client = stage.object("client", "it").await?;
    ensure!(client["redirect_uris"] == json!(["https://b.example.com/"]), "{client}");
    ensure!(client["client_id"] == before[3]["client_id"], "it has another id");
    ensure!(
        client["client_secret"] == before[3]["client_secret"],
        "it has another secret"
    );

    stage.swept().await?;
    let operator = started_as(bed, COPY, "").await?;
    let mark = stage.server.admin.journal().mark();
    for kind in ["Scope", "Assignment", "JsonWebKeySet", "OAuth2Client", "OidcProvider"] {
        passes(&operator, kind, 1).await?;
    }
    stage.swept().await?;
    let writes = (stage.writes(mark), operator.writes_in(stage.space.name()));
    ensure!(writes.0.is_empty() && writes.1.is_empty(), "{writes:#?}");
    Ok(())
}
