//! Access that is revoked, granted again, or does not allow a client to be left behind.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{ABANDON_ANNOTATION, JsonWebKeySet, OAuth2Client};
use serde_json::{Value, json};

use super::limits::{label, machine, nobody, on};
use crate::bed::{Bed, LIMIT, Server, ServerOptions, Space, is_list, ledger_of, settled, uid_of};
use crate::conditions::{Tone, client_ready, client_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_client_is_kept_when_revoked_and_no_longer_written),
        side.shared(a_client_is_deleted_when_revoked_and_recreated_when_granted),
        side.shared(a_key_set_is_deleted_when_revoked_and_recreated_when_granted),
        side.shared(suspend_does_not_stop_a_revocation),
        side.shared(a_client_that_exceeds_a_limit_is_not_deleted),
        side.shared(a_forbidden_switch_to_orphan_leaves_nothing_behind),
        side.shared(abandon_without_permission_leaves_nothing_behind),
        side.shared(an_orphan_policy_survives_a_later_rule),
    ]
}

/// A server that admits namespaces with the label `oidc: true`, with these limits.
async fn labelled_server(bed: &Bed, on_revoked: &str, limits: Value) -> Result<Arc<Server>> {
    let spec = json!({
        "onRevoked": on_revoked,
        "access": [{
            "namespaces": { "from": "Selector", "selector": { "matchLabels": { "oidc": "true" } } },
            "kinds": ["OAuth2Client", "JsonWebKeySet"],
            "clients": limits,
        }],
    });
    bed.own_server(ServerOptions {
        resync_interval: "1s".to_owned(),
        spec,
        ..ServerOptions::default()
    })
    .await
}

async fn labelled_space(bed: &Bed) -> Result<Space<'_>> {
    let space = bed.space().await?;
    label(bed, &space, json!({ "oidc": "true" })).await?;
    Ok(space)
}

async fn ready_machine(space: &Space<'_>, server: &Server) -> Result<OAuth2Client> {
    space.apply_client("app", &machine(server)).await?;
    client_ready(space, "app").await
}

/// Waits for two more sweeps of the server.
async fn swept(server: &Server) -> Result<()> {
    let mut mark = server.admin.journal().mark();
    for _ in 0..2 {
        let list = server
            .admin
            .journal()
            .wait_for(|found| found.seq > mark && is_list(&found.head), LIMIT)
            .await?;
        mark = list.seq;
    }
    Ok(())
}

async fn a_client_is_kept_when_revoked_and_no_longer_written(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Keep", json!({})).await?;
    let space = labelled_space(bed).await?;
    let client = ready_machine(&space, &server).await?;
    let id = uid_of(&client);
    let (_, secret) = space.credentials("app").await?;

    label(bed, &space, json!({ "oidc": null })).await?;
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &space)).await?;
    bed.token(&id, &secret, "")
        .await
        .context("a client that is kept must work")?;
    let mark = server.admin.journal().mark();
    bed.tamper(&id, |found| found["client_name"] = json!("changed by its admin"))
        .await?;
    space.change("app", json!({ "spec": { "scopes": ["read"] } })).await?;
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &space)).await?;
    swept(&server).await?;
    ensure!(
        server.about_clients(mark).is_empty(),
        "{:?}",
        server.about_clients(mark)
    );
    let kept = bed.registered(&id).await?;
    ensure!(kept["client_name"] == "changed by its admin", "{kept}");
    ensure!(space.secret("app").await?.is_some(), "the credentials Secret is gone");

    label(bed, &space, json!({ "oidc": "true" })).await?;
    client_ready(&space, "app").await?;
    let back = bed.registered(&id).await?;
    ensure!(back["client_name"] == "" && back["scope"] == "read", "{back}");

    // A resource without access can still be deleted, with its client.
    label(bed, &space, json!({ "oidc": null })).await?;
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &space)).await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&id).await?.is_none(), "the client stayed");
    Ok(())
}

