//! Effects of changes to a spec and to the rules of a server.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use libtest_mimic::Trial;
use serde_json::json;

use crate::bed::{Bed, ServerOptions, text_of, uid_of};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_changed_spec_is_sent_and_the_secret_stays),
        side.shared(a_changed_secret_name_moves_the_secret),
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
