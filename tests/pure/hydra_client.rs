//! Hydra's client: which members of a reply are kept, which are sent, and when two clients are the same.

use std::collections::BTreeSet;

use oidc_operator::admin::hydra::Client;
use oidc_operator::admin::hydra::client::Lifespans;
use serde_json::{Map, Value, json};

use crate::{marker, with};

pub fn parse(value: Value) -> Client {
    Client::parse(value).expect("a client")
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn list(value: &str) -> Vec<String> {
    vec![value.to_owned()]
}

/// A client with every field filled, without `..Default` on purpose: a new field must be added here and to the table of
/// changes.
pub fn full() -> Client {
    Client {
        client_id: text("id"),
        client_name: text("name"),
        owner: Some(text("owner")),
        redirect_uris: list("https://app.example.com/cb"),
        post_logout_redirect_uris: list("https://app.example.com/bye"),
        grant_types: list("authorization_code"),
        response_types: list("code"),
        scope: text("openid"),
        audience: list("api"),
        contacts: list("a@example.com"),
        client_uri: text("https://app.example.com"),
        logo_uri: text("https://app.example.com/logo"),
        policy_uri: text("https://app.example.com/policy"),
        tos_uri: text("https://app.example.com/tos"),
        jwks: object(json!({ "keys": [{ "kty": "RSA", "kid": "k1", "n": "AQ", "e": "AQAB" }] })),
        jwks_uri: text("https://app.example.com/jwks"),
        subject_type: text("public"),
        sector_identifier_uri: text("https://app.example.com/sector"),
        token_endpoint_auth_method: text("client_secret_basic"),
        token_endpoint_auth_signing_alg: text("RS256"),
        request_object_signing_alg: text("RS256"),
        userinfo_signed_response_alg: text("RS256"),
        request_uris: list("https://app.example.com/request"),
        frontchannel_logout_uri: text("https://app.example.com/front"),
        frontchannel_logout_session_required: true,
        backchannel_logout_uri: text("https://app.example.com/back"),
        backchannel_logout_session_required: true,
        allowed_cors_origins: list("https://app.example.com"),
        skip_consent: true,
        skip_logout_consent: Some(true),
        access_token_strategy: text("jwt"),
        metadata: object(json!({ "a": 1 })),
        lifespans: Lifespans {
            device_authorization_grant_access_token_lifespan: text("1h"),
            device_authorization_grant_id_token_lifespan: text("1h"),
            device_authorization_grant_refresh_token_lifespan: text("1h"),
            authorization_code_grant_access_token_lifespan: text("1h"),
            authorization_code_grant_id_token_lifespan: text("1h"),
            authorization_code_grant_refresh_token_lifespan: text("1h"),
            client_credentials_grant_access_token_lifespan: text("1h"),
            implicit_grant_access_token_lifespan: text("1h"),
            implicit_grant_id_token_lifespan: text("1h"),
            jwt_bearer_grant_access_token_lifespan: text("1h"),
            refresh_token_grant_access_token_lifespan: text("1h"),
            refresh_token_grant_id_token_lifespan: text("1h"),
            refresh_token_grant_refresh_token_lifespan: text("1h"),
        },
        updated_at: "2026-01-01T00:00:00Z".parse().ok(),
        other: Map::new(),
    }
}

pub fn full_json() -> Map<String, Value> {
    object(serde_json::to_value(full()).expect("JSON"))
}

/// A different value for every member on the wire.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("client_id", json!("ID")),
        ("client_name", json!("Name")),
        ("owner", json!("other")),
        (
            "redirect_uris",
            json!(["https://app.example.com/cb", "https://app.example.com/cb2"]),
        ),
        ("post_logout_redirect_uris", json!(["https://app.example.com/Bye"])),
        ("grant_types", json!(["authorization_code", "implicit"])),
        ("response_types", json!(["code token"])),
        ("scope", json!("openid email")),
        ("audience", json!(["API"])),
        ("contacts", json!(["b@example.com"])),
        ("client_uri", json!("https://app.example.com/")),
        ("logo_uri", json!("https://app.example.com/Logo")),
        ("policy_uri", json!("https://app.example.com/p")),
        ("tos_uri", json!("https://app.example.com/t")),
        (
            "jwks",
            json!({ "keys": [{ "kty": "RSA", "kid": "k1", "n": "Ag", "e": "AQAB" }] }),
        ),
        ("jwks_uri", json!("https://app.example.com/keys")),
        ("subject_type", json!("pairwise")),
        ("sector_identifier_uri", json!("https://app.example.com/s")),
        ("token_endpoint_auth_method", json!("client_secret_post")),
        ("token_endpoint_auth_signing_alg", json!("ES256")),
        ("request_object_signing_alg", json!("none")),
        ("userinfo_signed_response_alg", json!("none")),
        ("request_uris", json!(["https://app.example.com/r"])),
        ("frontchannel_logout_uri", json!("https://app.example.com/f")),
        ("frontchannel_logout_session_required", json!(false)),
        ("backchannel_logout_uri", json!("https://app.example.com/b")),
        ("backchannel_logout_session_required", json!(false)),
        ("allowed_cors_origins", json!(["https://app.example.com:8443"])),
        ("skip_consent", json!(false)),
        ("skip_logout_consent", json!(false)),
        ("access_token_strategy", json!("opaque")),
        ("metadata", json!({ "a": 2 })),
        ("authorization_code_grant_access_token_lifespan", json!("1h1s")),
        ("authorization_code_grant_id_token_lifespan", json!("59m59s")),
        ("authorization_code_grant_refresh_token_lifespan", json!("1m")),
        ("client_credentials_grant_access_token_lifespan", json!("1s")),
        ("device_authorization_grant_access_token_lifespan", json!("2m")),
        ("device_authorization_grant_id_token_lifespan", json!("3m")),
        ("device_authorization_grant_refresh_token_lifespan", json!("4m")),
        ("implicit_grant_access_token_lifespan", json!("1ms")),
        ("implicit_grant_id_token_lifespan", json!("0s")),
        ("jwt_bearer_grant_access_token_lifespan", json!("10h")),
        ("refresh_token_grant_access_token_lifespan", json!("1h0m1s")),
        ("refresh_token_grant_id_token_lifespan", json!("2h")),
        ("refresh_token_grant_refresh_token_lifespan", json!("720h")),
    ]
}

