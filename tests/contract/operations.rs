//! Every operation of the admin API: what is sent for it to either version, and that the documented table says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::hydra::clients::{Cursor, JsonPatchOperation};
use oidc_operator::admin::hydra::key::{JsonWebKey, JsonWebKeySet, PublicKey};
use oidc_operator::admin::hydra::keys::GenerateKey;
use oidc_operator::admin::hydra::request::{AcceptConsent, AcceptLogin, Reject};
use oidc_operator::admin::hydra::sessions::Consents;
use oidc_operator::admin::hydra::trust::NewTrustedIssuer;
use oidc_operator::admin::hydra::{Hydra, get_version};
use oidc_operator::leader::Fence;
use oidc_operator::metrics::Metrics;
use oidc_operator::secret::Secret;
use serde_json::json;
use wiremock::MockServer;

use crate::{always, client, json_reply, over};

/// One operation, called with whatever stands for its parameters. All that is secret in a call contains `geheim`.
pub struct Operation {
    /// Its name in Hydra's API reference.
    pub name: &'static str,
    /// The failure of a call, if it failed.
    pub call: fn(&Hydra) -> BoxFuture<'_, Option<Failure>>,
}

fn operation(name: &'static str, call: fn(&Hydra) -> BoxFuture<'_, Option<Failure>>) -> Operation {
    Operation { name, call }
}

fn secret() -> Secret {
    Secret::new("geheim-challenge".to_owned())
}

/// A private key with the id that stands for one.
pub fn key() -> JsonWebKey {
    JsonWebKey::parse(json!({ "kty": "oct", "kid": "{kid}", "k": "geheim-key" })).expect("a key")
}

pub fn issuer() -> NewTrustedIssuer {
    NewTrustedIssuer {
        issuer: "https://issuer.example.com".to_owned(),
        subject: "alice".to_owned(),
        allow_any_subject: false,
        scope: vec!["openid".to_owned()],
        jwk: PublicKey {
            kid: "k1".to_owned(),
            ..PublicKey::default()
        },
        expires_at: "2040-01-01T00:00:00Z".parse().expect("a time"),
    }
}

/// All operations.
pub fn all() -> Vec<Operation> {
    [clients(), keys(), tokens_and_sessions(), requests(), trust(), health()]
        .into_iter()
        .flatten()
        .collect()
}

fn clients() -> Vec<Operation> {
    vec![
        operation("list_o_auth2_clients", |h| {
            Box::pin(async { h.list_clients("owner", &mut Cursor::default()).await.err() })
        }),
        operation("create_o_auth2_client", |h| {
            Box::pin(async { h.create_client(&client("{id}"), Some(&secret())).await.err() })
        }),
        operation("get_o_auth2_client", |h| {
            Box::pin(async { h.get_client("{id}").await.err() })
        }),
        operation("update_o_auth2_client", |h| {
            Box::pin(async { h.update_client(&client("{id}"), Some(&secret())).await.err() })
        }),
        operation("patch_o_auth2_client", |h| {
            let value = json!("geheim-value");
            let path = "/client_secret".to_owned();
            let patch = [JsonPatchOperation::Replace { path, value }];
            Box::pin(async move { h.patch_client("{id}", &patch).await.err() })
        }),
        operation("delete_o_auth2_client", |h| {
            Box::pin(async { h.delete_client("{id}").await.err() })
        }),
    ]
}

fn keys() -> Vec<Operation> {
    vec![
        operation("create_json_web_key_set", |h| {
            Box::pin(async { h.create_key_set("{set}", &GenerateKey::default()).await.err() })
        }),
        operation("get_json_web_key_set", |h| {
            Box::pin(async { h.get_key_set("{set}").await.err() })
        }),
        operation("update_json_web_key_set", |h| {
            let keys = JsonWebKeySet { keys: vec![key()] };
            Box::pin(async move { h.update_key_set("{set}", &keys).await.err() })
        }),
        operation("delete_json_web_key_set", |h| {
            Box::pin(async { h.delete_key_set("{set}").await.err() })
        }),
        operation("get_json_web_key", |h| {
            Box::pin(async { h.get_key("{set}", "{kid}").await.err() })
        }),
        operation("update_json_web_key", |h| {
            Box::pin(async { h.update_key("{set}", &key()).await.err() })
        }),
        operation("delete_json_web_key", |h| {
            Box::pin(async { h.delete_key("{set}", "{kid}").await.err() })
        }),
    ]
}

