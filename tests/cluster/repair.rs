//! The operator restores what others change or delete: in Hydra from the cluster, in the cluster from the remaining
//! copies.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, Scope};
use oidc_operator::controller::engine::managed::Managed;
use oidc_operator::error::Error;
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, RequestHead};

use crate::bed::{Bed, Namespaced, Options, Reach, Server, ServerOptions, Space, ledger_of, uid_of};
use crate::details::machine_on;
use crate::run::Side;

mod contest;

pub use contest::contest;

/// Spec of a client whose credentials can be tried.
const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read] }";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(an_edited_scope_is_corrected),
        side.shared(a_correction_that_fails_at_first_is_told),
        side.shared(the_operator_gives_up_after_three_corrections),
        side.shared(a_deleted_client_is_recreated_with_the_same_secret),
        side.shared(a_secret_changed_in_hydra_is_restored),
        side.shared(a_wiped_marker_is_restored_and_does_not_prevent_deletion),
        side.shared(a_deleted_credentials_secret_is_restored_without_hydra),
        side.shared(an_edited_credentials_secret_is_restored_without_hydra),
        side.shared(a_deleted_ledger_is_rebuilt_from_the_credentials_secret),
        side.shared(an_edited_ledger_is_pushed_to_the_server),
        side.shared(a_status_edited_by_another_writer_is_corrected),
        side.shared(losing_both_secrets_replaces_the_client_secret_but_not_the_id),
        side.alone(Options::default(), a_lost_database_is_refilled),
    ]
}

async fn an_edited_scope_is_corrected(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", MACHINE).await?;
    let id = uid_of(&client);
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    let event = space.wait_event("app", "DriftCorrected", |_| true).await?;
    let note = event.note.unwrap_or_default();
    ensure!(note.contains("scope"), "{note}");
    // The same event counts a second correction.
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    let twice = |event: &Event| event.series.as_ref().is_some_and(|series| series.count == 2);
    space.wait_event("app", "DriftCorrected", twice).await?;
    works(bed, &space).await
}

async fn a_correction_that_fails_at_first_is_told(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    let is_put = |head: &RequestHead| head.method == Method::PUT;
    let failed = server
        .admin
        .inject(Fault::new(is_put, Action::Answer(Answer::status(500))).times(1));
    bed.tamper(&id, |found| found["scope"] = json!("read admin")).await?;
    let event = space.wait_event("app", "DriftCorrected", |_| true).await?;
    let note = event.note.unwrap_or_default();
    ensure!(note.contains("scope") && failed.struck() == 1, "{note}");
    ensure!(bed.registered(&id).await?["scope"] == "read");
    Ok(())
}

async fn the_operator_gives_up_after_three_corrections(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let id = uid_of(&client);
    let change = async || bed.tamper(&id, |found| found["scope"] = json!("read admin")).await;
    let is_corrected = async || Ok(bed.registered(&id).await?["scope"] == "read");
    let message = Error::Contested("scope".to_owned()).to_string();
    contest::<OAuth2Client>(&server, &space, ("app", &message), change, is_corrected).await?;
    ensure!(bed.registered(&id).await?["scope"] == "read admin");
    // After a change of the spec, the operator corrects it again.
    let spec = json!({ "clientName": "Another name" });
    space.respecify::<OAuth2Client>("app", spec).await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    space.until_ready::<OAuth2Client>("app").await?;
    works(bed, &space).await
}

