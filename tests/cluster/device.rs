//! The device authorization grant (RFC 8628), which Hydra has from 25.4 on.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::authorization_server::Capability;
use serde_json::{Value, json};
use testbed::HydraMajor;
use testbed::proxy::{Action, Answer, Fault, FaultHandle, RequestHead};

use crate::bed::{Bed, Server, ServerOptions, uid_of};
use crate::conditions::{Tone, client_says};
use crate::run::Side;

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ENDPOINT: &str = "https://id.example.com/oauth2/device/auth";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let mut trials = vec![side.shared(a_version_without_the_device_grant_refuses_it_by_name)];
    if side.major() == HydraMajor::V2 {
        trials.push(side.shared(clients_of_the_device_grant_are_registered));
    }
    trials
}

/// A server of the bed's Hydra that reports another version.
fn reports(server: &Server, version: &str) -> FaultHandle {
    let answer = Answer::json(200, &json!({ "version": version }));
    let asked = |head: &RequestHead| head.is("GET", "/version");
    server.admin.inject(Fault::new(asked, Action::Answer(answer)))
}

/// Makes the operator look at the server again, and waits for the capability to be as wanted.
async fn looks_again(bed: &Bed, server: &Server, has_grant: bool) -> Result<String> {
    let change = json!({ "hydra": { "forwardedProto": "https" } });
    bed.change_server(&server.name, change).await?;
    let what = format!("the device grant of {}: {has_grant}", server.name);
    let found = bed.wait_server(&what, &server.name, |server| {
        let status = server.status.as_ref();
        let has = status.is_some_and(|status| status.capabilities.contains(&Capability::DeviceAuthorizationGrant));
        has == has_grant && status.is_some_and(|status| status.observed_generation == server.metadata.generation)
    });
    found
        .await?
        .status
        .and_then(|status| status.version)
        .context("no version")
}

async fn a_version_without_the_device_grant_refuses_it_by_name(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let _older = (bed.major() == HydraMajor::V2).then(|| reports(&server, "v25.3.0"));
    let version = looks_again(bed, &server, false).await?;
    let space = bed.space().await?;
    let mark = server.admin.journal().mark();
    let spec = json!({ "serverRef": { "name": server.name }, "grantTypes": [DEVICE] });
    space.apply_client("tv", &spec.to_string()).await?;
    let message = format!(
        "AuthorizationServer `{}` (version `{version}`) does not support what this resource sets in grantTypes ({DEVICE}); nothing was changed. Remove it, or use a server or version that supports it.",
        server.name
    );
    client_says(&space, "tv", Tone::Stalled, "UnsupportedByServer", &message).await?;
    ensure!(server.about_clients(mark).is_empty(), "something was asked");
    Ok(())
}

/// The document of the bed's Hydra, with the endpoint of a newer one.
async fn with_device_endpoint(bed: &Bed, server: &Server) -> Result<(FaultHandle, Value)> {
    let url = format!("{}/.well-known/openid-configuration", bed.public_url());
    let text = reqwest::get(url).await?.text().await?;
    let mut document: Value = serde_json::from_str(&text)?;
    document["device_authorization_endpoint"] = json!(ENDPOINT);
    let asked = |head: &RequestHead| head.is("GET", "/.well-known/openid-configuration");
    let answer = Action::Answer(Answer::json(200, &document));
    let issuer = document["issuer"].take();
    Ok((server.public.inject(Fault::new(asked, answer)), issuer))
}

/// Every version stores the grant; only what an older one says of itself is made newer here.
async fn clients_of_the_device_grant_are_registered(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let _newer = reports(&server, "v25.4.0");
    let (_endpoint, issuer) = with_device_endpoint(bed, &server).await?;
    looks_again(bed, &server, true).await?;
    let space = bed.space().await?;
    for (name, type_, grants, scope) in [
        (
            "tv",
            "Public",
            json!([DEVICE, "refresh_token"]),
            "openid offline_access",
        ),
        ("cli", "Confidential", json!([DEVICE]), "openid"),
    ] {
        let spec = json!({
            "serverRef": { "name": server.name }, "clientType": type_, "grantTypes": grants,
            "credentials": { "data": { "ENDPOINT": "$(deviceAuthorizationEndpoint)" } },
        });
        let client = space.ready_client(name, &spec.to_string()).await?;
        let found = bed.registered(&uid_of(&client)).await?;
        ensure!(found["grant_types"] == grants && found["scope"] == scope, "{found}");
        ensure!(found["redirect_uris"] == json!([]), "{found}");
        let data = space.secret_data(name).await?;
        ensure!(data["ENDPOINT"] == ENDPOINT, "{:?}", data.keys());
        ensure!(
            data.contains_key("CLIENT_SECRET") == (type_ == "Confidential"),
            "{name}"
        );
    }
    let spec = json!({ "serverRef": { "name": server.name }, "issuer": issuer });
    space
        .ready::<oidc_operator::api::OidcProvider>("login", &spec.to_string())
        .await?;
    let published = space.config_maps().get("login").await?.data.unwrap_or_default();
    ensure!(
        published["OIDC_DEVICE_AUTHORIZATION_ENDPOINT"] == ENDPOINT,
        "{published:?}"
    );
    Ok(())
}