fn tokens_and_sessions() -> Vec<Operation> {
    vec![
        operation("introspect_o_auth2_token", |h| {
            Box::pin(async { h.introspect_token(&secret(), "").await.err() })
        }),
        operation("delete_o_auth2_token", |h| {
            Box::pin(async { h.delete_tokens("shop").await.err() })
        }),
        operation("flush_inactive_o_auth2_tokens", |h| {
            Box::pin(async { h.flush_tokens(None).await.err() })
        }),
        operation("list_subject_consent_sessions", |h| {
            Box::pin(async { h.list_consent_sessions("alice", &mut Cursor::default()).await.err() })
        }),
        operation("revoke_consent_sessions", |h| {
            Box::pin(async { h.revoke_consent_sessions("alice", Consents::All).await.err() })
        }),
        operation("revoke_authentication_session", |h| {
            Box::pin(async { h.revoke_authentication_session("alice").await.err() })
        }),
    ]
}

fn requests() -> Vec<Operation> {
    vec![
        operation("get_login_request", |h| {
            Box::pin(async { h.get_login_request(&secret()).await.err() })
        }),
        operation("accept_login_request", |h| {
            Box::pin(async { h.accept_login_request(&secret(), &AcceptLogin::default()).await.err() })
        }),
        operation("reject_login_request", |h| {
            Box::pin(async { h.reject_login_request(&secret(), &Reject::default()).await.err() })
        }),
        operation("get_consent_request", |h| {
            Box::pin(async { h.get_consent_request(&secret()).await.err() })
        }),
        operation("accept_consent_request", |h| {
            Box::pin(async {
                h.accept_consent_request(&secret(), &AcceptConsent::default())
                    .await
                    .err()
            })
        }),
        operation("reject_consent_request", |h| {
            Box::pin(async { h.reject_consent_request(&secret(), &Reject::default()).await.err() })
        }),
        operation("get_logout_request", |h| {
            Box::pin(async { h.get_logout_request(&secret()).await.err() })
        }),
        operation("accept_logout_request", |h| {
            Box::pin(async { h.accept_logout_request(&secret()).await.err() })
        }),
        operation("reject_logout_request", |h| {
            Box::pin(async { h.reject_logout_request(&secret()).await.err() })
        }),
    ]
}

fn trust() -> Vec<Operation> {
    vec![
        operation("list_trusted_o_auth2_jwt_grant_issuers", |h| {
            Box::pin(async { h.list_trusted_issuers(None, &mut Cursor::default()).await.err() })
        }),
        operation("trust_o_auth2_jwt_grant_issuer", |h| {
            Box::pin(async { h.create_trusted_issuer(&issuer()).await.err() })
        }),
        operation("get_trusted_o_auth2_jwt_grant_issuer", |h| {
            Box::pin(async { h.get_trusted_issuer("{id}").await.err() })
        }),
        operation("delete_trusted_o_auth2_jwt_grant_issuer", |h| {
            Box::pin(async { h.delete_trusted_issuer("{id}").await.err() })
        }),
    ]
}

fn health() -> Vec<Operation> {
    vec![
        operation("is_instance_alive", |h| Box::pin(async { h.is_alive().await.err() })),
        operation("is_instance_ready", |h| Box::pin(async { h.is_ready().await.err() })),
        operation("get_version", |h| Box::pin(async { get_version(h.http()).await.err() })),
        operation("prometheus", |h| Box::pin(async { h.metrics().await.err() })),
    ]
}

/// Method and path of the only request that a server got, if it got one.
async fn sent(server: &MockServer) -> Option<String> {
    let requests = server.received_requests().await.unwrap_or_default();
    assert!(requests.len() <= 1, "more than one request");
    let request = requests.first()?;
    let path = request.url.path().replace("%7B", "{").replace("%7D", "}");
    Some(format!("{} {path}", request.method))
}

/// What is really sent for each operation, on v1 and on v2.
async fn reality() -> BTreeMap<String, [Option<String>; 2]> {
    let mut found = BTreeMap::new();
    for operation in all() {
        let mut both = [None, None];
        for (sent_to, version) in both.iter_mut().zip(["v1.11.10", "v2.3.0"]) {
            let (server, _) = always(json_reply(200, &json!({}))).await;
            let hydra = over(crate::http(&server.uri(), &Settings::default()), version);
            let failure = (operation.call)(&hydra).await;
            *sent_to = sent(&server).await;
            let lacking = failure == Some(Failure::NotInThisVersion);
            assert_eq!(sent_to.is_none(), lacking, "{}, {version}: {failure:?}", operation.name);
        }
        found.insert(operation.name.to_owned(), both);
    }
    found
}

