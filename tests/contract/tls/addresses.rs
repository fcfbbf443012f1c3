//! Servers at addresses in place of names.

use std::sync::Arc;

use oidc_operator::admin::http::{BadSettings, Http, Settings};
use oidc_operator::leader::Fence;
use serde_json::json;
use testbed::pki::{Pki, ServerCertificate};
use tokio::net::TcpListener;

use super::{Clients, HOST, config, said, sentence, serve, serve_on, trusting};

#[tokio::test]
async fn a_server_at_an_ipv6_address_is_reached_and_verified_by_it() {
    if TcpListener::bind("[::1]:0").await.is_err() {
        return; // no IPv6 here
    }
    let listener = std::net::TcpListener::bind("[::1]:0").expect("a port");
    let plain = wiremock::MockServer::builder().listener(listener).start().await;
    let reply = crate::json_reply(200, &json!({ "client_id": "shop" }));
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(reply)
        .mount(&plain)
        .await;
    let url = format!("http://{}", plain.address());
    assert_eq!(said(&url, &Settings::default()).await, "", "{url}");
    let pki = Pki::new().expect("a CA");
    let of = |name: &str| {
        let certificate = pki.issue(ServerCertificate::of(&[name])).expect("a certificate");
        config(&certificate, &Clients::All, rustls::ALL_VERSIONS)
    };
    let url = serve_on("::1", of("::1")).await;
    assert!(url.starts_with("https://[::1]:"), "{url}");
    assert_eq!(said(&url, &trusting(&pki.ca_pem())).await, "");
    let url = serve_on("::1", of("hydra.test")).await;
    let wrong = "its certificate is for `hydra.test`, not for `::1` (correct the URL or set tls.serverName)";
    assert_eq!(said(&url, &trusting(&pki.ca_pem())).await, sentence(wrong));
    let named = Settings {
        server_name: Some("hydra.test".to_owned()),
        ..trusting(&pki.ca_pem())
    };
    assert_eq!(said(&url, &named).await, "");
}

#[tokio::test]
async fn the_name_to_verify_can_be_an_address() {
    let pki = Pki::new().expect("a CA");
    for (of, name, works) in [
        ("10.0.0.7", "10.0.0.7", true),
        ("fd00::7", "fd00::7", true),
        ("fd00::7", "[fd00::7]", true),
        ("10.0.0.7", "10.0.0.8", false),
        (HOST, "10.0.0.7", false),
    ] {
        let url = serve(&pki.issue(ServerCertificate::of(&[of])).expect("a certificate")).await;
        let settings = Settings {
            server_name: Some(name.to_owned()),
            ..trusting(&pki.ca_pem())
        };
        let expected = match works {
            true => String::new(),
            false => sentence(&format!(
                "its certificate is for `{of}`, not for `{name}` (correct the URL or set tls.serverName)"
            )),
        };
        assert_eq!(said(&url, &settings).await, expected, "{of} {name}");
    }
    let settings = Settings {
        server_name: Some("no name".to_owned()),
        ..Settings::default()
    };
    let made = Http::new(
        "default",
        "https://hydra:4445",
        &settings,
        Fence::open(),
        Arc::default(),
    );
    assert_eq!(made.err(), Some(BadSettings::ServerName));
}
