//! From a manifest to a working client.

use anyhow::{Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::UID_LABEL;
use serde_json::json;

use crate::bed::{Bed, ServerOptions, client_id_of, is_create, ledger_of, uid_of};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_minimal_machine_client_gets_a_token),
        side.shared(a_minimal_web_app_has_the_documented_defaults),
        side.shared(a_public_client_has_no_secret),
        side.shared(the_secret_has_the_requested_layout),
        side.shared(a_chosen_client_id_is_used),
        side.shared(a_create_costs_one_request_and_four_writes),
        side.shared(a_refusal_names_the_field),
    ]
}

async fn a_minimal_machine_client_gets_a_token(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space
        .ready_client("machine", "grantTypes: [client_credentials]")
        .await?;
    let (id, secret) = space.credentials("machine").await?;
    ensure!(id == uid_of(&client) && id == client_id_of(&client)?, "{id}");
    let token = bed.token(&id, &secret, "").await?;
    ensure!(token.scope.is_empty() && token.expires_in > 0, "{token:?}");
    let refused = bed.token(&id, &secret, "offline_access").await;
    ensure!(refused.is_err(), "an empty scope grants nothing");
    Ok(())
}

async fn a_minimal_web_app_has_the_documented_defaults(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let client = space
        .ready_client("web", "redirectUris: [https://web.example.com/callback]")
        .await?;
    let found = bed.registered(&uid_of(&client)).await?;
    let expected = json!({
        "client_id": uid_of(&client),
        "redirect_uris": ["https://web.example.com/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "openid offline_access",
        "token_endpoint_auth_method": "client_secret_basic",
        "subject_type": "public",
    });
    for (name, value) in expected.as_object().into_iter().flatten() {
        ensure!(found[name] == *value, "{name}: {} instead of {value}", found[name]);
    }
    let marker = &found["metadata"]["oidc-operator.dev"];
    ensure!(
        marker["uid"] == uid_of(&client).as_str() && marker["namespace"] == space.name(),
        "{marker}"
    );
    let data = space.secret_data("web").await?;
    ensure!(data.keys().eq(["CLIENT_ID", "CLIENT_SECRET"]), "{:?}", data.keys());
    let effective = client
        .status
        .and_then(|status| status.effective)
        .map(|effective| effective.scopes);
    ensure!(
        effective.as_deref() == Some(&["openid".to_owned(), "offline_access".to_owned()]),
        "{effective:?}"
    );
    Ok(())
}

async fn a_public_client_has_no_secret(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let spec = "{ clientType: Public, redirectUris: [https://spa.example.com/] }";
    let client = space.ready_client("spa", spec).await?;
    let found = bed.registered(&uid_of(&client)).await?;
    ensure!(found["token_endpoint_auth_method"] == "none", "{found}");
    let data = space.secret_data("spa").await?;
    ensure!(
        data.keys().eq(["CLIENT_ID"]) && data["CLIENT_ID"] == uid_of(&client),
        "{:?}",
        data.keys()
    );
    ensure!(space.secret(&ledger_of(&client)).await?.is_none(), "it has a ledger");
    Ok(())
}

async fn the_secret_has_the_requested_layout(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let spec = r#"
        grantTypes: [client_credentials]
        credentials:
          secretName: login
          keys: { clientId: id, clientSecret: secret }
          data: { config: "issuer=$(issuer) id=$(clientId) secret=$(clientSecret)", token-url: $(tokenEndpoint) }
          labels: { team: payments }
          annotations: { example.com/note: hello }
    "#;
    let client = space.ready_client("app", spec).await?;
    ensure!(client.status.as_ref().and_then(|status| status.secret_name.as_deref()) == Some("login"));
    ensure!(
        space.secret("app").await?.is_none(),
        "a Secret with the default name exists"
    );
    let data = space.secret_data("login").await?;
    let server = bed.server_ready("default").await?;
    let endpoints = server.status.and_then(|status| status.endpoints);
    let issuer = endpoints.map(|known| known.issuer).unwrap_or_default();
    let (id, secret) = (&data["id"], &data["secret"]);
    bed.token(id, secret, "").await?;
    ensure!(
        !issuer.is_empty() && data["config"] == format!("issuer={issuer} id={id} secret={secret}"),
        "config"
    );
    ensure!(
        data["token-url"].ends_with("/oauth2/token") && data.len() == 4,
        "{:?}",
        data.keys()
    );
    let Some(secret) = space.secret("login").await? else {
        anyhow::bail!("Secret login is gone");
    };
    ensure!(
        secret.labels().get("team").map(String::as_str) == Some("payments"),
        "{:?}",
        secret.labels()
    );
    ensure!(
        secret.labels().get(UID_LABEL) == Some(&uid_of(&client)),
        "{:?}",
        secret.labels()
    );
    ensure!(secret.annotations().get("example.com/note").map(String::as_str) == Some("hello"));
    Ok(())
}

async fn a_chosen_client_id_is_used(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let chosen = format!("{}.chosen", space.name());
    let spec = format!("{{ clientId: {chosen}, grantTypes: [client_credentials], scopes: [read] }}");
    let client = space.ready_client("app", &spec).await?;
    ensure!(client_id_of(&client)? == chosen);
    let (id, secret) = space.credentials("app").await?;
    ensure!(id == chosen, "{id}");
    ensure!(bed.token(&id, &secret, "read").await?.scope == "read");
    Ok(())
}

async fn a_create_costs_one_request_and_four_writes(bed: &Bed) -> Result<()> {
    let server = bed
        .own_server(ServerOptions {
            resync_interval: "1h".to_owned(),
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    let mark = server.admin.journal().mark();
    let spec = format!(
        "{{ serverRef: {{ name: {} }}, grantTypes: [client_credentials] }}",
        server.name
    );
    space.ready_client("app", &spec).await?;
    let asked = server.about_clients(mark);
    ensure!(asked.len() == 1 && is_create(&asked[0].head), "{asked:#?}");
    let written = bed.operator().writes_in(space.name());
    let kinds: Vec<_> = written
        .iter()
        .map(|request| (request.verb, request.resource.as_str()))
        .collect();
    let expected = [
        ("patch", "oauth2clients"),
        ("create", "secrets"),
        ("create", "secrets"),
        ("patch", "oauth2clients/status"),
    ];
    ensure!(
        kinds == expected,
        "{kinds:?}, of which on status:\n{}",
        bed.operator().status_patches(space.name())
    );
    Ok(())
}

async fn a_refusal_names_the_field(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let refusal = space.client_refusal("app", "{}").await?;
    ensure!(
        refusal.contains("spec.redirectUris") && refusal.contains("need at least one"),
        "{refusal}"
    );
    space.ready_client("app", "grantTypes: [client_credentials]").await?;
    let refusal = space
        .client_refusal("app", "{ grantTypes: [client_credentials], clientId: other }")
        .await?;
    ensure!(refusal.contains("clientId is immutable"), "{refusal}");
    Ok(())
}
