//! The login: every request carries it, no redirect gets it, and no log or metric shows it.

use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use oidc_operator::admin::discovery;
use oidc_operator::admin::http::{BadSettings, Body, Failure, Http, RedirectTo, Reply, Request, Settings};
use oidc_operator::admin::hydra::Hydra;
use oidc_operator::admin::hydra::clients::JsonPatchOperation;
use oidc_operator::admin::hydra::key::{JsonWebKey, JsonWebKeySet};
use oidc_operator::admin::hydra::request::{ConsentRequest, LoginRequest, LogoutRequest};
use oidc_operator::admin::hydra::sessions::GivenConsent;
use oidc_operator::leader::Fence;
use oidc_operator::metrics::{Metrics, Snapshot};
use oidc_operator::secret::Secret;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer};

use crate::{always, client, html, http, json_reply, operations, over, received};

fn secret(value: &str) -> Secret {
    Secret::new(value.to_owned())
}

fn bearer() -> Settings {
    Settings {
        headers: vec![
            ("X-Forwarded-Proto".to_owned(), secret("https")),
            ("Authorization".to_owned(), secret("Bearer geheim-token")),
            ("X-Api-Key".to_owned(), secret("geheim-key")),
        ],
        ..Settings::default()
    }
}

fn basic() -> Settings {
    Settings {
        basic: Some((secret("geheim-user"), secret("geheim:password"))),
        ..Settings::default()
    }
}

/// Calls each operation once.
async fn everything(http: Http) {
    let http = Arc::new(http);
    for operation in operations::all() {
        let _ = operation.on(&http).await;
    }
}

/// Number of requests that [`everything`] sends.
fn requests() -> usize {
    operations::all().len()
}

