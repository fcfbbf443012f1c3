//! Fields that affect secrets: whether there is one, who owns it, and where it is.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, REVISION_ANNOTATION, Scope, UID_LABEL, WATCH_LABEL};
use serde_json::{Value, json};

use super::table::{ASSIGNMENT, CALLBACK, KEY_SET, OWN_SECRET, SCOPE, jwks};
use crate::bed::{Bed, ServerOptions, Space, client_id_of, ledger_of, text_of, uid_of};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_client_can_become_public_and_confidential_again),
        side.shared(a_client_with_private_key_jwt_has_no_secret),
        side.shared(a_changed_layout_updates_the_secret_without_calling_hydra),
        side.shared(a_users_secret_is_stored_in_the_ledger),
    ]
}

/// Creates the Secret that clientSecretRef names.
pub(super) async fn make_own_secret(bed: &Bed, space: &Space<'_>) -> Result<()> {
    let value = format!("the-own-secret-of-{}", space.name());
    bed.canary(&*value);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": OWN_SECRET, "labels": { WATCH_LABEL: "true" } },
        "stringData": { "secret": value } });
    space.apply::<Secret>(&secret.to_string()).await?;
    Ok(())
}

/// Creates the resources that fields refer to, on this server.
pub(super) async fn make_referred(space: &Space<'_>, server: &str) -> Result<()> {
    let on = json!({ "name": server });
    let scope = json!({
        "serverRef": on, "name": "orders:read", "description": "See your orders", "template": "{\"tier\": 1}",
    });
    space.ready::<Scope>(SCOPE, &scope.to_string()).await?;
    let assignment = json!({ "serverRef": on, "subjects": ["alice"], "groups": [{ "name": "ops" }] });
    space.ready::<Assignment>(ASSIGNMENT, &assignment.to_string()).await?;
    // The key whose public half is in the table (RFC 7517, appendix A.2).
    let mut key = jwks()["keys"][0].clone();
    key["d"] = json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE");
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": KEY_SET },
        "stringData": { "key": key.to_string() } });
    space.apply::<Secret>(&secret.to_string()).await?;
    let keys = json!({ "serverRef": on, "import": { "secretRef": { "name": KEY_SET, "key": "key" } } });
    space.ready::<JsonWebKeySet>(KEY_SET, &keys.to_string()).await?;
    Ok(())
}

async fn a_client_can_become_public_and_confidential_again(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let confidential = json!({
        "serverRef": { "name": server.name },
        "redirectUris": [CALLBACK],
        "grantTypes": ["authorization_code", "refresh_token"],
    });
    let client = space.ready_client("app", &confidential.to_string()).await?;
    let (id, first) = space.credentials("app").await?;
    let ledger = space.secret(&ledger_of(&client)).await?.context("no ledger")?;

    let mark = server.admin.journal().mark();
    space
        .change("app", json!({ "spec": { "clientType": "Public" } }))
        .await?;
    space.wait_ready("app").await?;
    let data = space.secret_data("app").await?;
    ensure!(data.keys().eq(["CLIENT_ID"]) && data["CLIENT_ID"] == id, "{data:?}");
    space.wait_secret_gone(&ledger).await?;
    let secret = space.secret("app").await?.context("no Secret")?;
    ensure!(
        !secret.annotations().contains_key(REVISION_ANNOTATION),
        "it has a revision without a ledger"
    );
    ensure!(
        bed.registered(&id).await?["token_endpoint_auth_method"] == "none",
        "not public"
    );
    ensure!(
        sent_secrets(&server, mark).is_empty(),
        "a public client was given a secret"
    );

    let mark = server.admin.journal().mark();
    // With a grant that the test can use.
    let change = json!({ "clientType": "Confidential", "grantTypes": ["client_credentials"], "scopes": ["read"] });
    space.change("app", json!({ "spec": change })).await?;
    space.wait_ready("app").await?;
    let (same_id, second) = space.credentials("app").await?;
    ensure!(same_id == id && second != first, "another id, or the old secret");
    ensure!(
        sent_secrets(&server, mark) == [second.clone()],
        "expected exactly one request with the secret"
    );
    bed.token(&id, &second, "read").await?;
    let ledger = space.secret_data(&ledger_of(&client)).await?;
    ensure!(ledger["client_secret"] == second, "the ledger has another secret");
    Ok(())
}

/// The client secrets in requests to the admin API after `mark`.
fn sent_secrets(server: &crate::bed::Server, mark: u64) -> Vec<String> {
    let exchanges = server.about_clients(mark);
    let bodies = exchanges
        .iter()
        .filter_map(|exchange| serde_json::from_slice::<Value>(&exchange.body).ok());
    bodies
        .filter_map(|body| body["client_secret"].as_str().map(str::to_owned))
        .collect()
}

