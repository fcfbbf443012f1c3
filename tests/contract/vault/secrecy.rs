//! No secret of a login or of a client is shown.

use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use oidc_operator::admin::http::{Http, Settings};
use oidc_operator::admin::vault::login::Jwt;
use oidc_operator::admin::vault::{Client, Login, Session, Vault};
use oidc_operator::leader::Fence;
use oidc_operator::metrics::{Metrics, Snapshot};
use serde_json::json;

use super::fake::{Fake, Rules};
use super::{app_role, errors_reply, given, secret, vault};
use crate::json_reply;

/// The log at its most verbose level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A server with a secret in every answer.
fn talkative() -> Rules {
    let client = json!({
        "key": "default", "client_type": "confidential", "redirect_uris": [], "assignments": [],
        "id_token_ttl": 60, "access_token_ttl": 60, "client_id": "id", "client_secret": "geheim-client",
    });
    Rules {
        other: json_reply(200, &json!({ "data": client })),
        ..Rules::default()
    }
}

fn logins() -> Vec<Login> {
    let jwt = || Jwt::Held(secret("geheim-jwt"));
    vec![
        given(),
        app_role(),
        Login::Kubernetes("kubernetes".to_owned(), "operator".to_owned(), jwt()),
        Login::Jwt("jwt".to_owned(), None, jwt()),
    ]
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
    for refused in [false, true] {
        for login in logins() {
            let (server, fake) = Fake::start(talkative()).await;
            let vault = vault(&server, login);
            let found = vault.read::<Client>("x").await.ok().flatten();
            let secret = found.and_then(|client| client.client_secret);
            assert!(secret.is_some_and(|secret| secret.expose() == "geheim-client"));
            if refused {
                fake.kill();
                fake.rule(|rules| rules.login = Some(errors_reply(400, &["geheim-error"])));
                assert!(vault.read::<Client>("x").await.is_err());
            }
            vault.session().close().await;
        }
    }
    tracing::info!("the log is read");
    let text = log.text();
    assert!(text.contains("the log is read"));
    let line = text.lines().find(|line| line.contains("geheim"));
    assert_eq!(line, None);
}

#[tokio::test]
async fn no_metric_shows_a_secret_or_a_name() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, _fake) = Fake::start(talkative()).await;
    let metrics = Arc::new(Metrics::default());
    let http = Http::new(
        "default",
        &server.uri(),
        &Settings::default(),
        Fence::open(),
        metrics.clone(),
    );
    let http = Arc::new(http.expect("an endpoint"));
    let vault = Vault::new(Arc::new(Session::new(http, app_role(), "geheim-space")), "geheim-space");
    assert!(vault.read::<Client>("geheim-name").await.is_ok());
    let text = metrics.render(Snapshot::default());
    for operation in ["login", "read_client"] {
        assert!(text.contains(&format!(r#"operation="{operation}""#)), "{text}");
    }
    assert!(!text.contains("geheim"), "{text}");
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
    <Client as Hidden<_>>::hidden();
    <Login as Hidden<_>>::hidden();
    <Jwt as Hidden<_>>::hidden();
    <Session as Hidden<_>>::hidden();
    <Vault as Hidden<_>>::hidden();
}
