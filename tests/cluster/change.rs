//! Effects of changes to a spec and to the rules of a server.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use libtest_mimic::Trial;
use oidc_operator::api::OAuth2Client;
use serde_json::json;
use testbed::wait;

use crate::bed::{Bed, LIMIT, ServerOptions, text_of, uid_of};
use crate::conditions::{Tone, client_says};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_changed_spec_is_sent_and_the_secret_stays),
        side.shared(a_changed_secret_name_moves_the_secret),
        side.shared(a_change_that_failed_halfway_can_be_taken_back),
        side.shared(a_secret_of_any_characters_works),
        side.shared(revoked_access_is_reported_and_can_be_restored),
    ]
}

async fn a_changed_spec_is_sent_and_the_secret_stays(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space
        .ready_client("app", "{ grantTypes: [client_credentials], scopes: [read] }")
        .await?;
    let before = space.credentials("app").await?;
    space
        .change("app", json!({ "spec": { "scopes": ["read", "write"] } }))
        .await?;
    space.wait_ready("app").await?;
    ensure!(
        bed.registered(&uid_of(&client)).await?["scope"] == "read write",
        "the scope is not updated"
    );
    ensure!(
        space.credentials("app").await? == before,
        "the credentials have changed"
    );
    bed.token(&before.0, &before.1, "write").await?;
    Ok(())
}

async fn a_changed_secret_name_moves_the_secret(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready_client("app", "grantTypes: [client_credentials]").await?;
    let old = space.secret("app").await?.context("no Secret app")?;
    space
        .change("app", json!({ "spec": { "credentials": { "secretName": "moved" } } }))
        .await?;
    space.wait_ready("app").await?;
    let new = space.wait_secret("Secret moved", "moved", |_| true).await?;
    ensure!(text_of(&new) == text_of(&old), "the credentials have changed");
    space.wait_secret_gone(&old).await
}

/// The server has the change already when a Secret in the way stops the pass.
async fn a_change_that_failed_halfway_can_be_taken_back(bed: &Bed) -> Result<()> {
    let options = ServerOptions {
        resync_interval: "1h".to_owned(), // no listing helps
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let space = bed.space().await?;
    let spec = json!({
        "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"], "scopes": ["read"],
        "clientName": "before",
    });
    let client = space.ready_client("app", &spec.to_string()).await?;
    let id = uid_of(&client);
    let theirs = serde_json::from_value(json!({ "metadata": { "name": "theirs" } }))?;
    space.secrets().create(&PostParams::default(), &theirs).await?;
    let named = async |name: &str| {
        let what = format!("the name {name:?} on the server");
        wait::until(&what, LIMIT, async || {
            Ok((bed.registered(&id).await?["client_name"] == name).then_some(()))
        })
        .await
    };
    let change = json!({ "clientName": "after", "credentials": { "secretName": "theirs" } });
    space.respecify::<OAuth2Client>("app", change).await?;
    named("after").await?;
    let message = "Secret `theirs` exists and belongs to another owner, so the operator does not change it. Delete it or choose another secretName.";
    client_says(&space, "app", Tone::Stalled, "SecretConflict", message).await?;
    let back = json!({ "clientName": "before", "credentials": null });
    space.respecify::<OAuth2Client>("app", back).await?;
    space.wait_ready("app").await?;
    ensure!(
        bed.registered(&id).await?["client_name"] == "before",
        "the server has what was taken back"
    );
    space.no_event("app", "DriftCorrected").await
}

async fn a_secret_of_any_characters_works(bed: &Bed) -> Result<()> {
    const VALUE: &str = "ä secret/with+signs%&=:\"'";
    bed.canary(VALUE);
    let space = bed.space().await?;
    let own = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" },
        "stringData": { "value": VALUE } });
    space.apply::<Secret>(&own.to_string()).await?;
    let spec = json!({
        "grantTypes": ["client_credentials"], "clientSecretRef": { "name": "mine", "key": "value" },
        "scopes": ["read", "write"], "audience": ["https://api.example.com"],
        "credentials": { "data": {
            "BASIC": "$(basicCredentials)", "JSON": "{\"secret\": $(clientSecret|json)}",
            "BODY": "grant_type=client_credentials&scope=$(scope|url)&audience=$(audience|url)",
        } },
    });
    let client = space.ready_client("app", &spec.to_string()).await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(secret == VALUE, "the Secret has another value");
    bed.token(&id, &secret, "").await?;
    let ready = client
        .status
        .unwrap_or_default()
        .conditions
        .into_iter()
        .find(|c| c.type_ == "Ready");
    let message = ready.context("no Ready")?.message;
    let warning = " Applications must form-encode its secret before HTTP Basic authentication (RFC 6749, section 2.3.1); a secret of letters and digits needs no encoding.";
    ensure!(message.ends_with(warning), "{message}");
    // What the operator encoded can be sent as it is.
    let data = space.secret_data("app").await?;
    let parsed: serde_json::Value = serde_json::from_str(&data["JSON"])?;
    ensure!(parsed["secret"] == VALUE, "the JSON has another value");
    let asked = reqwest::Client::new()
        .post(format!("{}/oauth2/token", bed.public_url()))
        .header("Authorization", format!("Basic {}", data["BASIC"]))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(data["BODY"].clone());
    let answer = asked.send().await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(())
}

async fn revoked_access_is_reported_and_can_be_restored(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let spec = format!(
        "{{ serverRef: {{ name: {} }}, grantTypes: [client_credentials] }}",
        server.name
    );
    let client = space.ready_client("app", &spec).await?;
    let rules = bed.servers_api().get(&server.name).await?.spec.access;
    bed.change_server(&server.name, json!({ "access": [] })).await?;
    space.wait_condition("app", "Ready", "False", "NotAllowed").await?;
    bed.registered(&uid_of(&client)).await.context("onRevoked is Keep")?;
    bed.change_server(&server.name, json!({ "access": rules })).await?;
    space.wait_ready("app").await?;
    Ok(())
}