#[test]
fn the_table_of_changes_has_every_member() {
    let table: BTreeSet<String> = changes().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(table, full_json().into_iter().map(|(name, _)| name).collect());
}

#[test]
fn a_change_of_any_member_is_a_difference_in_both_directions() {
    for (name, value) in changes() {
        let mut changed = full_json();
        changed.insert(name.to_owned(), value);
        let changed = parse(Value::Object(changed));
        assert_eq!(full().differences(&changed), [name]);
        assert_eq!(changed.differences(&full()), [name]);
    }
}

#[test]
fn a_missing_member_is_a_difference_in_both_directions() {
    for name in full_json().keys().filter(|name| *name != "client_id") {
        let mut without = full_json();
        without.remove(name);
        let without = parse(Value::Object(without));
        assert_eq!(full().differences(&without), [name.as_str()]);
        // Without a wish, the owner on the server stays.
        let wanted = Some(name.as_str()).filter(|name| *name != "owner");
        assert_eq!(without.differences(&full()), Vec::from_iter(wanted));
    }
}

/// Asserts that two spellings of a member are no difference.
fn same(name: &str, one: Value, other: Value) {
    let client = |value: Value| parse(with(json!({ "client_id": "id" }), json!({ name: value })));
    let (one, other) = (client(one), client(other));
    assert_eq!(
        one.differences(&other),
        Vec::<String>::new(),
        "{name}: {one:?} {other:?}"
    );
    assert_eq!(
        other.differences(&one),
        Vec::<String>::new(),
        "{name}: {other:?} {one:?}"
    );
}

#[test]
fn null_absent_and_empty_are_the_same() {
    let bare = parse(json!({ "client_id": "id" }));
    for (name, value) in full_json().into_iter().filter(|(name, _)| name != "client_id") {
        let empty = match value {
            Value::Array(_) => json!([]),
            Value::String(_) => json!(""),
            Value::Object(_) => json!({}),
            // For this member, false and absent differ.
            Value::Bool(_) if name == "skip_logout_consent" => Value::Null,
            Value::Bool(_) => json!(false),
            other => panic!("{name}: {other}"),
        };
        same(&name, Value::Null, empty.clone());
        let empty = parse(with(json!({ "client_id": "id" }), json!({ name.as_str(): empty })));
        let null = parse(with(json!({ "client_id": "id" }), json!({ name.as_str(): null })));
        assert_eq!(bare.differences(&empty), Vec::<String>::new(), "{name}: empty");
        assert_eq!(bare.differences(&null), Vec::<String>::new(), "{name}: null");
    }
}

