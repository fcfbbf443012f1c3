//! Deletion completes, and removes what was created and nothing else.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::OidcProvider;
use serde_json::json;
use testbed::Foulkon;
use testbed::wait;

use super::stage::{Stage, trusting};
use crate::bed::{Bed, LIMIT};
use crate::conditions::Tone::Reconciling;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_provider_is_deleted_with_its_resource),
        side.shared(a_resource_that_was_never_written_is_deleted_at_once),
        side.shared(a_deletion_waits_for_the_server_and_reports_it),
        side.shared(revoked_access_deletes_only_with_on_revoked_delete),
        side.shared(a_server_is_not_deleted_while_it_has_providers),
    ]
}

async fn a_provider_is_deleted_with_its_resource(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let theirs = json!({ "name": "theirs", "path": "/oidc-operator/theirs/", "issuerUrl": "https://x.example.com", "clients": ["x"] });
    let theirs = stage.foulkon.must("POST", "", Some(theirs)).await?;
    stage.space.delete_namespace_and_wait().await?;
    ensure!(stage.found(&stage.name("main")).await?.is_none(), "it still exists");
    ensure!(stage.entry("theirs").await? == theirs, "the other provider was changed");
    stage.foulkon.must("DELETE", "/theirs", None).await.map(drop)
}

async fn a_resource_that_was_never_written_is_deleted_at_once(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    let mark = stage.server.admin.journal().mark();
    stage
        .make::<OidcProvider>("main", json!({ "allowedClients": [{ "clientId": "web" }] }))
        .await?;
    let message = "issuer: on this server it names whose tokens are accepted; set it, or issuerRef.";
    let found = stage
        .space
        .says::<OidcProvider>("main", crate::conditions::Tone::Stalled, "InvalidSpec", message)
        .await?;
    ensure!(found.metadata.finalizers.is_none(), "{:?}", found.metadata.finalizers);
    let made = stage.space.remove::<OidcProvider>("main").await?;
    stage.space.until_gone(&made).await?;
    ensure!(stage.about(mark).is_empty(), "{:#?}", stage.about(mark));
    Ok(())
}

async fn a_deletion_waits_for_the_server_and_reports_it(bed: &Bed) -> Result<()> {
    if Foulkon::is_real() {
        return Ok(()); // a real worker cannot be stopped
    }
    let mut stage = Stage::eager(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    stage.foulkon.stop().await?;
    let made = stage.space.remove::<OidcProvider>("main").await?;
    let message = format!(
        "The operator deletes the object when AuthorizationServer `{}` is available again. To leave it there, run `kubectl annotate oidcp main -n {} oidc-operator.dev/abandon=true`.",
        stage.server.name,
        stage.space.name()
    );
    stage
        .space
        .says::<OidcProvider>("main", Reconciling, "Deleting", &message)
        .await?;
    stage.foulkon.start_again().await?;
    stage.space.until_gone(&made).await?;
    ensure!(stage.found(&name).await?.is_none(), "it still exists");
    Ok(())
}

async fn revoked_access_deletes_only_with_on_revoked_delete(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let name = stage.name("main");
    bed.change_server(&stage.server.name, json!({ "access": [] })).await?;
    let denied = format!(
        "AuthorizationServer `{}`: no access rule lets namespace `{}` have an OidcProvider; ask the server's admin for one.",
        stage.server.name,
        stage.space.name()
    );
    stage
        .space
        .says::<OidcProvider>("main", Reconciling, "NotAllowed", &denied)
        .await?;
    stage.entry(&name).await?; // Keep is the default
    bed.change_server(&stage.server.name, json!({ "onRevoked": "Delete" }))
        .await?;
    stage.until_none(&name).await?;
    let rule = json!([{ "namespaces": { "from": "All" }, "kinds": ["OidcProvider"], "objectNames": "Any" }]);
    bed.change_server(&stage.server.name, json!({ "access": rule })).await?;
    stage.space.until_ready::<OidcProvider>("main").await?;
    stage.entry(&name).await.map(drop)
}

async fn a_server_is_not_deleted_while_it_has_providers(bed: &Bed) -> Result<()> {
    let stage = Stage::quiet(bed).await?;
    stage.ready("main", trusting(&["web"])).await?;
    let api = bed.servers_api();
    api.delete(&stage.server.name, &Default::default()).await?;
    bed.server_condition(&stage.server.name, "Ready", "False", "InUse")
        .await?;
    stage.space.delete_namespace_and_wait().await?;
    wait::until("the server to be gone", LIMIT, async || {
        Ok(api.get_opt(&stage.server.name).await?.is_none().then_some(()))
    })
    .await?;
    ensure!(stage.found(&stage.name("main")).await?.is_none(), "it still exists");
    Ok(())
}
