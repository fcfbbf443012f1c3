//! HTTPS: which certificates of servers the operator accepts, and its own client certificate.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use libtest_mimic::Trial;
use oidc_operator::api::condition::{self, INSECURE};
use serde_json::{Value, json};
use testbed::pki::{Pki, ServerCertificate, Usage, Validity};
use testbed::proxy::{Identity, Proxy, Upstream};

use super::machine_on;
use crate::bed::{Bed, Server, ServerOptions};
use crate::conditions::{Tone, client_ready, server_conditions, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(https_is_verified_and_http_is_reported_as_insecure),
        side.shared(a_missing_or_invalid_ca_is_reported),
        side.shared(the_spec_can_set_another_server_name),
        side.shared(a_client_certificate_is_presented),
        side.shared(a_server_that_is_its_own_ca_works_until_it_expires),
    ]
}

const NOT_IN_CA_REF: &str = "its certificate is not from a CA in tls.caRef (add the certificate of its CA there, and let the server send intermediate certificates)";
const EXPIRED: &str = "its certificate, or one of its chain, has expired (renew it)";

async fn unavailable(bed: &Bed, server: &Server, why: &str) -> Result<()> {
    let message = format!("The server cannot be used now: {why}. The operator keeps trying.");
    server_says(bed, &server.name, Tone::Reconciling, "ServerUnavailable", &message)
        .await
        .map(drop)
}

/// What the operator says of a certificate if the spec names no CA: it depends on the machine.
fn not_known_to_image() -> &'static str {
    match rustls_native_certs::load_native_certs().certs.is_empty() {
        true => {
            "the operator's image holds no CA certificates to verify its certificate with (set tls.caRef, or add CA certificates to the image)"
        }
        false => "its certificate is not from a CA that the operator's image knows (set tls.caRef)",
    }
}

fn identity(pki: &Pki, name: &str) -> Result<Identity> {
    let (certificate_pem, key_pem) = pki.issue_server(&[name])?;
    Ok(Identity {
        certificate_pem,
        key_pem,
    })
}

pub(super) async fn put(bed: &Bed, kind: &str, name: &str, data: Value) -> Result<()> {
    let field = if kind == "Secret" { "stringData" } else { "data" };
    let manifest = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, field: data }).to_string();
    match kind {
        "Secret" => drop(bed.home().apply::<Secret>(&manifest).await?),
        _ => drop(bed.home().apply::<ConfigMap>(&manifest).await?),
    }
    Ok(())
}

async fn works(bed: &Bed, server: &Server) -> Result<()> {
    bed.server_ready(&server.name).await?;
    let space = bed.space().await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "").await?;
    Ok(())
}

pub(super) fn ca_ref(kind: &str, name: &str) -> Value {
    json!({ "kind": kind, "name": name, "key": "ca.crt" })
}

