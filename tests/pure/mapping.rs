//! From a spec to Hydra's client: every field is sent, and omitted fields take their documented defaults.

use std::collections::BTreeSet;

use oidc_operator::admin::hydra::Client;
use oidc_operator::admin::hydra::client::Catalogue;
use oidc_operator::admin::hydra::mapping::{desired, fields_named_in};
use oidc_operator::api::oauth2_client::Effective;
use serde_json::{Map, Value, json};

use crate::{marker, spec, web, with};

fn wire(value: Value) -> Value {
    let spec = spec(value);
    let effective = Effective::of(&spec, &[], &[]);
    let id = spec.client_id.clone().unwrap_or_else(|| "uid-1".to_owned());
    let client = desired(&spec, &effective, &Catalogue::default(), &id, &marker("uid-1", "r-1"));
    serde_json::from_slice(&client.body(None)).expect("JSON")
}

/// The members that every client of ours has, and more.
fn marked(more: Value) -> Value {
    let mark = serde_json::to_value(marker("uid-1", "r-1")).expect("JSON");
    let ours = json!({
        "client_id": "uid-1",
        "metadata": { "oidc-operator.dev": mark },
        "subject_type": "public",
        "userinfo_signed_response_alg": "none",
        "token_endpoint_auth_method": "client_secret_basic",
    });
    with(ours, more)
}

/// A spec in which every field is set, even if some conflict with others.
fn full() -> Value {
    json!({
        "serverRef": { "name": "main" },
        "clientId": "team-a.shop",
        "clientIdFrom": { "name": "mine", "key": "id" },
        "clientName": "Shop",
        "clientType": "Confidential",
        "redirectUris": ["https://app.example.com/cb", "com.example.app:/cb"],
        "postLogoutRedirectUris": ["https://app.example.com/bye"],
        "grantTypes": [
            "authorization_code", "refresh_token", "client_credentials", "implicit",
            "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code"
        ],
        "responseTypes": [
            "code", "token", "id_token", "code id_token", "code token", "id_token token", "code id_token token"
        ],
        "scopes": ["openid", "profile", "api:read"],
        "scopeRefs": [{ "name": "orders" }],
        "assignmentRefs": [{ "name": "staff" }],
        "keySetRef": { "name": "keys" },
        "audience": ["https://api.example.com", "other"],
        "contacts": ["a@example.com"],
        "clientUri": "https://app.example.com",
        "logoUri": "https://app.example.com/logo",
        "policyUri": "https://app.example.com/policy",
        "tosUri": "https://app.example.com/tos",
        "jwks": { "keys": [
            { "kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": "AQ", "e": "AQAB", "x5c": ["AAAA"] },
            { "kty": "EC", "kid": "k2", "use": "enc", "crv": "P-256", "x": "AQ", "y": "Ag" },
        ] },
        "jwksUri": "https://app.example.com/jwks",
        "subjectType": "pairwise",
        "sectorIdentifierUri": "https://app.example.com/sector",
        "tokenEndpointAuthMethod": "client_secret_post",
        "tokenEndpointAuthSigningAlg": "PS256",
        "requestObjectSigningAlg": "ES256",
        "userinfoSignedResponseAlg": "RS256",
        "requestUris": ["https://app.example.com/request"],
        "frontchannelLogoutUri": "https://app.example.com/front",
        "frontchannelLogoutSessionRequired": true,
        "backchannelLogoutUri": "https://app.example.com/back",
        "backchannelLogoutSessionRequired": true,
        "allowedCorsOrigins": ["https://app.example.com"],
        "accessTokenTtl": "10m",
        "idTokenTtl": "20m",
        "refreshTokenTtl": "720h",
        "metadata": { "tier": "gold", "deep": { "list": [1, null] } },
        "hydra": {
            "tokenLifespans": { "clientCredentialsGrantAccessToken": "5m" },
            "owner": "user-42",
            "skipConsent": true,
            "skipLogoutConsent": false,
            "accessTokenStrategy": "jwt",
        },
        "credentials": { "secretName": "shop" },
        "clientSecretRef": { "name": "mine", "key": "secret" },
        "rotation": { "period": "720h", "withoutOverlap": "Allow" },
        "deletionPolicy": "Orphan",
        "managementPolicy": "Full",
        "adoption": "Allow", "onSecretMismatch": "Replace",
        "suspend": true,
    })
}

