//! How the operator logs in: certificates and credentials of an AuthorizationServer.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use libtest_mimic::Trial;
use oidc_operator::api::condition::INSECURE;
use serde_json::json;

use crate::bed::{Bed, ServerOptions};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(a_bearer_token_is_sent_over_verified_https)]
}

async fn a_bearer_token_is_sent_over_verified_https(bed: &Bed) -> Result<()> {
    let token = "the-bearer-token-of-the-admin-api";
    bed.canary(token);
    let authority = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "corp-ca" },
        "data": { "ca.crt": bed.plane().ca_pem() } });
    bed.home().apply::<ConfigMap>(&authority.to_string()).await?;
    let login = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "hydra-admin" },
        "stringData": { "token": token } });
    bed.home().apply::<Secret>(&login.to_string()).await?;
    let spec = json!({
        "hydra": { "auth": { "bearerToken": { "secretRef": { "name": "hydra-admin", "key": "token" } } } },
        "tls": { "caRef": { "kind": "ConfigMap", "name": "corp-ca", "key": "ca.crt" } },
    });
    let server = bed
        .own_server(ServerOptions {
            https: true,
            spec,
            ..ServerOptions::default()
        })
        .await?;

    let space = bed.space().await?;
    let spec = format!(
        "{{ serverRef: {{ name: {} }}, grantTypes: [client_credentials] }}",
        server.name
    );
    space.ready_client("app", &spec).await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "").await?;

    let post = server.about_clients(0).into_iter().next().context("no request")?;
    let sent = post
        .head
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    ensure!(
        sent == Some(&*format!("Bearer {token}")),
        "the token was not sent with {:?}",
        post.head
    );
    let leaked = server
        .public
        .journal()
        .count(|exchange| exchange.head.headers.contains_key("authorization"));
    ensure!(leaked == 0, "the token was sent to the public API");
    let status = bed.server_ready(&server.name).await?.status.unwrap_or_default();
    ensure!(status.login.as_deref() == Some("Bearer"), "{:?}", status.login);
    let insecure = status.conditions.iter().any(|found| found.type_ == INSECURE);
    ensure!(!insecure, "https is reported as insecure");
    Ok(())
}