/// Values of a header in the order of the requests.
async fn sent(server: &MockServer, name: &str) -> Vec<Option<String>> {
    let requests = server.received_requests().await.unwrap_or_default();
    let values = requests.iter().map(|request| request.headers.get(name));
    values
        .map(|value| value.and_then(|v| v.to_str().ok()).map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn every_request_carries_login_and_headers() {
    for (settings, expected) in [
        (
            bearer(),
            vec![
                ("Authorization", "Bearer geheim-token"),
                ("X-Forwarded-Proto", "https"),
                ("X-Api-Key", "geheim-key"),
            ],
        ),
        // geheim-user:geheim:password
        (
            basic(),
            vec![("Authorization", "Basic Z2VoZWltLXVzZXI6Z2VoZWltOnBhc3N3b3Jk")],
        ),
    ] {
        let (server, _) = always(json_reply(200, &json!({ "client_id": "shop" }))).await;
        everything(http(&server.uri(), &settings)).await;
        for (name, value) in expected {
            let every = vec![Some(value.to_owned()); requests()];
            assert_eq!(sent(&server, name).await, every, "{name}");
        }
        let mut accepted = sent(&server, "Accept").await;
        assert_eq!(
            accepted.pop(),
            Some(Some("text/plain".to_owned())),
            "the metrics are requested last"
        );
        let json = Some("application/json".to_owned());
        assert!(accepted.iter().all(|value| *value == json), "{accepted:?}");
    }
}

#[tokio::test]
async fn without_settings_no_login_is_sent() {
    let (server, _) = always(json_reply(200, &json!({ "client_id": "shop" }))).await;
    everything(http(&server.uri(), &Settings::default())).await;
    assert_eq!(sent(&server, "Authorization").await, vec![None; requests()]);
    assert_eq!(sent(&server, "X-Forwarded-Proto").await, vec![None; requests()]);
}

#[tokio::test]
async fn bodies_are_json_and_carry_the_secret_only_where_one_is_given() {
    let (server, hydra) = always(json_reply(200, &json!({ "client_id": "shop" }))).await;
    let shop = client("shop");
    let _ = hydra.create_client(&shop, Some(&secret("geheim"))).await;
    let _ = hydra.update_client(&shop, Some(&secret("geheim"))).await;
    let _ = hydra.update_client(&shop, None).await;
    let requests = server.received_requests().await.unwrap_or_default();
    let bodies: Vec<serde_json::Value> = requests.iter().map(|r| r.body_json().expect("JSON")).collect();
    let with = json!({ "client_id": "shop", "scope": "openid", "client_secret": "geheim" });
    let without = json!({ "client_id": "shop", "scope": "openid" });
    assert_eq!(bodies, [with.clone(), with, without]);
    assert_eq!(
        sent(&server, "Content-Type").await,
        vec![Some("application/json".to_owned()); 3]
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_is_sent_there() {
    for (code, settings) in [
        (301, bearer()),
        (302, basic()),
        (303, bearer()),
        (307, bearer()),
        (307, basic()),
        (308, basic()),
    ] {
        let elsewhere = MockServer::start().await;
        Mock::given(any())
            .respond_with(json_reply(200, &json!({ "client_id": "shop" })))
            .mount(&elsewhere)
            .await;
        let location = format!("{}/admin/clients/shop", elsewhere.uri());
        let (server, _) = always(html(code).insert_header("Location", location.as_str())).await;
        everything(http(&server.uri(), &settings)).await;
        assert_eq!(received(&server).await, requests(), "{code}");
        assert_eq!(received(&elsewhere).await, 0, "{code}");
    }
}

#[tokio::test]
async fn discovery_is_fetched_below_the_public_url() {
    let document = json!({
        "issuer": "https://id.example.com/",
        "token_endpoint": "https://id.example.com/oauth2/token",
        "subject_types_supported": ["unheard-of", "pairwise"],
    });
    let (server, _) = always(json_reply(200, &document)).await;
    let url = format!("{}/base/", server.uri());
    let found = discovery::fetch(&http(&url, &Settings::default()))
        .await
        .expect("a document");
    assert_eq!(found.endpoints.issuer, "https://id.example.com/");
    assert_eq!(
        found.endpoints.token_endpoint.as_deref(),
        Some("https://id.example.com/oauth2/token")
    );
    assert_eq!(found.endpoints.jwks_uri, None);
    assert_eq!(
        found.endpoints.discovery_url,
        "https://id.example.com/.well-known/openid-configuration"
    );
    assert_eq!(found.subject_types.len(), 1, "unknown types are left out");
    let requests = server.received_requests().await.unwrap_or_default();
    assert_eq!(requests[0].url.path(), "/base/.well-known/openid-configuration");
    for body in [json!({}), json!({ "issuer": 1 }), json!([]), json!(null)] {
        let (server, _) = always(json_reply(200, &body)).await;
        let found = discovery::fetch(&http(&server.uri(), &Settings::default())).await;
        assert!(found.is_err(), "{body}");
    }
}

/// The operator may reach the server at an address that applications cannot use. Hydra 1 ends its issuer with a slash.
#[tokio::test]
async fn the_discovery_url_is_that_of_the_issuer() {
    for (issuer, expected) in [
        (
            "https://id.example.com",
            "https://id.example.com/.well-known/openid-configuration",
        ),
        (
            "https://id.example.com/",
            "https://id.example.com/.well-known/openid-configuration",
        ),
        (
            "https://id.example.com/a/b/",
            "https://id.example.com/a/b/.well-known/openid-configuration",
        ),
    ] {
        let (server, _) = always(json_reply(200, &json!({ "issuer": issuer }))).await;
        let found = discovery::fetch(&http(&server.uri(), &Settings::default())).await;
        let endpoints = found.expect("a document").endpoints;
        assert_eq!((&*endpoints.issuer, &*endpoints.discovery_url), (issuer, expected));
    }
}

#[test]
fn unusable_settings_are_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let header = |name: &str, value: &str| Settings {
        headers: vec![(name.to_owned(), secret(value))],
        ..Settings::default()
    };
    let ca = |pem: &str| Settings {
        ca_pem: Some(pem.as_bytes().to_vec()),
        ..Settings::default()
    };
    let identity = Settings {
        identity_pem: Some(secret("no certificate")),
        ..Settings::default()
    };
    let base = "https://hydra.example.com";
    let cases = [
        ("not a URL", Settings::default(), BadSettings::Url),
        (base, header("X-Api-Key", "two\nlines"), BadSettings::Header),
        (base, header("X Api Key", "x"), BadSettings::Header),
        (base, header("", "x"), BadSettings::Header),
        (base, ca(""), BadSettings::Ca),
        (base, ca("no certificate"), BadSettings::Ca),
        (
            base,
            ca("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            BadSettings::Ca,
        ),
        (base, identity, BadSettings::Identity),
    ];
    for (base, settings, expected) in cases {
        let made = Http::new("default", base, &settings, Fence::open(), Arc::new(Metrics::default()));
        assert_eq!(made.err(), Some(expected), "{base}");
    }
}

/// The log at its most verbose level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_at_any_level_shows_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for status in [200, 400, 500] {
        for settings in [bearer(), basic()] {
            let body = json!({
                "client_id": "shop",
                "client_secret": "geheim-reply",
                "error": "geheim-error",
                "challenge": "geheim-challenge",
                "redirect_to": "https://id.example.com/?login_verifier=geheim",
                "keys": [{ "kty": "oct", "kid": "k", "k": "geheim-key" }],
            });
            let (server, _) = always(json_reply(status, &body)).await;
            everything(http(&server.uri(), &settings)).await;
        }
    }
    tracing::info!("the log is read");
    let text = String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(text.contains("the log is read"));
    for shown in ["geheim", "Z2VoZWlt"] {
        let line = text.lines().find(|line| line.contains(shown));
        assert_eq!(line, None);
    }
}

#[tokio::test]
async fn no_metric_shows_a_secret_or_an_id() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, _) = always(json_reply(200, &json!({ "client_id": "geheim-id" }))).await;
    let metrics = Arc::new(Metrics::default());
    let http = Http::new("default", &server.uri(), &bearer(), Fence::open(), metrics.clone()).expect("an endpoint");
    let hydra = over(http, "v2.3.0");
    let _ = hydra.get_client("geheim-id").await;
    let text = metrics.render(Snapshot::default());
    assert!(text.contains(r#"operation="get_o_auth2_client""#), "{text}");
    assert!(!text.contains("geheim"), "{text}");
}

/// Does not compile if one of these types can be serialized, as JSON for instance: two implementations would fit.
#[test]
fn types_that_hold_private_keys_have_no_serialize() {
    struct Writable;
    trait Kept<A> {
        fn kept() {}
    }
    impl<T: ?Sized> Kept<()> for T {}
    impl<T: ?Sized + serde::Serialize> Kept<Writable> for T {}
    <Secret as Kept<_>>::kept();
    <JsonWebKey as Kept<_>>::kept();
    <JsonWebKeySet as Kept<_>>::kept();
    <LoginRequest as Kept<_>>::kept();
}

/// Does not compile if one of these types can be printed: two implementations would fit.
#[test]
fn types_that_hold_secrets_have_no_debug() {
    struct Printable;
    trait Hidden<A> {
        fn hidden() {}
    }
    impl<T: ?Sized> Hidden<()> for T {}
    impl<T: ?Sized + Debug> Hidden<Printable> for T {}
    <Secret as Hidden<_>>::hidden();
    <Settings as Hidden<_>>::hidden();
    <Http as Hidden<_>>::hidden();
    <Hydra as Hidden<_>>::hidden();
    <Request<'static> as Hidden<_>>::hidden();
    <Body as Hidden<_>>::hidden();
    <Reply as Hidden<_>>::hidden();
    <JsonWebKey as Hidden<_>>::hidden();
    <JsonWebKeySet as Hidden<_>>::hidden();
    <JsonPatchOperation as Hidden<_>>::hidden();
    <LoginRequest as Hidden<_>>::hidden();
    <ConsentRequest as Hidden<_>>::hidden();
    <LogoutRequest as Hidden<_>>::hidden();
    <GivenConsent as Hidden<_>>::hidden();
}

/// A failure may be printed, but never with the URL in it.
#[test]
fn the_url_for_a_browser_is_not_printed() {
    let failure = Failure::Handled(Some(RedirectTo::new("https://id/?login_verifier=geheim".to_owned())));
    assert_eq!(format!("{failure:?}"), "Handled(Some(RedirectTo))");
}

#[tokio::test]
async fn a_closed_fence_lets_reads_pass_but_no_write() {
    use oidc_operator::leader::Election;

    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, _) = always(json_reply(200, &json!({ "client_id": "shop", "scope": "openid" }))).await;
    // A candidate that has not been elected.
    let config = kube::Config::new("http://127.0.0.1:1".parse().expect("a URL"));
    let candidate = Election::new(kube::Client::try_from(config).expect("a client"), "ns", "lease", "me");
    let metrics = Arc::new(Metrics::default());
    let http = Http::new(
        "default",
        &server.uri(),
        &Settings::default(),
        candidate.fence(),
        metrics,
    )
    .ok();
    let http = Arc::new(http.expect("an endpoint"));
    let mut passed = 0;
    for operation in operations::all() {
        let failure = operation.on(&http).await;
        let reads = ["get_", "list_", "is_", "introspect_", "prometheus"];
        let reads = reads.iter().any(|prefix| operation.name.starts_with(prefix));
        assert_eq!(
            failure != Some(Failure::NotLeader),
            reads,
            "{}: {failure:?}",
            operation.name
        );
        passed += usize::from(reads);
    }
    assert_eq!(received(&server).await, passed);
    assert!(!http.breaker().is_open(), "the server is not at fault");
}
