//! Discovery documents and key sets that no correct server returns.

use oidc_operator::admin::discovery::{self, Discovery, Keys};
use oidc_operator::admin::http::{Failure, Settings};
use serde_json::{Value, json};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{html, http, json_reply, received};

/// The result of a discovery document in this reply.
async fn document(reply: ResponseTemplate) -> Result<Discovery, Failure> {
    let server = MockServer::start().await;
    Mock::given(path("/.well-known/openid-configuration"))
        .respond_with(reply)
        .mount(&server)
        .await;
    discovery::fetch(&http(&server.uri(), &Settings::default())).await
}

/// The result of a key set in this reply.
async fn keys(reply: ResponseTemplate) -> Result<Keys, Failure> {
    let server = MockServer::start().await;
    Mock::given(path("/.well-known/jwks.json"))
        .respond_with(reply)
        .mount(&server)
        .await;
    discovery::fetch_keys(&http(&server.uri(), &Settings::default())).await
}

/// A body larger than any real one.
fn huge() -> ResponseTemplate {
    json_reply(
        200,
        &json!({ "issuer": "https://id", "keys": [], "x": "x".repeat(2 << 20) }),
    )
}

#[tokio::test]
async fn a_reply_without_a_document_or_key_set_is_reported_with_its_problem() {
    let large = Failure::TooLarge(None);
    for (reply, expected) in [
        (html(200), Failure::Reply("is not JSON")),
        (huge(), large.clone()),
        (json_reply(200, &json!({})), Failure::Reply("names no issuer")),
        (json_reply(200, &json!([])), Failure::Reply("names no issuer")),
        (json_reply(200, &json!("https://id")), Failure::Reply("names no issuer")),
        (html(302), Failure::Reply("is a redirect")),
        (html(403), Failure::Refused(403)),
    ] {
        assert_eq!(document(reply).await, Err(expected));
    }
    for (reply, expected) in [
        (html(200), Failure::Reply("is not JSON")),
        (huge(), large),
        (json_reply(200, &json!({})), Failure::Reply("is not a JSON Web Key Set")),
        (
            json_reply(200, &json!({ "keys": {} })),
            Failure::Reply("is not a JSON Web Key Set"),
        ),
        (
            json_reply(200, &json!({ "keys": ["x"] })),
            Failure::Reply("is not a JSON Web Key Set"),
        ),
        (html(308), Failure::Reply("is a redirect")),
    ] {
        assert_eq!(keys(reply).await, Err(expected));
    }
}

#[tokio::test]
async fn an_issuer_must_be_a_web_url_and_is_kept_unchanged() {
    let long = format!("https://id.example.com/{}", "x".repeat(1024));
    for issuer in [
        json!(1),
        json!(null),
        json!(["https://id.example.com"]),
        json!(""),
        json!("id.example.com"),
        json!("javascript:alert(1)"),
        json!("https://id.example.com/a b"),
        json!("https://id.example.com/\n"),
        json!("https://id.example.com/\u{0}"),
        json!(long),
    ] {
        let found = document(json_reply(200, &json!({ "issuer": issuer }))).await;
        assert_eq!(found, Err(Failure::Reply("names no issuer")), "{issuer}");
    }
    for issuer in [
        "https://ID.example.com",
        "https://id.example.com/",
        "https://id.example.com:443/A",
    ] {
        let found = document(json_reply(200, &json!({ "issuer": issuer }))).await;
        assert_eq!(found.map(|found| found.endpoints.issuer).as_deref(), Ok(issuer));
    }
}

#[tokio::test]
async fn members_of_the_wrong_type_are_left_out_and_lists_are_bounded() {
    let many: Vec<String> = (0..1000).map(|number| format!("scope-{number}")).collect();
    let body = json!({
        "issuer": "https://id.example.com",
        "authorization_endpoint": ["https://id.example.com/auth"],
        "token_endpoint": "/oauth2/token",
        "userinfo_endpoint": "file:///etc/passwd",
        "jwks_uri": "https://id.example.com/keys",
        "subject_types_supported": "public",
        "scopes_supported": many,
        "id_token_signing_alg_values_supported": ["RS256", 1, null, "", "two words", "x".repeat(257), ["ES256"]],
    });
    let found = document(json_reply(200, &body)).await.expect("a document");
    let endpoints = &found.endpoints;
    assert_eq!(endpoints.authorization_endpoint, None);
    assert_eq!(endpoints.token_endpoint, None);
    assert_eq!(endpoints.userinfo_endpoint, None);
    assert_eq!(endpoints.jwks_uri.as_deref(), Some("https://id.example.com/keys"));
    assert_eq!(found.subject_types, []);
    assert_eq!(found.scopes, many[..256]);
    assert_eq!(found.id_token_signing_algs, ["RS256"]);
}

