//! A cluster restored from a snapshot, with a Foulkon: the UID in an entry's path is the same in both clusters, so the
//! claim in the status says which cluster made the entry.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::OidcProvider;
use serde_json::json;

use super::stage::{Stage, clients, trusting};
use crate::bed::{Bed, Options};
use crate::conditions::Tone::Stalled;
use crate::restored::{COPY, ORIGINAL, belongs_to_the_original, passes, started_as};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options::bare();
    vec![side.alone(options, a_restored_copy_leaves_providers_of_the_original_alone)]
}

async fn a_restored_copy_leaves_providers_of_the_original_alone(bed: &Bed) -> Result<()> {
    started_as(bed, ORIGINAL, "").await?;
    let stage = Stage::eager(bed).await?;
    let space = &stage.space;
    for name in ["it", "going", "bare"] {
        stage.ready(name, trusting(&["one"])).await?;
    }
    let names = ["it", "going", "bare"].map(|name| stage.name(name));
    let mut before = Vec::new();
    for name in &names {
        before.push(stage.entry(name).await?);
    }

    started_as(bed, COPY, "").await?;
    let mark = stage.server.admin.journal().mark();
    space
        .respecify::<OidcProvider>("it", json!({ "allowedClients": [{ "clientId": "two" }] }))
        .await?;
    let message = belongs_to_the_original("provider", &names[0]);
    space.says::<OidcProvider>("it", Stalled, "NotOwned", &message).await?;
    // In the original cluster this change would delete the entry on the server.
    space
        .respecify::<OidcProvider>("bare", json!({ "allowedClients": [{ "name": "nobody" }] }))
        .await?;
    space
        .until::<OidcProvider>("a missing client", "bare", |found| {
            let conditions = crate::bed::conditions(found);
            conditions
                .iter()
                .any(|condition| condition.reason == "ReferenceNotFound")
        })
        .await?;
    let going = space.remove::<OidcProvider>("going").await?;
    space.until_gone(&going).await?;
    space.wait_event("going", "LeftBehind", |_| true).await?;
    let writes = stage.writes(mark);
    ensure!(writes.is_empty(), "{writes:#?}");
    for (name, entry) in names.iter().zip(&before) {
        ensure!(stage.entry(name).await? == *entry, "{name} was changed");
    }

    started_as(bed, COPY, ORIGINAL).await?;
    space.wait_event("it", "MarkTakenOver", |_| true).await?;
    let now = stage
        .until("its new client", &names[0], |entry| clients(entry) == json!(["two"]))
        .await?;
    ensure!(
        now["id"] == before[0]["id"] && now["path"] == before[0]["path"],
        "{now}"
    );
    stage.until_none(&names[2]).await?;

    // Only once. `kept` leaves out what the worker has loaded, which is read and reported at every start.
    let kept = async || {
        let found: OidcProvider = space.until_ready("it").await?;
        let status = found.status.unwrap_or_default();
        anyhow::Ok((status.cluster_id, status.name, status.path, status.id, status.inputs))
    };
    let before = kept().await?;
    ensure!(before.0.as_deref() == Some(COPY), "{before:?}");
    let operator = started_as(bed, COPY, "").await?;
    let mark = stage.server.admin.journal().mark();
    passes(&operator, "OidcProvider", 2).await?;
    ensure!(kept().await? == before, "the claim has changed once more");
    let writes = stage.writes(mark);
    ensure!(writes.is_empty(), "{writes:#?}");
    Ok(())
}