/// Checks that client, Secrets and finalizer are gone.
async fn ensure_removed(bed: &Bed, space: &Space<'_>, client: &OAuth2Client) -> Result<()> {
    space
        .wait_client("the finalizer to be gone", "app", |client| {
            client.metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
        })
        .await?;
    ensure!(bed.hydra_client(&uid_of(client)).await?.is_none(), "the client stayed");
    for secret in ["app", &ledger_of(client)] {
        ensure!(space.secret(secret).await?.is_none(), "Secret {secret} stayed");
    }
    Ok(())
}

async fn a_client_is_deleted_when_revoked_and_recreated_when_granted(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Delete", json!({})).await?;
    let (space, second) = (labelled_space(bed).await?, labelled_space(bed).await?);
    let client = ready_machine(&space, &server).await?;
    ready_machine(&second, &server).await?;
    let (_, old) = space.credentials("app").await?;

    label(bed, &space, json!({ "oidc": null })).await?;
    let said = client_says(&space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &space)).await?;
    ensure_removed(bed, &space, &client).await?;
    let status = said.status.unwrap_or_default();
    ensure!(status.client_id.is_none() && status.secret_name.is_none(), "{status:?}");
    client_ready(&second, "app")
        .await
        .context("the namespace that still has access")?;

    label(bed, &space, json!({ "oidc": "true" })).await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(id == uid_of(&client) && secret != old, "the old secret is back");
    bed.token(&id, &secret, "").await?;

    // Removing all rules revokes access too; the resource can still be deleted.
    bed.change_server(&server.name, json!({ "access": [] })).await?;
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &space)).await?;
    ensure_removed(bed, &space, &client).await?;
    space.delete_and_wait("app").await?;
    Ok(())
}

async fn a_key_set_is_deleted_when_revoked_and_recreated_when_granted(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Delete", json!({})).await?;
    let space = labelled_space(bed).await?;
    let spec = format!(
        "{{ serverRef: {{ name: {} }}, generate: {{ algorithm: ES256 }}, privateKey: {{}}, publish: {{ configMapName: public }} }}",
        server.name
    );
    let set: JsonWebKeySet = space.ready("keys", &spec).await?;
    let name = uid_of(&set);
    let admin = bed.admin().await?;

    label(bed, &space, json!({ "oidc": null })).await?;
    let what = "a key set without finalizer";
    let let_go = |set: &JsonWebKeySet| set.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
    space.until::<JsonWebKeySet>(what, "keys", let_go).await?;
    let message = format!(
        "AuthorizationServer `{}`: no access rule lets namespace `{}` have a JsonWebKeySet; ask the server's admin for one.",
        server.name,
        space.name()
    );
    let said: JsonWebKeySet = space.says("keys", Tone::Reconciling, "NotAllowed", &message).await?;
    let status = said.status.unwrap_or_default();
    ensure!(status.keys.is_empty() && status.current_key_id.is_none(), "{status:?}");
    let left = settled("the key set", async || admin.get_key_set(&name).await).await?;
    ensure!(
        left.is_none_or(|left| left.keys.is_empty()),
        "keys stayed on the server"
    );
    for secret in ["keys", &format!("jwks-{name}")] {
        ensure!(space.secret(secret).await?.is_none(), "Secret {secret} stayed");
    }
    ensure!(
        space.config_maps().get_opt("public").await?.is_none(),
        "the ConfigMap stayed"
    );

    label(bed, &space, json!({ "oidc": "true" })).await?;
    let back: JsonWebKeySet = space.until_ready("keys").await?;
    let (old, new) = (set.status.unwrap_or_default(), back.status.unwrap_or_default());
    ensure!(
        new.current_key_id.is_some() && new.current_key_id != old.current_key_id,
        "{new:?}"
    );
    Ok(())
}

