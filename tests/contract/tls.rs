//! TLS with real servers: which ones the operator accepts, and what it says of the others.

mod addresses;
mod answers;

use std::sync::Arc;

use oidc_operator::admin::http::{BadSettings, Failure, Http, Settings};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::vault::health;
use oidc_operator::error::{Error, Outage, TlsFault};
use oidc_operator::leader::Fence;
use oidc_operator::metrics::Metrics;
use oidc_operator::secret::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use testbed::pki::{Pki, ServerCertificate, Usage, Validity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{http, over};

const REPLY: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"client_id\":\"shop\"}";
/// The name in the URL of every server here.
const HOST: &str = "127.0.0.1";

/// How a server treats client certificates.
enum Clients {
    /// It does not ask for one.
    All,
    /// It requires one of this CA (PEM).
    Of(String),
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found.expect("certificates")
}

fn config(
    (certificate, key): &(String, String),
    clients: &Clients,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
    let builder = builder.expect("versions");
    let builder = match clients {
        Clients::All => builder.with_no_client_auth(),
        Clients::Of(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(ca));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    builder
        .with_single_cert(certificates(certificate), key)
        .expect("a certificate")
}

/// Answers every request over TLS. Returns the URL.
async fn serve_as(config: ServerConfig) -> String {
    serve_on(HOST, config).await
}

async fn serve_on(host: &str, config: ServerConfig) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((host, 0)).await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut request = [0; 4096];
                while stream.read(&mut request).await? > 0 {
                    stream.write_all(REPLY).await?;
                }
                stream.shutdown().await
            });
        }
    });
    url
}

pub(crate) async fn serve(certificate: &(String, String)) -> String {
    serve_as(config(certificate, &Clients::All, rustls::ALL_VERSIONS)).await
}