async fn a_status_edited_by_another_writer_is_corrected(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready::<Scope>("read", "{}").await?;
    space.ready::<Assignment>("people", "{ subjects: [alice] }").await?;
    let keys = "{ generate: { algorithm: ES256 }, privateKey: {}, rotation: { period: 720h } }";
    space.ready::<JsonWebKeySet>("keys", keys).await?;
    let client = space.ready_client("app", MACHINE).await?;
    space.wait_confirmed("app").await?;
    let secret = space.secret("app").await?.context("no Secret app")?;
    let remote = bed.registered(&uid_of(&client)).await?;
    let wrong = json!({
        "clientId": "another", "secretName": "another", "rotatedAt": "2099-01-01T00:00:00Z",
        "effective": { "clientType": "Public", "scopes": ["admin"] }, "keyIds": ["another"],
    });
    status_comes_back::<OAuth2Client>(&space, "app", wrong).await?;
    status_comes_back::<Scope>(&space, "read", json!({ "name": "admin" })).await?;
    status_comes_back::<Assignment>(&space, "people", json!({ "observedGeneration": 7 })).await?;
    let set = space.until_ready::<JsonWebKeySet>("keys").await?;
    let kid = set.status.and_then(|status| status.current_key_id).context("no key")?;
    let wrong = json!({
        "keys": [{ "kid": kid, "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "alg": "ES256", "use": "sig" }],
        "nextStepAt": null, "rotatedAt": "2099-01-01T00:00:00Z", "secretName": "another",
    });
    status_comes_back::<JsonWebKeySet>(&space, "keys", wrong).await?;
    let now = bed.registered(&uid_of(&client)).await?;
    ensure!(now == remote, "{now:#} was {remote:#}");
    let now = space.secret("app").await?.context("no Secret app")?;
    ensure!(now.data == secret.data, "the Secret has changed");
    Ok(())
}

/// Another writer writes a failed condition, then other wrong values, then removes the status. Each time the operator
/// restores it.
async fn status_comes_back<K: Namespaced>(space: &Space<'_>, name: &str, wrong: Value) -> Result<()> {
    let failed = json!([{
        "type": "Ready", "status": "False", "reason": "NotOwned", "message": "It is another's.",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    }]);
    let before = told(&space.until_ready::<K>(name).await?);
    for status in [json!({ "conditions": failed }), wrong, Value::Null] {
        let patch = Patch::Merge(json!({ "status": status }));
        space
            .all::<K>()
            .patch_status(name, &PatchParams::default(), &patch)
            .await?;
        let what = format!("the status of {} {name} to come back after {status}", K::KIND);
        space.until::<K>(&what, name, |found| told(found) == before).await?;
    }
    Ok(())
}

/// A status without its times.
fn told<K: Managed>(resource: &K) -> Value {
    let mut status = json!(resource.status());
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"].take();
    }
    for time in ["updatedAt", "lastSyncTime"] {
        if let Some(time) = status.get_mut(time) {
            time.take();
        }
    }
    status
}

async fn a_deleted_client_is_recreated_with_the_same_secret(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", MACHINE).await?;
    let before = space.credentials("app").await?;
    bed.unregister(&uid_of(&client)).await?;
    bed.until_registered("come back", &uid_of(&client), |_| true).await?;
    ensure!(
        space.credentials("app").await? == before,
        "the credentials have changed"
    );
    works(bed, &space).await
}

async fn a_secret_changed_in_hydra_is_restored(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", MACHINE).await?;
    let (id, before) = space.credentials("app").await?;
    bed.tamper(&id, |found| found["client_secret"] = json!("somebody-elses-secret"))
        .await?;
    until_sent_again(&space, &client).await?;
    ensure!(space.credentials("app").await?.1 == before, "the Secret has changed");
    ensure!(
        bed.token(&id, "somebody-elses-secret", "read").await.is_err(),
        "the other secret still works"
    );
    works(bed, &space).await
}

async fn a_wiped_marker_is_restored_and_does_not_prevent_deletion(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space.ready_client("app", MACHINE).await?;
    let id = uid_of(&client);
    bed.tamper(&id, |found| {
        found["metadata"] = json!({});
        found["owner"] = json!("");
    })
    .await?;
    let marked = |found: &serde_json::Value| found["metadata"]["oidc-operator.dev"]["uid"] == id.as_str();
    bed.until_registered("its marker back", &id, marked).await?;
    works(bed, &space).await?;
    bed.tamper(&id, |found| found["metadata"] = json!({})).await?;
    space.delete_and_wait("app").await?;
    ensure!(
        bed.hydra_client(&id).await?.is_none(),
        "the client still exists in Hydra"
    );
    Ok(())
}

async fn a_deleted_credentials_secret_is_restored_without_hydra(bed: &Bed) -> Result<()> {
    let (server, space, client) = quiet_client(bed).await?;
    let before = space.credentials("app").await?;
    let mark = server.admin.journal().mark();
    space.delete_secret("app").await?;
    until_settled_again(&space, &client).await?;
    ensure!(
        space.credentials("app").await? == before,
        "the credentials have changed"
    );
    let asked = server.about_clients(mark);
    ensure!(asked.is_empty(), "{asked:#?}");
    works(bed, &space).await
}

async fn an_edited_credentials_secret_is_restored_without_hydra(bed: &Bed) -> Result<()> {
    let (server, space, client) = quiet_client(bed).await?;
    let before = space.secret_data("app").await?;
    let mark = server.admin.journal().mark();
    space
        .edit_secret("app", json!({ "CLIENT_SECRET": "an-edited-value", "EXTRA": "more" }))
        .await?;
    until_settled_again(&space, &client).await?;
    ensure!(space.secret_data("app").await? == before, "the data is not as before");
    let asked = server.about_clients(mark);
    ensure!(asked.is_empty(), "{asked:#?}");
    works(bed, &space).await
}

async fn a_deleted_ledger_is_rebuilt_from_the_credentials_secret(bed: &Bed) -> Result<()> {
    let (_, space, client) = quiet_client(bed).await?;
    let before = space.credentials("app").await?;
    space.delete_secret(&ledger_of(&client)).await?;
    until_settled_again(&space, &client).await?;
    let ledger = space.secret_data(&ledger_of(&client)).await?;
    ensure!(
        (&ledger["client_id"], &ledger["client_secret"]) == (&before.0, &before.1),
        "the ledger holds other values"
    );
    ensure!(
        ledger.contains_key("revision") && ledger.contains_key("checksum"),
        "{:?}",
        ledger.keys()
    );
    ensure!(
        space.credentials("app").await? == before,
        "the credentials have changed"
    );
    works(bed, &space).await
}

async fn an_edited_ledger_is_pushed_to_the_server(bed: &Bed) -> Result<()> {
    let (_, space, client) = quiet_client(bed).await?;
    space
        .edit_secret(&ledger_of(&client), json!({ "client_secret": "the-editors-own-value" }))
        .await?;
    bed.canary("the-editors-own-value");
    until_settled_again(&space, &client).await?;
    ensure!(
        space.credentials("app").await?.1 == "the-editors-own-value",
        "the edited value is not in use"
    );
    works(bed, &space).await
}

async fn losing_both_secrets_replaces_the_client_secret_but_not_the_id(bed: &Bed) -> Result<()> {
    let (_, space, client) = quiet_client(bed).await?;
    let before = space.credentials("app").await?;
    // While the client is suspended, the operator does not restore one Secret from the other.
    space.change("app", json!({ "spec": { "suspend": true } })).await?;
    space.wait_condition("app", "Suspended", "True", "").await?;
    space.delete_secret("app").await?;
    space.delete_secret(&ledger_of(&client)).await?;
    space.change("app", json!({ "spec": { "suspend": null } })).await?;
    until_settled_again(&space, &client).await?;
    let after = space.credentials("app").await?;
    ensure!(
        after.0 == before.0 && after.1 != before.1,
        "another id, or the same secret"
    );
    ensure!(
        bed.token(&before.0, &before.1, "read").await.is_err(),
        "the lost secret still works"
    );
    space.wait_event("app", "SecretReplaced", |_| true).await?;
    works(bed, &space).await
}

async fn a_lost_database_is_refilled(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let names = ["one", "two", "three"];
    let mut before = Vec::new();
    for name in names {
        space.ready_client(name, MACHINE).await?;
        before.push(space.credentials(name).await?);
    }
    bed.hydra().lock().await.reset_database().await?;
    for (name, (id, secret)) in names.iter().zip(&before) {
        bed.until_registered("come back", id, |_| true).await?;
        bed.token(id, secret, "read").await?;
        ensure!(
            space.secret_data(name).await?["CLIENT_SECRET"] == *secret,
            "the Secret {name} has changed"
        );
    }
    Ok(())
}

/// A ready client `app` on its own server, which is compared so rarely that only the test wakes resources.
async fn quiet_client(bed: &Bed) -> Result<(Arc<Server>, Space<'_>, OAuth2Client)> {
    let resync = match bed.reach() {
        Reach::Everywhere | Reach::Namespaces => "1h",
        Reach::NoSecretWatch => "2s", // nothing else shows a change to a Secret
    };
    let server = bed
        .own_server(ServerOptions {
            resync_interval: resync.to_owned(),
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    Ok((server, space, client))
}

/// Waits until a pass after that of `client` has succeeded: the digest in status covers the versions of its Secrets.
async fn until_settled_again(space: &Space<'_>, client: &OAuth2Client) -> Result<OAuth2Client> {
    let inputs = |client: &OAuth2Client| client.status.as_ref().and_then(|status| status.inputs.clone());
    let before = inputs(client);
    let what = format!("another pass over {}/{}", space.name(), client.name_any());
    space
        .wait_client(&what, &client.name_any(), |now| {
            inputs(now).is_some() && inputs(now) != before
        })
        .await
}

/// Waits until the operator has written to Hydra again since `client` was read.
async fn until_sent_again(space: &Space<'_>, client: &OAuth2Client) -> Result<OAuth2Client> {
    let updated = |client: &OAuth2Client| client.status.as_ref().and_then(|status| status.updated_at.clone());
    let before = updated(client);
    let what = format!("another write for {}/{}", space.name(), client.name_any());
    space
        .wait_client(&what, &client.name_any(), |now| updated(now) != before)
        .await
}

/// Checks that the credentials in the Secret yield a token.
async fn works(bed: &Bed, space: &Space<'_>) -> Result<()> {
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "read")
        .await
        .context("the credentials in the Secret do not work")?;
    Ok(())
}
