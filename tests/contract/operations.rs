//! Every operation of the admin API: its request to either version, which must match the documented table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use oidc_operator::admin::http::{Failure, Http, Settings};
use oidc_operator::admin::hydra::clients::{Cursor, JsonPatchOperation};
use oidc_operator::admin::hydra::key::{JsonWebKey, JsonWebKeySet, PublicKey};
use oidc_operator::admin::hydra::keys::GenerateKey;
use oidc_operator::admin::hydra::request::{AcceptConsent, AcceptLogin, AcceptUserCode, Reject};
use oidc_operator::admin::hydra::secrets::Answer;
use oidc_operator::admin::hydra::sessions::Consents;
use oidc_operator::admin::hydra::trust::NewTrustedIssuer;
use oidc_operator::admin::hydra::{Hydra, get_version};
use oidc_operator::leader::Fence;
use oidc_operator::metrics::{Metrics, Snapshot};
use oidc_operator::secret::Secret;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{always, client, json_reply, over};

/// One operation, called with placeholders as parameters. Every secret in a call contains `geheim`.
pub struct Operation {
    /// Name in Hydra's API reference.
    pub name: &'static str,
    /// Makes the call and returns its failure, if any.
    pub call: fn(&Hydra) -> BoxFuture<'_, Option<Failure>>,
}

impl Operation {
    /// Calls it on a server of a version that has it.
    pub async fn on(&self, http: &Arc<Http>) -> Option<Failure> {
        let version = match self.name {
            "accept_user_code_request" => "v26.2.0",
            _ => "v1.11.10",
        };
        (self.call)(&over(http.clone(), version)).await
    }
}

fn operation(name: &'static str, call: fn(&Hydra) -> BoxFuture<'_, Option<Failure>>) -> Operation {
    Operation { name, call }
}

fn secret() -> Secret {
    Secret::new("geheim-challenge".to_owned())
}

/// A private key with a placeholder as its id.
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
            Box::pin(async { h.list_clients(|_| true, &mut Cursor::default()).await.err() })
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
        operation("rotate_o_auth2_client_secret", |h| {
            Box::pin(async { unanswered(h.rotate_secret("{id}").await) })
        }),
        operation("delete_rotated_o_auth2_client_secrets", |h| {
            Box::pin(async { unanswered(h.end_former_secrets("{id}").await) })
        }),
    ]
}

/// What a caller gets in the place of an answer.
fn unanswered<T>(answer: Result<Answer<T>, Failure>) -> Option<Failure> {
    match answer {
        Ok(Answer::Done(_) | Answer::NoClient) => None,
        Ok(Answer::NoOperation) => Some(Failure::NotInThisVersion),
        Err(failure) => Some(failure),
    }
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
        operation("accept_user_code_request", |h| {
            let answer = AcceptUserCode {
                user_code: "geheim-code".to_owned(),
            };
            Box::pin(async move { h.accept_user_code_request(&secret(), &answer).await.err() })
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

/// A server that gives every request the same answer, and its admin API in this version.
async fn serving(reply: ResponseTemplate, version: &str) -> (MockServer, Hydra) {
    let (server, _) = always(reply).await;
    let hydra = over(crate::http(&server.uri(), &Settings::default()), version);
    (server, hydra)
}

/// The request that each operation sends to a server of this version; None if it sends nothing.
async fn sent_to(version: &str) -> BTreeMap<String, Option<String>> {
    let (server, hydra) = serving(json_reply(200, &json!({})), version).await;
    let mut found = BTreeMap::new();
    for operation in all() {
        let failure = (operation.call)(&hydra).await;
        let requests = server.received_requests().await.unwrap_or_default();
        assert!(requests.len() <= 1, "{}: more than one request", operation.name);
        let sent = requests.first().map(|request| {
            let path = request.url.path().replace("%7B", "{").replace("%7D", "}");
            format!("{} {path}", request.method)
        });
        let lacking = failure == Some(Failure::NotInThisVersion);
        assert_eq!(sent.is_none(), lacking, "{}, {version}: {failure:?}", operation.name);
        found.insert(operation.name.to_owned(), sent);
        server.reset().await;
        Mock::given(any())
            .respond_with(json_reply(200, &json!({})))
            .mount(&server)
            .await;
    }
    found
}

/// The table in the module's documentation: what is sent to a version.
fn documented(column: usize, is_newest: bool) -> BTreeMap<String, Option<String>> {
    let source = include_str!("../../src/admin/hydra/mod.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (place, since) = cells[column].rsplit_once(" (").unwrap_or((cells[column], ""));
        let is_there = place != "–" && (since.is_empty() || is_newest);
        let name = cells[0].trim_matches('`').to_owned();
        (name, is_there.then(|| place.trim_matches('`').to_owned()))
    })
    .collect()
}

#[tokio::test]
async fn requests_match_the_documented_table() {
    for (version, column) in [("v1.11.10", 1), ("v2.3.0", 2), ("v26.2.0", 2)] {
        let expected = documented(column, version == "v26.2.0");
        assert_eq!(sent_to(version).await, expected, "{version}");
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
fn every_operation_of_the_reference_exists() {
    let ours: BTreeSet<&str> = all().iter().map(|operation| operation.name).collect();
    let missing: Vec<&&str> = REFERENCE.iter().filter(|name| !ours.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Later additions: trusted issuers, the device authorization grant, readiness, and the rotation of secrets.
    assert_eq!(ours.len(), REFERENCE.len() + 8);
}

#[tokio::test]
async fn metrics_name_the_operation() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, _) = always(json_reply(200, &json!({}))).await;
    let metrics = Arc::new(Metrics::default());
    let settings = Settings::default();
    let http = Http::new("default", &server.uri(), &settings, Fence::open(), metrics.clone());
    let http = Arc::new(http.expect("an endpoint"));
    for operation in all() {
        let label = format!(r#"operation="{}""#, operation.name);
        assert!(!metrics.render(Snapshot::default()).contains(&label), "{label}");
        let _ = operation.on(&http).await;
        assert!(metrics.render(Snapshot::default()).contains(&label), "{label}");
    }
}

/// An unexpected reply is a failure of every operation, and an outage of the database is no absence.
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
        let (server, _) = always(reply).await;
        let http = Arc::new(crate::http(&server.uri(), &Settings::default()));
        for operation in all() {
            assert!(operation.on(&http).await.is_some(), "{}", operation.name);
            http.breaker().close(); // an open breaker would answer the next call
        }
    }
}

/// Replies are validated: an object without the members that matter is no result.
#[tokio::test]
async fn operations_with_a_result_refuse_an_empty_object() {
    let contents = [
        "list_o_auth2_clients",
        "create_o_auth2_client",
        "get_o_auth2_client",
        "update_o_auth2_client",
        "patch_o_auth2_client",
        "rotate_o_auth2_client_secret",
        "delete_rotated_o_auth2_client_secrets",
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
        "accept_user_code_request",
        "list_trusted_o_auth2_jwt_grant_issuers",
        "trust_o_auth2_jwt_grant_issuer",
        "get_trusted_o_auth2_jwt_grant_issuer",
        "is_instance_alive",
        "is_instance_ready",
        "get_version",
    ];
    let (server, _) = always(json_reply(200, &json!({}))).await;
    let http = Arc::new(crate::http(&server.uri(), &Settings::default()));
    for operation in all() {
        let failed = operation.on(&http).await.is_some();
        assert_eq!(failed, contents.contains(&operation.name), "{}", operation.name);
    }
}