/// The table in the module's documentation.
fn documented() -> BTreeMap<String, [Option<String>; 2]> {
    let source = include_str!("../../src/admin/hydra/mod.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let place = |cell: &str| (cell != "–").then(|| cell.to_owned());
        (cells[0].to_owned(), [place(cells[1]), place(cells[2])])
    })
    .collect()
}

#[tokio::test]
async fn the_documented_table_is_what_is_sent() {
    let (documented, reality) = (documented(), reality().await);
    let names = |table: &BTreeMap<String, _>| table.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&documented), names(&reality));
    for (name, places) in reality {
        assert_eq!(documented.get(&name), Some(&places), "{name}");
    }
}

/// The operations of Hydra's API reference.
const REFERENCE: [&str; 31] = [
    "accept_consent_request",
    "accept_login_request",
    "accept_logout_request",
    "create_json_web_key_set",
    "create_o_auth2_client",
    "delete_json_web_key",
    "delete_json_web_key_set",
    "delete_o_auth2_client",
    "delete_o_auth2_token",
    "flush_inactive_o_auth2_tokens",
    "get_consent_request",
    "get_json_web_key",
    "get_json_web_key_set",
    "get_login_request",
    "get_logout_request",
    "get_o_auth2_client",
    "get_version",
    "introspect_o_auth2_token",
    "is_instance_alive",
    "list_o_auth2_clients",
    "list_subject_consent_sessions",
    "patch_o_auth2_client",
    "prometheus",
    "reject_consent_request",
    "reject_login_request",
    "reject_logout_request",
    "revoke_authentication_session",
    "revoke_consent_sessions",
    "update_json_web_key",
    "update_json_web_key_set",
    "update_o_auth2_client",
];

#[test]
fn every_operation_of_the_reference_is_there() {
    let ours: BTreeSet<&str> = all().iter().map(|operation| operation.name).collect();
    let missing: Vec<&&str> = REFERENCE.iter().filter(|name| !ours.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // What came later: trusted issuers, and readiness.
    assert_eq!(ours.len(), REFERENCE.len() + 5);
}

#[tokio::test]
async fn metrics_name_the_operation() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for operation in all() {
        let (server, _) = always(json_reply(200, &json!({}))).await;
        let metrics = Arc::new(Metrics::default());
        let http = Http::new(
            "default",
            &server.uri(),
            &Settings::default(),
            Fence::open(),
            metrics.clone(),
        );
        let hydra = over(http.expect("an endpoint"), "v1.11.10");
        let _ = (operation.call)(&hydra).await;
        let label = format!(r#"operation="{}""#, operation.name);
        let text = metrics.render(std::iter::empty());
        assert!(text.contains(&label), "{label}: {text}");
    }
}

/// What the server should never say is a failure of every operation, and an outage of its database is no absence.
#[tokio::test]
async fn no_operation_takes_a_failure_for_success_or_absence() {
    let replies = [
        crate::html(404),
        crate::html(409),
        crate::html(410),
        crate::html(502),
        crate::error_reply(500, "error"),
        crate::error_reply(400, "invalid_request"),
        crate::error_reply(401, "x"),
        crate::html(307),
    ];
    for reply in replies {
        for operation in all() {
            let (server, _) = always(reply.clone()).await;
            let hydra = over(crate::http(&server.uri(), &Settings::default()), "v1.11.10");
            assert!((operation.call)(&hydra).await.is_some(), "{}", operation.name);
        }
    }
}

/// Nothing that is read is taken on trust: an object without what matters is no result.
#[tokio::test]
async fn no_operation_takes_anything_for_a_result() {
    let contents = [
        "list_o_auth2_clients",
        "create_o_auth2_client",
        "get_o_auth2_client",
        "update_o_auth2_client",
        "patch_o_auth2_client",
        "get_json_web_key",
        "introspect_o_auth2_token",
        "list_subject_consent_sessions",
        "get_login_request",
        "accept_login_request",
        "reject_login_request",
        "get_consent_request",
        "accept_consent_request",
        "reject_consent_request",
        "accept_logout_request",
        "list_trusted_o_auth2_jwt_grant_issuers",
        "trust_o_auth2_jwt_grant_issuer",
        "get_trusted_o_auth2_jwt_grant_issuer",
        "is_instance_alive",
        "is_instance_ready",
        "get_version",
    ];
    for operation in all() {
        let (server, _) = always(json_reply(200, &json!({}))).await;
        let hydra = over(crate::http(&server.uri(), &Settings::default()), "v1.11.10");
        let failed = (operation.call)(&hydra).await.is_some();
        assert_eq!(failed, contents.contains(&operation.name), "{}", operation.name);
    }
}