#[test]
fn other_spellings_of_the_server_are_no_difference() {
    let lists = [
        "redirect_uris",
        "post_logout_redirect_uris",
        "grant_types",
        "response_types",
        "audience",
        "contacts",
        "request_uris",
        "allowed_cors_origins",
    ];
    for name in lists {
        same(name, json!(["b", "a"]), json!(["a", "b"]));
        same(name, json!(["b", "a", "b"]), json!(["a", "b"]));
    }
    let durations = [
        ("60s", "1m0s"),
        ("60s", "60000ms"),
        ("1m0s", "60000ms"),
        ("90m", "1h30m0s"),
        ("1.5h", "1h30m0s"),
        ("1000ms", "1s"),
        ("720h", "720h0m0s"),
        ("0.5s", "500ms"),
        ("0s", "0ms"),
        ("1.1h", "1h6m0s"),
        ("0.1s", "100ms"),
    ];
    for name in full_json().keys().filter(|name| name.ends_with("_lifespan")) {
        for (ours, theirs) in durations {
            same(name, json!(ours), json!(theirs));
        }
    }
    let cors = "allowed_cors_origins";
    same(
        cors,
        json!(["https://app.example.com/"]),
        json!(["https://app.example.com"]),
    );
    same(
        cors,
        json!(["HTTPS://app.example.com"]),
        json!(["https://app.example.com"]),
    );
    same(
        cors,
        json!(["https://a.example.com/", "https://a.example.com"]),
        json!(["https://a.example.com"]),
    );
    same("scope", json!("openid email"), json!("email openid"));
    same("scope", json!("  openid   email "), json!("openid email"));
    same("scope", json!("openid openid"), json!("openid"));
    same("scope", json!(" "), json!(""));
    same("response_types", json!(["id_token code"]), json!(["code id_token"]));
    same("access_token_strategy", json!("JWT"), json!("jwt"));
    same("userinfo_signed_response_alg", json!("none"), json!(""));
    same(
        "metadata",
        json!({ "a": 1, "b": [{ "c": null }] }),
        json!({ "b": [{ "c": null }], "a": 1 }),
    );
}

#[test]
fn key_sets_are_compared_by_key_id_and_by_the_members_that_the_server_keeps() {
    let rsa = || json!({ "kty": "RSA", "kid": "a", "use": "sig", "alg": "RS256", "n": "AQ", "e": "AQAB" });
    let ec = || json!({ "kty": "EC", "kid": "b", "crv": "P-256", "x": "AQ", "y": "Ag" });
    let set = |keys: Value| json!({ "keys": keys });
    for none in [json!({}), set(json!([])), set(Value::Null), Value::Null] {
        same("jwks", none, json!({}));
    }
    same("jwks", set(json!([rsa(), ec()])), set(json!([ec(), rsa()])));
    let unknown = json!({ "key_ops": ["verify"], "ext": true, "x-mine": 1, "x5c": [], "x5t": "", "y": null });
    same("jwks", set(json!([with(rsa(), unknown)])), set(json!([rsa()])));
    same("jwks", json!({ "keys": [rsa()], "more": 1 }), set(json!([rsa()])));
}

#[test]
fn values_that_the_server_distinguishes_differ() {
    let cases = [
        ("skip_logout_consent", Value::Null, json!(false)),
        ("skip_logout_consent", json!(true), json!(false)),
        ("response_types", json!(["code", "token"]), json!(["code token"])),
        ("scope", json!("openid"), json!("OpenID")),
        (
            "redirect_uris",
            json!(["https://app.example.com/"]),
            json!(["https://app.example.com"]),
        ),
        (
            "allowed_cors_origins",
            json!(["https://app.example.com"]),
            json!(["http://app.example.com"]),
        ),
        ("implicit_grant_id_token_lifespan", Value::Null, json!("0s")),
        ("implicit_grant_id_token_lifespan", json!("1s"), json!("1ms")),
        ("implicit_grant_id_token_lifespan", json!("1m"), json!("1h")),
        ("metadata", json!({ "a": null }), json!({})),
        ("metadata", json!({ "a": [1, 2] }), json!({ "a": [2, 1] })),
        ("metadata", json!({ "a": 1 }), json!({ "a": "1" })),
        (
            "jwks",
            json!({ "keys": [{ "kid": "a", "kty": "RSA", "use": "sig" }] }),
            json!({ "keys": [{ "kid": "a", "kty": "RSA", "use": "enc" }] }),
        ),
        (
            "jwks",
            json!({ "keys": [{ "kid": "a", "kty": "RSA" }] }),
            json!({ "keys": [{ "kid": "a", "kty": "RSA" }, { "kid": "b", "kty": "RSA" }] }),
        ),
    ];
    for (name, one, other) in cases {
        let client = |value: &Value| parse(with(json!({ "client_id": "id" }), json!({ name: value })));
        assert_eq!(client(&one).differences(&client(&other)), [name], "{one} {other}");
    }
}