async fn a_client_with_private_key_jwt_has_no_secret(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let spec = json!({
        "serverRef": { "name": server.name },
        "redirectUris": [CALLBACK],
        "tokenEndpointAuthMethod": "private_key_jwt",
        "jwks": jwks(),
        "credentials": { "data": { "issuer": "$(issuer)" } },
    });
    let client = space.ready_client("app", &spec.to_string()).await?;
    let data = space.secret_data("app").await?;
    ensure!(
        data.keys().eq(["CLIENT_ID", "issuer"]) && data["CLIENT_ID"] == client_id_of(&client)?,
        "{:?}",
        data.keys()
    );
    ensure!(space.secret(&ledger_of(&client)).await?.is_none(), "it has a ledger");
    ensure!(sent_secrets(&server, 0).is_empty(), "a secret was sent");
    Ok(())
}

async fn a_changed_layout_updates_the_secret_without_calling_hydra(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"] });
    let client = space.ready_client("app", &spec.to_string()).await?;
    let (id, value) = space.credentials("app").await?;
    let first = space.secret("app").await?.context("no Secret")?;
    let mark = server.admin.journal().mark();

    let layout = json!({
        "keys": { "clientId": "id", "clientSecret": "secret" },
        "data": { "both": "$(clientId):$(clientSecret)" },
        "labels": { "team": "a" },
        "annotations": { "example.com/note": "b" },
    });
    space
        .change("app", json!({ "spec": { "credentials": layout } }))
        .await?;
    space.wait_ready("app").await?;
    let changed = space.secret("app").await?.context("no Secret")?;
    ensure!(changed.uid() == first.uid(), "it was recreated");
    ensure!(
        changed.labels().get("team").map(String::as_str) == Some("a"),
        "{:?}",
        changed.labels()
    );
    ensure!(changed.annotations().get("example.com/note").map(String::as_str) == Some("b"));
    let data = text_of(&changed);
    ensure!(data.keys().eq(["both", "id", "secret"]), "{:?}", data.keys());
    ensure!(
        data["id"] == id && data["secret"] == value && data["both"] == format!("{id}:{value}"),
        "other values"
    );

    let less =
        json!({ "credentials": { "secretName": "elsewhere", "labels": null, "annotations": null, "data": null } });
    space.change("app", json!({ "spec": less })).await?;
    let client_now = space.wait_ready("app").await?;
    space.wait_secret_gone(&first).await?;
    let moved = space
        .secret("elsewhere")
        .await?
        .context("no Secret with the new name")?;
    ensure!(
        text_of(&moved).values().eq([&id, &value]),
        "{:?}",
        text_of(&moved).keys()
    );
    ensure!(
        moved.labels().keys().eq([UID_LABEL, WATCH_LABEL]),
        "{:?}",
        moved.labels()
    );
    ensure!(
        moved.annotations().keys().eq([REVISION_ANNOTATION]),
        "{:?}",
        moved.annotations()
    );
    let named = client_now.status.and_then(|status| status.secret_name);
    ensure!(named.as_deref() == Some("elsewhere"), "{named:?}");
    ensure!(
        space.secret(&ledger_of(&client)).await?.is_some(),
        "the ledger was deleted too"
    );
    ensure!(
        server.about_clients(mark).is_empty(),
        "{:?}",
        server.about_clients(mark)
    );
    bed.token(&id, &value, "").await?;
    Ok(())
}

async fn a_users_secret_is_stored_in_the_ledger(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    make_own_secret(bed, &space).await?;
    let own = space.secret_data(OWN_SECRET).await?["secret"].clone();
    let spec = json!({
        "grantTypes": ["client_credentials"],
        "clientSecretRef": { "name": OWN_SECRET, "key": "secret" },
    });
    let client = space.ready_client("app", &spec.to_string()).await?;
    let id = uid_of(&client);
    ensure!(
        space.credentials("app").await? == (id.clone(), own.clone()),
        "another value"
    );
    ensure!(
        space.secret_data(&ledger_of(&client)).await?["client_secret"] == own,
        "the ledger has another value"
    );
    bed.token(&id, &own, "").await?;

    let next = format!("the-next-secret-of-{}", space.name());
    bed.canary(&*next);
    space.edit_secret(OWN_SECRET, json!({ "secret": next })).await?;
    space
        .wait_secret("the user's new value", "app", |secret| {
            text_of(secret).get("CLIENT_SECRET") == Some(&next)
        })
        .await?;
    bed.token(&id, &next, "").await?;
    ensure!(bed.token(&id, &own, "").await.is_err(), "the old one still works");

    space
        .change("app", json!({ "spec": { "clientSecretRef": null } }))
        .await?;
    space.wait_ready("app").await?;
    ensure!(
        space.credentials("app").await?.1 == next,
        "without a reference the secret should stay"
    );
    bed.token(&id, &next, "").await?;
    let secret = space.secret(OWN_SECRET).await?.context("the user's Secret is gone")?;
    ensure!(secret.owner_references().is_empty(), "the operator owns it now");
    Ok(())
}
