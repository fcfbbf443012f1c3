//! Hydra's `owner` belongs to the user: the operator's mark is in the metadata alone.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use testbed::wait;

use crate::bed::{Bed, LIMIT, uid_of};
use crate::run::Side;

const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read], clientName: First }";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(an_owner_stays_until_the_spec_sets_another_one)]
}

async fn an_owner_stays_until_the_spec_sets_another_one(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", MACHINE).await?;
    let id = uid_of(&client);
    let created = bed.registered(&id).await?;
    ensure!(created["owner"] == "", "{created}");
    // A portal sets it.
    bed.tamper(&id, |found| {
        found["owner"] = json!("user-42");
        found["client_name"] = json!("Changed");
    })
    .await?;
    let is = |name: &'static str, owner: &'static str| {
        move |found: &Value| found["client_name"] == name && found["owner"] == owner
    };
    bed.until_registered("the name to be corrected", &id, is("First", "user-42"))
        .await?;
    let steps = [
        (json!({ "clientName": "Second" }), "Second", "user-42"),
        (json!({ "hydra": { "owner": "user-7" } }), "Second", "user-7"),
        (json!({ "hydra": null, "clientName": "Third" }), "Third", "user-7"),
        (json!({ "hydra": { "owner": "" } }), "Third", ""),
        (json!({ "hydra": { "owner": "user-8" } }), "Third", "user-8"),
    ];
    for (spec, name, owner) in steps {
        space.change("app", json!({ "spec": spec })).await?;
        bed.until_registered(&format!("{name} of {owner}"), &id, is(name, owner))
            .await?;
    }
    // The client is left behind with its owner, and without a mark.
    space
        .change("app", json!({ "spec": { "deletionPolicy": "Orphan" } }))
        .await?;
    space.delete_and_wait("app").await?;
    let left = wait::until("the mark to be removed", LIMIT, async || {
        let found = bed.registered(&id).await?;
        Ok((found["metadata"]["oidc-operator.dev"]["uid"].is_null()).then_some(found))
    })
    .await?;
    ensure!(left["owner"] == "user-8", "{left}");
    bed.unregister(&id).await?;
    let refused = space
        .client_refusal(
            "app",
            "{ grantTypes: [client_credentials], hydra: { owner: oidc-operator.dev/x } }",
        )
        .await?;
    ensure!(refused.contains("hydra.owner: earlier versions"), "{refused}");
    Ok(())
}