async fn https_is_verified_and_http_is_reported_as_insecure(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let insecure = bed
        .server_condition(&server.name, INSECURE, "True", "PlainHttp")
        .await?;
    let said = condition::find(server_conditions(&insecure), INSECURE).map(|found| found.message.clone());
    ensure!(
        said.as_deref()
            == Some(
                "The operator reaches the admin API over plain http: anyone on the network path can read client secrets; use https or a network policy."
            ),
        "{said:?}"
    );
    let (ours, theirs) = (Pki::new()?, Pki::new()?);
    let proxy = Proxy::start(
        "tls",
        Upstream::http(server.admin.url()),
        Some(identity(&ours, "127.0.0.1")?),
    )
    .await?;
    // Without caRef the operator trusts the CAs of the system, which have not signed the certificate.
    bed.change_server(&server.name, json!({ "hydra": { "adminUrl": proxy.url() } }))
        .await?;
    unavailable(bed, &server, not_known_to_image()).await?;
    let wrong = format!("{}-wrong-ca", server.name);
    put(bed, "ConfigMap", &wrong, json!({ "ca.crt": theirs.ca_pem() })).await?;
    bed.change_server(&server.name, json!({ "tls": { "caRef": ca_ref("ConfigMap", &wrong) } }))
        .await?;
    unavailable(bed, &server, NOT_IN_CA_REF).await?;
    ensure!(
        proxy.journal().snapshot().is_empty(),
        "a request was sent before the certificate was verified"
    );
    // The right CA is added to the same ConfigMap. The spec need not change, and a bundle of several CAs works.
    put(
        bed,
        "ConfigMap",
        &wrong,
        json!({ "ca.crt": format!("{}\n{}", theirs.ca_pem(), ours.ca_pem()) }),
    )
    .await?;
    let secure = bed.server_ready(&server.name).await?;
    ensure!(
        condition::find(server_conditions(&secure), INSECURE).is_none(),
        "https is reported as insecure"
    );
    works(bed, &server).await?;
    let right = format!("{}-right-ca", server.name);
    put(bed, "Secret", &right, json!({ "ca.crt": ours.ca_pem() })).await?;
    bed.change_server(&server.name, json!({ "tls": { "caRef": ca_ref("Secret", &right) } }))
        .await?;
    works(bed, &server).await?;
    ensure!(!proxy.journal().snapshot().is_empty(), "the proxy was bypassed");
    Ok(())
}

async fn a_missing_or_invalid_ca_is_reported(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let pki = Pki::new()?;
    let proxy = Proxy::start(
        "tls",
        Upstream::http(server.admin.url()),
        Some(identity(&pki, "127.0.0.1")?),
    )
    .await?;
    for kind in ["ConfigMap", "Secret"] {
        let name = format!("{}-{}", server.name, kind.to_lowercase());
        let spec = json!({ "hydra": { "adminUrl": proxy.url() }, "tls": { "caRef": ca_ref(kind, &name) } });
        bed.change_server(&server.name, spec).await?;
        let message = format!("{kind} `{name}` does not exist in namespace `oidc-system`. Create it.");
        server_says(bed, &server.name, Tone::Reconciling, "SecretNotFound", &message).await?;
        put(bed, kind, &name, json!({ "other.crt": pki.ca_pem() })).await?;
        let message = format!("{kind} `{name}`, key `ca.crt`, does not exist in namespace `oidc-system`. Create it.");
        server_says(bed, &server.name, Tone::Reconciling, "SecretNotFound", &message).await?;
        put(bed, kind, &name, json!({ "ca.crt": "no certificate" })).await?;
        let message = "tls.caRef: it holds no certificates in PEM form; put the CA's certificate there.";
        server_says(bed, &server.name, Tone::Reconciling, "InvalidSpec", message).await?;
        put(bed, kind, &name, json!({ "ca.crt": pki.ca_pem() })).await?;
        bed.server_ready(&server.name).await?;
    }
    works(bed, &server).await
}

async fn the_spec_can_set_another_server_name(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let pki = Pki::new()?;
    let own = identity(&pki, "hydra-admin.internal")?;
    let proxy = Proxy::start("tls", Upstream::http(server.admin.url()), Some(own)).await?;
    let name = format!("{}-ca", server.name);
    put(bed, "ConfigMap", &name, json!({ "ca.crt": pki.ca_pem() })).await?;
    let tls = json!({ "caRef": ca_ref("ConfigMap", &name) });
    bed.change_server(
        &server.name,
        json!({ "hydra": { "adminUrl": proxy.url() }, "tls": tls }),
    )
    .await?;
    let wrong =
        "its certificate is for `hydra-admin.internal`, not for `127.0.0.1` (correct the URL or set tls.serverName)";
    unavailable(bed, &server, wrong).await?;
    bed.change_server(&server.name, json!({ "tls": { "serverName": "hydra-admin.internal" } }))
        .await?;
    works(bed, &server).await?;
    let hosts = proxy.journal().snapshot();
    let authority = proxy.url().replace("https://", "");
    let host = |found: &testbed::proxy::Exchange| found.head.headers.get("host").map(|host| host.as_bytes().to_vec());
    ensure!(
        hosts
            .iter()
            .all(|found| host(found).as_deref() == Some(authority.as_bytes())),
        "the Host header is not that of the URL"
    );
    Ok(())
}

