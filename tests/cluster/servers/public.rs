//! The public API: discovery that cannot be read, TLS that ends in front of the server, and an address that only the
//! operator uses.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::authorization_server::AuthorizationServerStatus;
use oidc_operator::api::condition::{self, DISCOVERY_FAILED, READY};
use oidc_operator::api::{AuthorizationServer, OidcProvider};
use serde_json::json;
use testbed::proxy::{Action, Answer, Fault, Proxy, RequestHead, Upstream};
use testbed::{Hydra, HydraMajor, HydraOptions, Termination};

use crate::bed::{Bed, ServerOptions, everything};
use crate::conditions::server_conditions;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(discovery_that_cannot_be_read_is_reported_on_the_server),
        side.shared(tls_ends_in_front_of_the_server_and_applications_get_the_urls_of_the_issuer),
    ]
}

const AVAILABLE: &str = "The admin API is available.";
const PLAIN: &str = "The public API of the server cannot be used now: it answered 502. If TLS ends in front of the server, set hydra.forwardedProto: https.";

/// Waits until a server is ready, and says this about its discovery document.
async fn ready_saying(bed: &Bed, name: &str, discovery: Option<&str>) -> Result<AuthorizationServerStatus> {
    let says = |server: &AuthorizationServer| {
        let of = |type_| condition::find(server_conditions(server), type_);
        let ready = of(READY).is_some_and(|ready| ready.status == "True" && ready.message == AVAILABLE);
        let failed = of(DISCOVERY_FAILED).filter(|failed| failed.status == "True");
        ready && failed.map(|failed| failed.message.as_str()) == discovery
    };
    let server = bed.wait_server(&format!("{discovery:?}"), name, says).await?;
    server.status.context("a status")
}

fn is_plain(head: &RequestHead) -> bool {
    let proto = head.headers.get("x-forwarded-proto");
    proto.is_none_or(|proto| proto != "https")
}

async fn discovery_that_cannot_be_read_is_reported_on_the_server(bed: &Bed) -> Result<()> {
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let before = ready_saying(bed, &server.name, None).await?;
    let missing =
        "The discovery document is not found where it should be. Check hydra.publicUrl of the AuthorizationServer.";
    for (answer, remark) in [
        (Answer::status(502), PLAIN),
        (Answer::status(404).body("<html>"), missing),
        (
            Answer::status(200).body("<html>"),
            "The discovery document is not JSON. Check hydra.publicUrl of the AuthorizationServer.",
        ),
        (
            Answer::json(200, &json!({})),
            "The discovery document names no issuer. Check hydra.publicUrl of the AuthorizationServer.",
        ),
        (
            Answer::status(503),
            "The public API of the server cannot be used now: it answered 503. The operator keeps trying.",
        ),
    ] {
        let fault = server.public.inject(Fault::new(|_| true, Action::Answer(answer)));
        let status = ready_saying(bed, &server.name, Some(remark)).await?;
        ensure!(status.endpoints == before.endpoints, "{:?}", status.endpoints);
        drop(fault);
        ready_saying(bed, &server.name, None).await?;
    }
    Ok(())
}

/// The issuer of a server that the cluster cannot reach.
const ISSUER: &str = "https://id.example.com";

async fn tls_ends_in_front_of_the_server_and_applications_get_the_urls_of_the_issuer(bed: &Bed) -> Result<()> {
    let hydra = Hydra::start(HydraOptions {
        termination: Termination::InFront,
        env: vec![("URLS_SELF_ISSUER".to_owned(), ISSUER.to_owned())],
        ..HydraOptions::of(bed.major())
    })
    .await?;
    let public = Proxy::start("the public API", Upstream::http(hydra.public_url()), None).await?;
    // Version 1 does so itself.
    let _plain = (bed.major() == HydraMajor::V2)
        .then(|| public.inject(Fault::new(is_plain, Action::Answer(Answer::status(502)))));
    let space = bed.space().await?;
    let name = format!("{}-behind", space.name());
    let spec = json!({
        "hydra": { "adminUrl": hydra.admin_url(), "publicUrl": public.url() },
        "access": everything(&[]), "resyncInterval": "1s",
    });
    bed.create_server(&name, spec).await?;
    let status = ready_saying(bed, &name, Some(PLAIN)).await?;
    ensure!(status.endpoints.is_none(), "{:?}", status.endpoints);

    bed.change_server(&name, json!({ "hydra": { "forwardedProto": "https" } }))
        .await?;
    let status = ready_saying(bed, &name, None).await?;
    let endpoints = status.endpoints.context("endpoints")?;
    // Version 1 ends its issuer with a slash.
    let issuer = match bed.major() {
        HydraMajor::V1 => format!("{ISSUER}/"),
        HydraMajor::V2 => ISSUER.to_owned(),
    };
    let discovery = format!("{ISSUER}/.well-known/openid-configuration");
    ensure!(
        endpoints.issuer == issuer && endpoints.discovery_url == discovery,
        "{endpoints:?}"
    );
    let client = json!({
        "serverRef": { "name": name }, "grantTypes": ["client_credentials"],
        "credentials": { "data": {
            "ISSUER": "$(issuer)", "DISCOVERY": "$(discoveryUrl)", "TOKEN": "$(tokenEndpoint)", "KEYS": "$(jwksUri)",
        } },
    });
    space.ready_client("app", &client.to_string()).await?;
    let data = space.secret_data("app").await?;
    for (key, expected) in [
        ("ISSUER", issuer.as_str()),
        ("DISCOVERY", &discovery),
        ("TOKEN", &format!("{ISSUER}/oauth2/token")),
        ("KEYS", &format!("{ISSUER}/.well-known/jwks.json")),
    ] {
        ensure!(data.get(key).map(String::as_str) == Some(expected), "{key}: {data:?}");
    }
    let provider = json!({ "serverRef": { "name": name }, "issuer": issuer });
    space.ready::<OidcProvider>("login", &provider.to_string()).await?;
    let published = space.config_maps().get("login").await?.data.unwrap_or_default();
    for (key, expected) in [("OIDC_ISSUER", &issuer), ("OIDC_DISCOVERY_URL", &discovery)] {
        ensure!(published.get(key) == Some(expected), "{key}: {published:?}");
    }
    let internal = public.url();
    let seen = data
        .values()
        .chain(published.values())
        .find(|value| value.contains(&internal));
    ensure!(seen.is_none(), "{seen:?}");
    // Hydra ends with the test, and its server must not be probed for ever.
    space.delete_and_wait("app").await?;
    space.remove::<OidcProvider>("login").await?;
    bed.servers_api()
        .delete(&name, &kube::api::DeleteParams::default())
        .await?;
    Ok(())
}
