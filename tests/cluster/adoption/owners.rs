//! Whose clients are adopted: only those that a rule lists and that no other resource has.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use oidc_operator::api::{ABANDON_ANNOTATION, OAuth2Client};
use serde_json::json;

use super::{Legacy, SECRET};
use crate::bed::{Bed, ledger_of};
use crate::conditions::Tone::{Reconciling, Stalled};

pub(super) async fn only_clients_that_a_rule_allows_are_adopted(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let (space, server) = (&legacy.space, &legacy.server.name);
    let before = bed.registered(&legacy.id).await?;
    bed.change_server(
        server,
        json!({ "access": [{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "clientIds": "Any" } }] }),
    )
    .await?;
    space.apply_client("app", &legacy.spec(json!({}))).await?;
    let message = format!(
        "AuthorizationServer `{server}`: access[0].adopt.clientIds does not allow `{}` in clientId; change it or ask the server's admin.",
        legacy.id
    );
    space
        .says::<OAuth2Client>("app", Reconciling, "NotAllowed", &message)
        .await?;
    space.change("app", json!({ "spec": { "adoption": "Never" } })).await?;
    let message = format!(
        "The client `{}` exists on the server and no resource manages it; nothing was changed. Adopt it with adoption: Allow and a grant of the server's admin (adopt.clientIds), or create a new resource with another clientId.",
        legacy.id
    );
    space.says::<OAuth2Client>("app", Stalled, "NotOwned", &message).await?;
    ensure!(bed.registered(&legacy.id).await? == before, "it was changed");

    // A secret from the failed attempt is not sent once adoption is granted.
    let access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "clientIds": "Any" },
        "adopt": { "clientIds": [legacy.id] },
    }]);
    bed.change_server(server, json!({ "access": access })).await?;
    space.change("app", json!({ "spec": { "adoption": "Allow" } })).await?;
    let client = legacy.is_unknown("app").await?;
    legacy.works_with(SECRET).await?;
    ensure!(
        space.secret(&ledger_of(&client)).await?.is_none(),
        "the ledger keeps a secret that no client has"
    );

    let said = space
        .client_refusal("other", "{ grantTypes: [client_credentials], adoption: Allow }")
        .await?;
    let rule = "spec.adoption: Invalid value: adoption: needs the client to adopt; set clientId, or on Vault and OpenBao vault.name";
    ensure!(said.contains(rule), "{said}");
    Ok(())
}

pub(super) async fn a_client_of_another_resource_is_not_adopted(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    bed.unregister(&legacy.id).await?;
    let space = &legacy.space;
    space.ready_client("first", &legacy.spec(json!({}))).await?;
    let (_, secret) = space.credentials("first").await?;
    let before = bed.registered(&legacy.id).await?;
    space.apply_client("second", &legacy.spec(json!({}))).await?;
    let message = format!(
        "The client `{}` exists on the server and does not belong to this resource; nothing was changed. Create a new resource with another clientId.",
        legacy.id
    );
    space
        .says::<OAuth2Client>("second", Stalled, "NotOwned", &message)
        .await?;
    space.delete_and_wait("second").await?;
    ensure!(bed.registered(&legacy.id).await? == before, "it was changed");
    legacy.works_with(&secret).await
}

pub(super) async fn a_client_released_by_another_resource_is_adopted_with_its_secret(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    space.apply_client("first", &legacy.spec(json!({}))).await?;
    legacy.is_unknown("first").await?;
    space.apply_client("second", &legacy.spec(json!({}))).await?;
    let message = format!(
        "The client `{}` exists on the server and does not belong to this resource; nothing was changed. Create a new resource with another clientId.",
        legacy.id
    );
    let second: OAuth2Client = space.says("second", Stalled, "NotOwned", &message).await?;
    ensure!(
        space.secret(&ledger_of(&second)).await?.is_none(),
        "a ledger was created without a known secret"
    );
    space.delete_and_wait("first").await?;
    space
        .respecify::<OAuth2Client>("second", json!({ "clientName": "Second" }))
        .await?;
    legacy.is_unknown("second").await?;
    ensure!(
        legacy.on_server().await?.0["client_name"] == "Second",
        "the second resource does not manage it"
    );
    legacy.works_with(SECRET).await
}

pub(super) async fn the_marker_replaces_a_lost_status(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let (space, server) = (&legacy.space, &legacy.server.name);
    let access = json!([{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "clientIds": "Any" },
        "adopt": { "clientIds": [legacy.id] },
    }]);
    bed.change_server(server, json!({ "access": access })).await?;
    space.apply_client("app", &legacy.spec(json!({}))).await?;
    legacy.is_unknown("app").await?;
    let lost = json!({ "status": { "adopted": null, "updatedAt": null, "inputs": null, "effective": null } });
    let patch = Patch::Merge(&lost);
    space
        .clients()
        .patch_status("app", &PatchParams::default(), &patch)
        .await?;
    space
        .change("app", json!({ "spec": { "adoption": "Never", "clientName": "Still" } }))
        .await?;
    legacy.is_unknown("app").await?;
    ensure!(
        legacy.on_server().await?.0["client_name"] == "Still",
        "it was not written"
    );
    legacy.works_with(SECRET).await?;
    space
        .clients()
        .patch_status("app", &PatchParams::default(), &patch)
        .await?;
    space.delete_and_wait("app").await?;
    ensure!(legacy.on_server().await?.1.is_null(), "the marker stayed");
    legacy.works_with(SECRET).await
}

/// The first resource was abandoned, so the marker names a resource that no longer exists.
pub(super) async fn an_abandoned_client_can_be_adopted(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    bed.unregister(&legacy.id).await?;
    let space = &legacy.space;
    bed.change_server(
        &legacy.server.name,
        json!({ "access": [{
        "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "adopt": { "clientIds": [legacy.id] },
    }] }),
    )
    .await?;
    space.ready_client("first", &legacy.spec(json!({}))).await?;
    let (_, secret) = space.credentials("first").await?;
    space.annotate("first", ABANDON_ANNOTATION, "true").await?;
    space.delete_and_wait("first").await?;
    space.apply_client("second", &legacy.spec(json!({}))).await?;
    legacy.is_unknown("second").await?;
    legacy.works_with(&secret).await
}
