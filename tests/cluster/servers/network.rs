//! What surrounds the operator: proxies, and what its image and its pod lack.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use testbed::forward::{ForwardProxy, Rules};
use testbed::pki::{Pki, ServerCertificate};
use testbed::proxy::{Identity, Proxy, Upstream};

use super::machine_on;
use super::tls::{ca_ref, put};
use crate::bed::{Bed, OperatorOptions, Options, Server, ServerOptions};
use crate::conditions::{Tone, client_ready, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    let bare = Options::bare();
    vec![
        side.alone(bare.clone(), servers_behind_a_proxy_become_ready),
        side.alone(bare, a_bare_image_serves_plain_http_and_both_families_of_addresses),
    ]
}

fn environment(variables: &[(&str, &str)]) -> OperatorOptions {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    OperatorOptions {
        environment: variables.iter().map(owned).collect(),
        everywhere: true,
        ..OperatorOptions::default()
    }
}

fn address(proxy: &Proxy) -> Result<SocketAddr> {
    let url = proxy.url();
    let (_, address) = url.split_once("://").context("no URL")?;
    Ok(address.parse()?)
}

async fn works(bed: &Bed, server: &Server, client: &str) -> Result<()> {
    bed.server_ready(&server.name).await?;
    let space = bed.space().await?;
    space.apply_client(client, &machine_on(&server.name)).await?;
    client_ready(&space, client).await?;
    let (id, secret) = space.credentials(client).await?;
    bed.token(&id, &secret, "").await.map(drop)
}

/// Only the proxy knows the servers' names.
async fn servers_behind_a_proxy_become_ready(bed: &Bed) -> Result<()> {
    let options = ServerOptions {
        spec: json!({ "hydra": { "adminUrl": "http://hydra.test:4445", "publicUrl": "http://id.test:4444" } }),
        ..ServerOptions::default()
    };
    let server = bed.make_server("behind", options).await?;
    let pki = Pki::new()?;
    let (certificate_pem, key_pem) = pki.issue(ServerCertificate::of(&["hydra.test"]))?;
    let own = Identity {
        certificate_pem,
        key_pem,
    };
    let secure = Proxy::start("https", Upstream::http(server.admin.url()), Some(own)).await?;
    let forward = ForwardProxy::start(Rules {
        hosts: vec![
            ("hydra.test:4445".to_owned(), address(&server.admin)?),
            ("id.test:4444".to_owned(), address(&server.public)?),
            ("hydra.test:443".to_owned(), address(&secure)?),
        ],
        login: Some("Basic dXNlcjpnZWhlaW0=".to_owned()),
        ..Rules::default()
    })
    .await?;
    let url = format!("http://user:geheim@{}", forward.address());
    let operator = bed
        .start_operator(environment(&[("HTTP_PROXY", &url), ("https_proxy", &url)]))
        .await?;
    works(bed, &server, "plain").await?;
    let endpoints = |found: &oidc_operator::api::AuthorizationServer| {
        found.status.as_ref().is_some_and(|status| status.endpoints.is_some())
    };
    bed.wait_server("its endpoints", &server.name, endpoints).await?;

    put(bed, "ConfigMap", "proxied-ca", json!({ "ca.crt": pki.ca_pem() })).await?;
    let spec =
        json!({ "hydra": { "adminUrl": "https://hydra.test" }, "tls": { "caRef": ca_ref("ConfigMap", "proxied-ca") } });
    bed.change_server(&server.name, spec).await?;
    works(bed, &server, "secure").await?;
    let seen = forward.seen();
    for start in [
        "GET http://hydra.test:4445/",
        "GET http://id.test:4444/",
        "CONNECT hydra.test:443",
    ] {
        let is_there = seen.iter().any(|seen| seen.request.starts_with(start));
        ensure!(is_there, "no request {start} at the proxy: {seen:?}");
    }
    ensure!(
        !operator.log().contains("geheim"),
        "the log shows the login of the proxy"
    );
    Ok(())
}

/// The variables name no HTTP proxy, and kube does not understand them either.
async fn a_bare_image_serves_plain_http_and_both_families_of_addresses(bed: &Bed) -> Result<()> {
    let options = environment(&[
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_DIR", "/nonexistent"),
        ("HTTPS_PROXY", "socks 5://user:geheim@nowhere"),
        ("NO_PROXY", "a,,*.b, *"),
    ]);
    let operator = bed.start_operator(options).await?;
    let server = bed.own_server(ServerOptions::default()).await?;
    works(bed, &server, "plain").await?;

    let pki = Pki::new()?;
    let (certificate_pem, key_pem) = pki.issue_server(&["127.0.0.1"])?;
    let own = Identity {
        certificate_pem,
        key_pem,
    };
    let secure = Proxy::start("https", Upstream::http(server.admin.url()), Some(own)).await?;
    bed.change_server(&server.name, json!({ "hydra": { "adminUrl": secure.url() } }))
        .await?;
    let message = "The server cannot be used now: the operator's image holds no CA certificates to verify its certificate with (set tls.caRef, or add CA certificates to the image). The operator keeps trying.";
    server_says(bed, &server.name, Tone::Reconciling, "ServerUnavailable", message).await?;
    put(bed, "ConfigMap", "only-ca", json!({ "ca.crt": pki.ca_pem() })).await?;
    let tls = json!({ "tls": { "caRef": ca_ref("ConfigMap", "only-ca") } });
    bed.change_server(&server.name, tls).await?;
    works(bed, &server, "secure").await?;

    let log = operator.log();
    ensure!(
        log.contains("HTTPS_PROXY") && log.contains("is ignored"),
        "the log is silent about HTTPS_PROXY"
    );
    ensure!(!log.contains("geheim"), "the log shows the value of HTTPS_PROXY");
    ensure!(operator.probe_at("127.0.0.1", "/readyz").await?.0 == 200);
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return Ok(()); // no IPv6 here
    }
    ensure!(operator.probe_at("[::1]", "/readyz").await?.0 == 200);
    let upstream = Upstream::http(server.admin.url());
    let of_ipv6 = Proxy::start_at("IPv6", "[::1]:0".parse()?, upstream).await?;
    let spec = json!({ "hydra": { "adminUrl": of_ipv6.url() }, "tls": null });
    bed.change_server(&server.name, spec).await?;
    works(bed, &server, "ipv6").await?;
    ensure!(
        !of_ipv6.journal().snapshot().is_empty(),
        "the IPv6 address was not used"
    );
    Ok(())
}