/// The pattern of the fields allows any number; no value that a user can write may crash the process.
#[test]
fn a_huge_duration_is_compared_like_any_other() {
    let client = |text: &str| {
        let mut client = full();
        client.lifespans.implicit_grant_id_token_lifespan = text.to_owned();
        client
    };
    let endless = client("99999999999999999999999999999h");
    assert_eq!(
        endless.differences(&client("99999999999999999999999999999h")),
        Vec::<String>::new()
    );
    assert_eq!(endless.differences(&client("1h")), ["implicit_grant_id_token_lifespan"]);
}

#[test]
fn secrets_and_server_made_members_are_not_compared_sent_or_shown() {
    let reply = json!({
        "client_id": "id",
        "client_secret": "geheim-1",
        "client_secret_expires_at": 0,
        "registration_access_token": "geheim-2",
        "registration_client_uri": "https://id.example.com/oauth2/register/geheim-3",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-02T00:00:00Z",
    });
    let client = parse(reply);
    assert_eq!(
        client.differences(&parse(json!({ "client_id": "id" }))),
        Vec::<String>::new()
    );
    assert_eq!(client.updated_at.as_deref(), Some("2026-01-02T00:00:00Z"));
    let sent: Value = serde_json::from_slice(&client.body(None)).expect("JSON");
    assert_eq!(sent, json!({ "client_id": "id", "scope": "" }));
    assert!(!format!("{client:?}").contains("geheim"), "{client:?}");
}

#[test]
fn unknown_members_are_kept_and_not_compared() {
    let known = json!({ "client_id": "id", "scope": "openid" });
    let unknown = json!({ "of_tomorrow_lifespan": "1m0s", "new": { "deep": [1, null] } });
    let client = parse(with(known.clone(), unknown.clone()));
    assert_eq!(client.differences(&parse(known.clone())), Vec::<String>::new());
    let sent: Value = serde_json::from_slice(&client.body(None)).expect("JSON");
    assert_eq!(sent, with(known, unknown));
}

#[test]
fn a_value_that_is_not_a_client_is_refused() {
    let cases = [
        json!(null),
        json!([]),
        json!("id"),
        json!({}),
        json!({ "client_id": "" }),
        json!({ "client_id": null }),
        json!({ "client_id": 7 }),
        json!({ "client_id": "id", "redirect_uris": "https://app.example.com" }),
        json!({ "client_id": "id", "redirect_uris": [null] }),
        json!({ "client_id": "id", "redirect_uris": [1] }),
        json!({ "client_id": "id", "skip_consent": "yes" }),
        json!({ "client_id": "id", "scope": ["openid"] }),
        json!({ "client_id": "id", "jwks": [] }),
        json!({ "client_id": "id", "implicit_grant_id_token_lifespan": 60 }),
        json!({ "error": "Not Found", "error_description": "" }),
    ];
    for value in cases {
        assert!(Client::parse(value.clone()).is_none(), "{value}");
    }
}

/// Hydra accepts any JSON as metadata. One such client must not make the whole listing unreadable.
#[test]
fn metadata_of_any_json_type_is_read_and_differs() {
    for metadata in [json!("text"), json!([1]), json!(7), json!(true)] {
        let spoilt = json!({ "client_id": "id", "metadata": metadata });
        let client = Client::parse(spoilt.clone()).unwrap_or_else(|| panic!("{spoilt}"));
        assert_eq!(client.marker(), None);
        let mut wanted = parse(json!({ "client_id": "id" }));
        wanted.mark(&marker("uid-1", ""));
        assert!(wanted.differences(&client).contains(&"metadata".to_owned()));
    }
}