fn properties(path: &[&str]) -> BTreeSet<String> {
    let crds = serde_json::to_value(oidc_operator::api::crds()).expect("CRDs");
    let crd = crds
        .as_array()
        .into_iter()
        .flatten()
        .find(|crd| crd["spec"]["names"]["kind"] == "OAuth2Client")
        .expect("OAuth2Client");
    let mut schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for name in path {
        schema = &schema["properties"][name];
    }
    let properties = schema["properties"].as_object().expect("properties");
    properties.keys().cloned().collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .map(Map::keys)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

#[test]
fn the_full_spec_sets_every_field() {
    let of_others = ["providerRefs", "vault"].map(str::to_owned).into(); // not for Hydra
    assert_eq!(
        keys(&full()),
        &properties(&["spec"]) - &of_others,
        "add new fields to full() and to its expected client"
    );
    assert_eq!(keys(&full()["hydra"]), properties(&["spec", "hydra"]));
    // Our types lose nothing of it.
    assert_eq!(serde_json::to_value(spec(full())).expect("JSON"), full());
}

#[test]
fn every_field_of_the_spec_is_sent_to_hydra() {
    let mark = serde_json::to_value(marker("uid-1", "r-1")).expect("JSON");
    let expected = json!({
        "client_id": "team-a.shop",
        "client_name": "Shop",
        "owner": "user-42",
        "redirect_uris": ["https://app.example.com/cb", "com.example.app:/cb"],
        "post_logout_redirect_uris": ["https://app.example.com/bye"],
        "grant_types": [
            "authorization_code", "refresh_token", "client_credentials", "implicit",
            "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code"
        ],
        "response_types": [
            "code", "token", "id_token", "code id_token", "code token", "id_token token", "code id_token token"
        ],
        "scope": "openid profile api:read",
        "audience": ["https://api.example.com", "other"],
        "contacts": ["a@example.com"],
        "client_uri": "https://app.example.com",
        "logo_uri": "https://app.example.com/logo",
        "policy_uri": "https://app.example.com/policy",
        "tos_uri": "https://app.example.com/tos",
        "jwks": { "keys": [
            { "kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": "AQ", "e": "AQAB", "x5c": ["AAAA"] },
            { "kty": "EC", "kid": "k2", "use": "enc", "crv": "P-256", "x": "AQ", "y": "Ag" },
        ] },
        "jwks_uri": "https://app.example.com/jwks",
        "subject_type": "pairwise",
        "sector_identifier_uri": "https://app.example.com/sector",
        "token_endpoint_auth_method": "client_secret_post",
        "token_endpoint_auth_signing_alg": "PS256",
        "request_object_signing_alg": "ES256",
        "userinfo_signed_response_alg": "RS256",
        "request_uris": ["https://app.example.com/request"],
        "frontchannel_logout_uri": "https://app.example.com/front",
        "frontchannel_logout_session_required": true,
        "backchannel_logout_uri": "https://app.example.com/back",
        "backchannel_logout_session_required": true,
        "allowed_cors_origins": ["https://app.example.com"],
        "skip_consent": true,
        "skip_logout_consent": false,
        "access_token_strategy": "jwt",
        "metadata": { "tier": "gold", "deep": { "list": [1, null] }, "oidc-operator.dev": mark },
    });
    let lifespans = json!({
        "authorization_code_grant_access_token_lifespan": "10m",
        "authorization_code_grant_id_token_lifespan": "20m",
        "authorization_code_grant_refresh_token_lifespan": "720h",
        "client_credentials_grant_access_token_lifespan": "5m",
        "device_authorization_grant_access_token_lifespan": "10m",
        "device_authorization_grant_id_token_lifespan": "20m",
        "device_authorization_grant_refresh_token_lifespan": "720h",
        "implicit_grant_access_token_lifespan": "10m",
        "implicit_grant_id_token_lifespan": "20m",
        "jwt_bearer_grant_access_token_lifespan": "10m",
        "refresh_token_grant_access_token_lifespan": "10m",
        "refresh_token_grant_id_token_lifespan": "20m",
        "refresh_token_grant_refresh_token_lifespan": "720h",
    });
    assert_eq!(wire(full()), with(expected, lifespans));
}

#[test]
fn omitted_fields_take_their_documented_defaults() {
    let expected = marked(json!({
        "redirect_uris": ["https://app.example.com/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "openid offline_access",
    }));
    assert_eq!(wire(web()), expected);
}

/// Hydra replaces an empty scope with its own default; it keeps one space, which grants nothing.
#[test]
fn an_empty_scope_is_sent_as_one_space() {
    let machine = marked(json!({ "grant_types": ["client_credentials"], "scope": " " }));
    assert_eq!(wire(json!({ "grantTypes": ["client_credentials"] })), machine);
    assert_eq!(wire(with(web(), json!({ "scopes": [] })))["scope"], " ");
}

#[test]
fn a_public_client_has_no_authentication() {
    let public = wire(with(web(), json!({ "clientType": "Public" })));
    assert_eq!(public["token_endpoint_auth_method"], "none");
}

fn lifespans(more: Value) -> Map<String, Value> {
    let wire = wire(with(web(), more));
    let members = wire.as_object().cloned().unwrap_or_default();
    members
        .into_iter()
        .filter(|(name, _)| name.ends_with("_lifespan"))
        .collect()
}

#[test]
fn a_ttl_sets_only_the_lifespans_of_its_token() {
    for (ttl, token, count) in [
        ("accessTokenTtl", "_access_token_lifespan", 5),
        ("idTokenTtl", "_id_token_lifespan", 3),
        ("refreshTokenTtl", "_refresh_token_lifespan", 2),
    ] {
        let set = lifespans(json!({ ttl: "15m" }));
        assert_eq!(set.len(), count, "{ttl}: {set:?}");
        for (name, value) in set {
            assert!(name.ends_with(token), "{ttl}: {name}");
            assert_eq!(value, "15m", "{ttl}: {name}");
        }
    }
}

#[test]
fn each_token_lifespan_overrides_the_ttl_for_its_own_grant_only() {
    let names = properties(&["spec", "hydra", "tokenLifespans"]);
    assert_eq!(names.len(), 13);
    let ttls = json!({ "accessTokenTtl": "1h", "idTokenTtl": "1h", "refreshTokenTtl": "1h" });
    for name in names {
        let mut wire_name: String = name
            .chars()
            .flat_map(|c| {
                let underscore = c.is_ascii_uppercase().then_some('_');
                underscore.into_iter().chain(std::iter::once(c.to_ascii_lowercase()))
            })
            .collect();
        wire_name += "_lifespan";
        let alone = json!({ "hydra": { "tokenLifespans": { name.as_str(): "7m" } } });
        assert_eq!(
            Value::Object(lifespans(alone.clone())),
            json!({ wire_name.as_str(): "7m" }),
            "{name}"
        );
        for (set, value) in lifespans(with(ttls.clone(), alone)) {
            assert_eq!(value, if set == wire_name { "7m" } else { "1h" }, "{name}: {set}");
        }
    }
}

#[test]
fn lifetimes_of_the_device_grant_are_sent_only_for_clients_that_have_it() {
    const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
    let of = |grant: &str| {
        let spec = spec(json!({ "grantTypes": [grant], "accessTokenTtl": "1h", "idTokenTtl": "2h" }));
        let effective = Effective::of(&spec, &[], &[]);
        let mark = marker("uid-1", "r-1");
        desired(&spec, &effective, &Catalogue::default(), "uid-1", &mark).lifespans
    };
    let (without, with) = (of("client_credentials"), of(DEVICE));
    assert_eq!(without.device_authorization_grant_access_token_lifespan, "");
    assert_eq!(without.device_authorization_grant_id_token_lifespan, "");
    assert_eq!(with.device_authorization_grant_access_token_lifespan, "1h");
    assert_eq!(with.device_authorization_grant_id_token_lifespan, "2h");
    assert_eq!(without.authorization_code_grant_access_token_lifespan, "1h");
}

#[test]
fn a_desired_client_does_not_differ_from_its_stored_form() {
    let minimal = spec(web());
    let wanted = desired(
        &minimal,
        &Effective::of(&minimal, &[], &[]),
        &Catalogue::default(),
        "uid-1",
        &marker("uid-1", "r-1"),
    );
    let mut stored: Value = serde_json::from_slice(&wanted.body(None)).expect("JSON");
    // As a GET of Hydra 2.3 returns it.
    stored = with(
        stored,
        json!({
            "client_name": "", "audience": [], "policy_uri": "", "allowed_cors_origins": [], "tos_uri": "",
            "client_uri": "", "logo_uri": "", "contacts": [], "client_secret_expires_at": 0, "jwks": {},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "skip_consent": false,
            "skip_logout_consent": null, "implicit_grant_id_token_lifespan": null,
        }),
    );
    let observed = Client::parse(stored).expect("a client");
    assert_eq!(wanted.differences(&observed), Vec::<String>::new());
}

const PREFIX: &str = "The value of one of the Client Metadata fields is invalid and the server has rejected this request. \
    Note that an Authorization Server MAY choose to substitute a valid value for any requested parameter of a Client's Metadata. ";

#[test]
fn fields_are_found_in_error_messages_of_hydra() {
    let cases: [(&str, &[&str]); 7] = [
        (
            "Field client_secret must contain a secret that is at least 6 characters long.",
            &["clientSecretRef"],
        ),
        (
            "When token_endpoint_auth_method is 'private_key_jwt', either jwks or jwks_uri must be set.",
            &["jwksUri", "jwks", "tokenEndpointAuthMethod"],
        ),
        (
            "Fields jwks and jwks_uri can not both be set, you must choose one.",
            &["jwksUri", "jwks"],
        ),
        (
            "Field userinfo_signed_response_alg can either be 'none' or 'RS256'.",
            &["userinfoSignedResponseAlg"],
        ),
        (
            "post_logout_redirect_uris must match a redirect",
            &["postLogoutRedirectUris"],
        ),
        ("", &[]),
        ("Something else entirely: redirect_urisx xjwks", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(fields_named_in(&format!("{PREFIX}{text}")), expected, "{text}");
    }
    let redirect = "The value of one or more redirect_uris is invalid. ";
    for text in [
        "Unable to parse redirect URL: not a url",
        "Redirect URIs must not contain fragments (#).",
    ] {
        assert_eq!(
            fields_named_in(&format!("{redirect}{text}")),
            ["redirectUris"],
            "{text}"
        );
    }
}

/// Real messages in which Hydra spells the name of the field in words.
#[test]
fn fields_spelled_in_words_are_found_too() {
    let cases = [
        (
            "Subject type weird is not supported by server, only [public] are allowed.",
            "subjectType",
        ),
        (
            "invalid access token strategy: expected one of [jwt, opaque] but got weird",
            "hydra.accessTokenStrategy",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(fields_named_in(&format!("{PREFIX}{text}")), [expected], "{text}");
    }
}

#[test]
fn references_of_a_client_are_in_its_metadata_beside_the_marker() {
    let spec = spec(with(web(), json!({ "metadata": { "team": "a" } })));
    let effective = Effective::of(&spec, &[], &["orders:read".to_owned(), "openid".to_owned()]);
    let catalogue: Catalogue = serde_json::from_value(json!({
        "scopes": { "orders:read": { "description": "See your orders", "template": "{}" } },
        "assignments": { "subjects": ["bob", "alice"], "groups": [] },
    }))
    .expect("a catalogue");
    let wanted = desired(&spec, &effective, &catalogue, "uid-1", &marker("uid-1", "r-1"));
    assert_eq!(wanted.scope, "openid offline_access orders:read");
    let mut ours = serde_json::to_value(marker("uid-1", "r-1")).expect("JSON");
    let carried = serde_json::to_value(&catalogue).expect("JSON");
    ours = with(ours, carried);
    assert_eq!(
        Value::Object(wanted.metadata.clone()),
        json!({ "team": "a", "oidc-operator.dev": ours })
    );
    assert_eq!(wanted.marker(), Some(marker("uid-1", "r-1")));

    // A new marker keeps everything else, and the old revision is removed with the old marker.
    let mut marked = wanted.clone();
    marked.mark(&marker("uid-1", ""));
    assert_eq!(marked.marker(), Some(marker("uid-1", "")));
    assert_eq!(marked.differences(&wanted), ["metadata"]);
    marked.mark(&marker("uid-1", "r-1"));
    assert!(marked.differences(&wanted).is_empty());
    marked.unmark();
    assert_eq!(marked.marker(), None);
    let kept = json!({ "scopes": catalogue.scopes, "assignments": catalogue.assignments });
    assert_eq!(marked.metadata["oidc-operator.dev"], kept);
}