async fn a_client_certificate_is_presented(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let (pki, clients) = (Pki::new()?, Pki::new()?);
    let own = identity(&pki, "127.0.0.1")?;
    let proxy = Proxy::start_mutual("mtls", Upstream::http(server.admin.url()), &own, &clients.ca_pem()).await?;
    let (ca, certificate) = (format!("{}-ca", server.name), format!("{}-client", server.name));
    put(bed, "ConfigMap", &ca, json!({ "ca.crt": pki.ca_pem() })).await?;
    let tls = json!({ "caRef": ca_ref("ConfigMap", &ca) });
    bed.change_server(
        &server.name,
        json!({ "hydra": { "adminUrl": proxy.url() }, "tls": tls }),
    )
    .await?;
    let wanted = "it requires a client certificate (set tls.clientCertificateRef)";
    unavailable(bed, &server, wanted).await?;

    bed.change_server(
        &server.name,
        json!({ "tls": { "clientCertificateRef": { "name": certificate } } }),
    )
    .await?;
    let message = format!("Secret `{certificate}` does not exist in namespace `oidc-system`. Create it.");
    server_says(bed, &server.name, Tone::Reconciling, "SecretNotFound", &message).await?;
    put(
        bed,
        "Secret",
        &certificate,
        json!({ "tls.crt": "none", "tls.key": "none" }),
    )
    .await?;
    let message = "tls.clientCertificateRef: tls.crt and tls.key are not a certificate and its key in PEM form; correct them in the Secret.";
    server_says(bed, &server.name, Tone::Reconciling, "InvalidSpec", message).await?;
    // The CA of this certificate is unknown to the server.
    let (cert, key) = pki.issue_client("stranger", None)?;
    put(bed, "Secret", &certificate, json!({ "tls.crt": cert, "tls.key": key })).await?;
    let refused = "it refuses the operator's client certificate (check issuer, validity and usage of the one in tls.clientCertificateRef)";
    unavailable(bed, &server, refused).await?;
    let (cert, key) = clients.issue_client("oidc-operator", None)?;
    put(bed, "Secret", &certificate, json!({ "tls.crt": cert, "tls.key": key })).await?;
    works(bed, &server).await?;
    ensure!(!proxy.journal().snapshot().is_empty(), "the proxy was bypassed");
    Ok(())
}

/// Hydra makes such a certificate for itself, and `openssl req -x509` does.
async fn a_server_that_is_its_own_ca_works_until_it_expires(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let ca = format!("{}-ca", server.name);
    let tls = json!({ "caRef": ca_ref("ConfigMap", &ca) });
    for (validity, works_with_it) in [(Validity::Past, false), (Validity::Now, true)] {
        let certificate = ServerCertificate {
            names: &["127.0.0.1"],
            validity,
            usage: Usage::Authority,
        };
        let (certificate_pem, key_pem) = certificate.self_signed()?;
        put(bed, "ConfigMap", &ca, json!({ "ca.crt": certificate_pem })).await?;
        let own = Identity {
            certificate_pem,
            key_pem,
        };
        let proxy = Proxy::start("own CA", Upstream::http(server.admin.url()), Some(own)).await?;
        let spec = json!({ "hydra": { "adminUrl": proxy.url() }, "tls": tls });
        bed.change_server(&server.name, spec).await?;
        if works_with_it {
            works(bed, &server).await?;
        } else {
            unavailable(bed, &server, EXPIRED).await?;
        }
    }
    Ok(())
}