#[tokio::test]
async fn a_private_member_of_any_key_is_detected() {
    let public = json!({ "kty": "RSA", "use": "sig", "kid": "a", "n": "AQAB", "e": "AQAB" });
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut key = json!({ "kty": "unheard-of", "kid": "b" });
        key[member] = json!("AQAB");
        let found = keys(json_reply(200, &json!({ "keys": [public, key] }))).await;
        let found = found.expect("a key set");
        assert!(found.shows_private, "{member}");
        assert!(!format!("{found:?}").contains("AQAB"), "{found:?}");
    }
    let found = keys(json_reply(200, &json!({ "keys": [public] }))).await;
    let ids = vec!["a".to_owned()];
    let expected = Keys {
        signing: 1,
        ids,
        shows_private: false,
    };
    assert_eq!(found, Ok(expected));
}

#[tokio::test]
async fn only_complete_public_signing_keys_count() {
    let key = |more: Value| with(json!({ "kid": "a" }), more);
    let cases = [
        (json!({ "kty": "RSA", "n": "x", "e": "x" }), 1),
        (json!({ "kty": "EC", "crv": "P-256", "x": "x", "y": "x" }), 1),
        (json!({ "kty": "OKP", "crv": "Ed25519", "x": "x" }), 1),
        (json!({ "kty": "RSA", "use": "sig", "n": "x", "e": "x" }), 1),
        (json!({ "kty": "RSA", "use": "enc", "n": "x", "e": "x" }), 0),
        (json!({ "kty": "RSA", "n": "", "e": "x" }), 0),
        (json!({ "kty": "RSA", "n": 1, "e": "x" }), 0),
        (json!({ "kty": "EC", "crv": "P-256", "x": "x" }), 0),
        (json!({ "kty": "rsa", "n": "x", "e": "x" }), 0),
        (json!({ "kty": 1 }), 0),
        (json!({}), 0),
    ];
    for (members, signing) in cases {
        let found = keys(json_reply(200, &json!({ "keys": [key(members.clone())] }))).await;
        let found = found.expect("a key set");
        assert_eq!((found.signing, found.ids.len()), (signing, signing), "{members}");
    }
}

#[tokio::test]
async fn ids_of_keys_are_sorted_bounded_and_may_be_missing() {
    let key = |kid: Value| json!({ "kty": "OKP", "crv": "Ed25519", "x": "x", "kid": kid });
    let many: Vec<Value> = (0..50).rev().map(|number| key(json!(format!("{number:02}")))).collect();
    let found = keys(json_reply(200, &json!({ "keys": many })))
        .await
        .expect("a key set");
    assert_eq!((found.signing, found.ids.len()), (50, 32));
    assert!(found.ids.is_sorted(), "{:?}", found.ids);
    let odd = json!({ "keys": [key(json!(null)), key(json!(1)), key(json!("x".repeat(4096))), key(json!("a\nb"))] });
    let found = keys(json_reply(200, &odd)).await.expect("a key set");
    assert_eq!((found.signing, found.ids.len()), (4, 2));
    assert!(
        found.ids.iter().all(|id| id.len() < 300 && !id.contains('\n')),
        "{:?}",
        found.ids
    );
}

#[tokio::test]
async fn a_url_in_a_document_is_never_requested() {
    let elsewhere = MockServer::start().await;
    Mock::given(any())
        .respond_with(json_reply(200, &json!({ "keys": [] })))
        .mount(&elsewhere)
        .await;
    let server = MockServer::start().await;
    let body = json!({ "issuer": server.uri(), "jwks_uri": format!("{}/keys", elsewhere.uri()), "keys": [] });
    Mock::given(any())
        .respond_with(json_reply(200, &body))
        .mount(&server)
        .await;
    let endpoint = http(&server.uri(), &Settings::default());
    let found = discovery::fetch(&endpoint).await.expect("a document");
    assert_eq!(found.endpoints.jwks_uri, Some(format!("{}/keys", elsewhere.uri())));
    discovery::fetch_keys(&endpoint).await.expect("a key set");
    assert_eq!((received(&server).await, received(&elsewhere).await), (2, 0));
}

/// A JSON object with the members of another one added.
fn with(mut value: Value, more: Value) -> Value {
    if let (Some(members), Value::Object(more)) = (value.as_object_mut(), more) {
        members.extend(more);
    }
    value
}
