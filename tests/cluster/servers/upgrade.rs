//! A server that is upgraded in place from version 1 to version 2 while the operator runs.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::authorization_server::Capability;
use serde_json::json;
use testbed::HydraMajor;

use super::machine_on;
use crate::bed::{Bed, ServerOptions, uid_of};
use crate::conditions::{Tone, client_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    match side.major() {
        HydraMajor::V1 => vec![side.shared(an_upgrade_changes_no_client)],
        HydraMajor::V2 => Vec::new(), // the upgrade ends at this version
    }
}

async fn an_upgrade_changes_no_client(bed: &Bed) -> Result<()> {
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        ..ServerOptions::default()
    };
    let mut lab = bed.lab(&[], options).await?;
    let (server, space) = (lab.server.clone(), bed.space().await?);
    let web = json!({
        "serverRef": { "name": server.name }, "redirectUris": ["https://app.example.com/cb"], "audience": ["a", "b"],
        "scopes": [], "accessTokenTtl": "90m", "metadata": { "a": { "b": [1, "<>"] } },
        "credentials": { "data": { "issuer": "$(issuer)" } },
    });
    let public = json!({
        "serverRef": { "name": server.name }, "clientType": "Public", "redirectUris": ["https://spa.example.com/"],
    });
    let newer = json!({
        "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"],
        "hydra": { "accessTokenStrategy": "jwt" },
    });
    space.ready_client("web", &web.to_string()).await?;
    space.ready_client("public", &public.to_string()).await?;
    space.ready_client("machine", &machine_on(&server.name)).await?;
    space.apply_client("newer", &newer.to_string()).await?;
    let refused = format!(
        "AuthorizationServer `{}` (version `v1.11.10`) does not support what this resource sets in hydra.accessTokenStrategy; nothing was changed. Remove it, or use a server or version that supports it.",
        server.name
    );
    client_says(&space, "newer", Tone::Stalled, "UnsupportedByServer", &refused).await?;
    let issuer = space.secret_data("web").await?["issuer"].clone();
    let (id, secret) = space.credentials("machine").await?;
    lab.token(&id, &secret, "").await?;

    let mark = server.admin.journal().mark();
    lab.upgrade().await?;
    bed.wait_server("version 2 to be seen", &server.name, |server| {
        server.status.as_ref().is_some_and(|status| {
            status.version.as_deref() == Some("v2.3.0") && status.capabilities.contains(&Capability::SkipConsent)
        })
    })
    .await?;
    // The client that version 1 did not support becomes ready without a change.
    let newer = space.wait_ready("newer").await?;
    for name in ["web", "public", "machine"] {
        space.wait_ready(name).await?;
    }
    bed.server_ready(&server.name).await?;
    lab.token(&id, &secret, "").await?;
    let path = format!("/admin/clients/{}", uid_of(&newer));
    let mut written = server.about_clients(mark);
    written.retain(|exchange| exchange.head.method != "GET" && exchange.head.path() != path);
    ensure!(
        written.len() == 1 && written[0].head.is("POST", "/admin/clients"),
        "something was written besides the new client: {written:#?}"
    );
    let now = space.secret_data("web").await?["issuer"].clone();
    ensure!(
        issuer.ends_with('/') && issuer.trim_end_matches('/') == now,
        "the issuer was {issuer} and is {now}"
    );
    Ok(())
}