/// Answers every connection with the same bytes, after the client's first ones, and closes it.
async fn serve_raw(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind((HOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    address
}

pub(crate) fn trusting(ca: &str) -> Settings {
    Settings {
        ca_pem: Some(ca.as_bytes().to_vec()),
        ..Settings::default()
    }
}

fn showing(ca: &str, (certificate, key): &(String, String)) -> Settings {
    Settings {
        identity_pem: Some(Secret::new(format!("{certificate}\n{key}"))),
        ..trusting(ca)
    }
}

pub(crate) fn at(url: &str, settings: &Settings) -> Hydra {
    over(http(url, settings), "v2.3.0")
}

/// What the condition of the AuthorizationServer says after a request; nothing if the request succeeds.
async fn said(url: &str, settings: &Settings) -> String {
    match at(url, settings).get_client("shop").await {
        Ok(_) => String::new(),
        Err(Failure::Outage(outage)) => Error::Unavailable(outage).to_string(),
        Err(other) => format!("{other:?}"),
    }
}

fn sentence(clause: &str) -> String {
    match clause {
        "" => String::new(),
        clause => format!("The server cannot be used now: {clause}. The operator keeps trying."),
    }
}

const EXPIRED: &str = "its certificate, or one of its chain, has expired (renew it)";
const NOT_YET_VALID: &str = "its certificate, or one of its chain, is not valid yet (check the clocks of the server and of the operator's node)";
const NOT_IN_CA_REF: &str = "its certificate is not from a CA in tls.caRef (add the certificate of its CA there, and let the server send intermediate certificates)";
const CA_AS_SERVER: &str = "its certificate is a CA's, which the operator accepts only if tls.caRef holds exactly this certificate (put it there, or issue one with CA:FALSE)";
const WANTED: &str = "it requires a client certificate (set tls.clientCertificateRef)";
const REFUSED: &str = "it refuses the operator's client certificate (check issuer, validity and usage of the one in tls.clientCertificateRef)";
const NOTHING_IN_COMMON: &str =
    "it has no TLS version or cipher suite in common with the operator (enable TLS 1.2 or 1.3 there)";
const NOT_TLS: &str = "it does not speak TLS on this port (correct the port, or use http)";
const NOT_HTTP: &str = "its reply is not HTTP (check the port, and whether it expects https)";

#[tokio::test]
async fn each_fault_of_a_certificate_from_a_trusted_ca_has_its_own_sentence() {
    let pki = Pki::new().expect("a CA");
    let of = ServerCertificate::of;
    let right = of(&[HOST]);
    let long = "a".repeat(101);
    let odd = ["a\nb", "<b>", "x`y", "`\") and `", "with space", &long, "a.test"];
    let table = [
        (right, ""),
        (
            ServerCertificate {
                validity: Validity::Past,
                ..right
            },
            EXPIRED,
        ),
        (
            ServerCertificate {
                validity: Validity::Future,
                ..right
            },
            NOT_YET_VALID,
        ),
        (
            ServerCertificate {
                usage: Usage::Client,
                ..right
            },
            "its certificate is not for servers (issue one with the extended key usage serverAuth)",
        ),
        (
            ServerCertificate {
                usage: Usage::Authority,
                ..right
            },
            CA_AS_SERVER,
        ),
        (
            of(&["hydra-admin.hydra"]),
            "its certificate is for `hydra-admin.hydra`, not for `127.0.0.1` (correct the URL or set tls.serverName)",
        ),
        (
            of(&["::1", "10.0.0.7", "*.Example.com", "hydra"]),
            "its certificate is for `*.example.com`, `10.0.0.7`, `::1` and `hydra`, not for `127.0.0.1` (correct the URL or set tls.serverName)",
        ),
        (
            of(&["f.test", "e.test", "d.test", "c.test", "b.test", "a.test", "a.test"]),
            "its certificate is for `a.test`, `b.test`, `c.test`, `d.test`, `e.test` and other names, not for `127.0.0.1` (correct the URL or set tls.serverName)",
        ),
        (
            of(&odd),
            "its certificate is for `a.test` and other names, not for `127.0.0.1` (correct the URL or set tls.serverName)",
        ),
        (
            of(&["two\nlines"]),
            "its certificate is for other names, not for `127.0.0.1` (correct the URL or set tls.serverName)",
        ),
        (
            of(&[]),
            "its certificate has no DNS name or IP address (issue one with `127.0.0.1` as subjectAltName)",
        ),
    ];
    for (certificate, expected) in table {
        let url = serve(&pki.issue(certificate).expect("a certificate")).await;
        assert_eq!(
            said(&url, &trusting(&pki.ca_pem())).await,
            sentence(expected),
            "{certificate:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_issuer_is_told_with_what_is_trusted() {
    let (ours, theirs) = (Pki::new().expect("a CA"), Pki::new().expect("a CA"));
    let url = serve(&ours.issue(ServerCertificate::of(&[HOST])).expect("a certificate")).await;
    // Both CAs have the same name, as one that was made anew.
    assert_eq!(said(&url, &trusting(&theirs.ca_pem())).await, sentence(NOT_IN_CA_REF));
    let both = format!("{}\n{}", theirs.ca_pem(), ours.ca_pem());
    assert_eq!(said(&url, &trusting(&both)).await, "");
    let (other, _) = ServerCertificate::of(&["other"]).self_signed().expect("a certificate");
    assert_eq!(said(&url, &trusting(&other)).await, sentence(NOT_IN_CA_REF));
}

#[tokio::test]
async fn an_issuer_that_the_image_does_not_know_is_told_too() {
    let pki = Pki::new().expect("a CA");
    let url = serve(&pki.issue(ServerCertificate::of(&[HOST])).expect("a certificate")).await;
    let image = "its certificate is not from a CA that the operator's image knows (set tls.caRef)";
    let both = "its certificate is not from a CA in tls.caRef or in the operator's image (add the certificate of its CA to tls.caRef)";
    let of_public_api = |ca: &Pki| Settings {
        keep_system_roots: true,
        ..trusting(&ca.ca_pem())
    };
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        assert_eq!(said(&url, &Settings::default()).await, sentence(image));
        assert_eq!(
            said(&url, &of_public_api(&Pki::new().expect("a CA"))).await,
            sentence(both)
        );
    }
    assert_eq!(said(&url, &of_public_api(&pki)).await, "");
}

/// As `openssl req -x509` and Hydra's own certificate: signed by itself, and said to be a CA's.
#[tokio::test]
async fn a_ca_certificate_of_a_server_is_accepted_if_it_is_trusted_itself_and_otherwise_valid() {
    let own = |names, validity| {
        let certificate = ServerCertificate {
            names,
            validity,
            usage: Usage::Authority,
        };
        certificate.self_signed().expect("a certificate")
    };
    let right = own(&[HOST], Validity::Now);
    let other = own(&[HOST], Validity::Now);
    let url = serve(&right).await;
    assert_eq!(said(&url, &trusting(&right.0)).await, "");
    assert_eq!(said(&url, &trusting(&format!("{}\n{}", other.0, right.0))).await, "");
    assert_eq!(said(&url, &trusting(&other.0)).await, sentence(CA_AS_SERVER));
    // TLS 1.2 verifies the signature of the handshake in another way.
    let old = serve_as(config(&right, &Clients::All, &[&rustls::version::TLS12])).await;
    assert_eq!(said(&old, &trusting(&right.0)).await, "");
    let not_for =
        "its certificate is for `hydra-admin.hydra`, not for `127.0.0.1` (correct the URL or set tls.serverName)";
    for (names, validity, expected) in [
        (&[HOST], Validity::Past, EXPIRED),
        (&[HOST], Validity::Future, NOT_YET_VALID),
        (&["hydra-admin.hydra"], Validity::Now, not_for),
    ] {
        let wrong = own(names, validity);
        let url = serve(&wrong).await;
        assert_eq!(said(&url, &trusting(&wrong.0)).await, sentence(expected));
    }
    // Its key must be the server's: a copy of the certificate alone does not help.
    let mixed = config(&other, &Clients::All, rustls::ALL_VERSIONS);
    let url = serve_as(mixed).await;
    assert_eq!(said(&url, &trusting(&right.0)).await, sentence(CA_AS_SERVER));
    // Signed by itself, and no CA's.
    let plain = ServerCertificate::of(&[HOST]).self_signed().expect("a certificate");
    let url = serve(&plain).await;
    assert_eq!(said(&url, &trusting(&plain.0)).await, "");
    assert_eq!(said(&url, &trusting(&right.0)).await, sentence(NOT_IN_CA_REF));
}

#[tokio::test]
async fn a_wanted_or_refused_client_certificate_is_told_apart_on_both_versions() {
    let (pki, clients) = (Pki::new().expect("a CA"), Pki::new().expect("a CA"));
    let server = pki.issue(ServerCertificate::of(&[HOST])).expect("a certificate");
    let client = |pki: &Pki| pki.issue_client("oidc-operator", None).expect("a certificate");
    let expired = clients.issue(ServerCertificate {
        names: &["oidc-operator"],
        validity: Validity::Past,
        usage: Usage::Client,
    });
    let for_servers = clients.issue(ServerCertificate::of(&["oidc-operator"]));
    let ca = pki.ca_pem();
    for versions in [[&rustls::version::TLS12], [&rustls::version::TLS13]] {
        let requiring = config(&server, &Clients::Of(clients.ca_pem()), &versions);
        let url = serve_as(requiring).await;
        for (settings, expected) in [
            (trusting(&ca), WANTED),
            (showing(&ca, &client(&clients)), ""),
            (showing(&ca, &client(&pki)), REFUSED),
            (showing(&ca, expired.as_ref().expect("a certificate")), REFUSED),
            (showing(&ca, for_servers.as_ref().expect("a certificate")), REFUSED),
        ] {
            // Which of both ends first: the alert, or the connection.
            for _ in 0..20 {
                assert_eq!(said(&url, &settings).await, sentence(expected), "{versions:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_and_the_key_of_another_are_refused_at_once() {
    let pki = Pki::new().expect("a CA");
    let client = || pki.issue_client("oidc-operator", None).expect("a certificate");
    let mixed = (client().0, client().1);
    let settings = showing(&pki.ca_pem(), &mixed);
    let made = Http::new(
        "default",
        "https://hydra:4445",
        &settings,
        Fence::open(),
        Arc::new(Metrics::default()),
    );
    assert_eq!(made.err(), Some(BadSettings::Identity));
}

/// All flavours use the same endpoint.
#[tokio::test]
async fn every_flavour_tells_an_expired_certificate() {
    let pki = Pki::new().expect("a CA");
    let certificate = ServerCertificate {
        validity: Validity::Past,
        ..ServerCertificate::of(&[HOST])
    };
    let url = serve(&pki.issue(certificate).expect("a certificate")).await;
    let endpoint = || Arc::new(http(&url, &trusting(&pki.ca_pem())));
    let expired = || Some(Failure::Outage(Outage::Tls(TlsFault::Expired)));
    assert_eq!(health::health(&endpoint()).await.err(), expired());
    let foulkon = oidc_operator::admin::foulkon::Foulkon::new(endpoint());
    assert_eq!(foulkon.about().await.err(), expired());
    let hydra = over(http(&url, &trusting(&pki.ca_pem())), "v2.3.0");
    assert_eq!(hydra.get_client("shop").await.err(), expired());
}