async fn suspend_does_not_stop_a_revocation(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Delete", json!({})).await?;
    let space = labelled_space(bed).await?;
    let client = ready_machine(&space, &server).await?;
    space.change("app", json!({ "spec": { "suspend": true } })).await?;
    space.wait_condition("app", "Suspended", "True", "Suspended").await?;
    label(bed, &space, json!({ "oidc": null })).await?;
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &space)).await?;
    ensure_removed(bed, &space, &client).await
}

async fn a_client_that_exceeds_a_limit_is_not_deleted(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Delete", json!({})).await?;
    let space = labelled_space(bed).await?;
    let spec = json!({ "grantTypes": ["client_credentials"], "scopes": ["read"] });
    space.apply_client("app", &on(&server, spec)).await?;
    let client = client_ready(&space, "app").await?;
    let before = bed.registered(&uid_of(&client)).await?;
    let (id, secret) = space.credentials("app").await?;

    let rule =
        json!([{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "scopes": ["write"] } }]);
    bed.change_server(&server.name, json!({ "access": rule })).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].clients.scopes does not allow `read` in scopes (only `write`); change it or ask the server's admin.",
        server.name
    );
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &message).await?;
    swept(&server).await?;
    ensure!(bed.registered(&id).await? == before, "it was changed");
    ensure!(space.credentials("app").await?.1 == secret, "the credentials changed");
    bed.token(&id, &secret, "read").await?;
    Ok(())
}

async fn a_forbidden_switch_to_orphan_leaves_nothing_behind(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Keep", json!({ "deletionPolicies": ["Delete"] })).await?;
    let space = labelled_space(bed).await?;
    let client = ready_machine(&space, &server).await?;
    space
        .change("app", json!({ "spec": { "deletionPolicy": "Orphan" } }))
        .await?;
    let message = format!(
        "AuthorizationServer `{}`: access[0].clients.deletionPolicies does not allow `Orphan` in deletionPolicy (only `Delete`); change it or ask the server's admin.",
        server.name
    );
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &message).await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "the client stayed");
    ensure!(space.secret("app").await?.is_none(), "the credentials stayed");

    // The same when it is switched and deleted before the operator has seen the switch.
    let client = ready_machine(&space, &server).await?;
    space
        .change("app", json!({ "spec": { "deletionPolicy": "Orphan" } }))
        .await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "the client stayed");
    Ok(())
}

async fn abandon_without_permission_leaves_nothing_behind(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Keep", json!({ "deletionPolicies": ["Delete"] })).await?;
    let space = labelled_space(bed).await?;
    let client = ready_machine(&space, &server).await?;
    space.annotate("app", ABANDON_ANNOTATION, "true").await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "the client stayed");

    // An outage does not allow it either: the deletion waits.
    let client = ready_machine(&space, &server).await?;
    server.admin.down();
    space.annotate("app", ABANDON_ANNOTATION, "true").await?;
    space.delete("app").await?;
    space.wait_condition("app", "Ready", "False", "Deleting").await?;
    server.admin.up();
    space.wait_gone(&client).await?;
    ensure!(bed.hydra_client(&uid_of(&client)).await?.is_none(), "the client stayed");
    Ok(())
}

/// Orphan was allowed when the client was created; a later rule does not turn it into a deletion.
async fn an_orphan_policy_survives_a_later_rule(bed: &Bed) -> Result<()> {
    let server = labelled_server(bed, "Keep", json!({})).await?;
    let space = labelled_space(bed).await?;
    let spec = json!({ "grantTypes": ["client_credentials"], "deletionPolicy": "Orphan" });
    space.apply_client("app", &on(&server, spec)).await?;
    let client = client_ready(&space, "app").await?;
    let rule = json!([{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": { "deletionPolicies": ["Delete"] } }]);
    bed.change_server(&server.name, json!({ "access": rule })).await?;
    space.wait_condition("app", "Ready", "False", "NotAllowed").await?;
    space.delete_and_wait("app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(id == uid_of(&client), "{id}");
    bed.token(&id, &secret, "").await?;
    Ok(())
}
