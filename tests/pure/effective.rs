//! Effective values: those that the spec sets, and the documented defaults for the rest.

use oidc_operator::api::oauth2_client::{Effective, SubjectType};
use serde_json::{Value, json};

use crate::{spec, web, with};

fn effective(value: Value, subject_types: &[SubjectType]) -> Value {
    serde_json::to_value(Effective::of(&spec(value), subject_types, &[])).expect("JSON")
}

/// The effective values of a confidential web application, with some members changed.
fn like_web(more: Value) -> Value {
    let web = json!({
        "clientType": "Confidential",
        "grantTypes": ["authorization_code", "refresh_token"],
        "responseTypes": ["code"],
        "scopes": ["openid", "offline_access"],
        "tokenEndpointAuthMethod": "client_secret_basic",
        "subjectType": "public",
        "deletionPolicy": "Delete",
    });
    with(web, more)
}

#[test]
fn a_short_spec_has_useful_defaults() {
    let cases = [
        ("a web application", web(), like_web(json!({}))),
        (
            "a machine",
            json!({ "grantTypes": ["client_credentials"] }),
            like_web(json!({ "grantTypes": ["client_credentials"], "responseTypes": [], "scopes": [] })),
        ),
        (
            "a browser application",
            with(web(), json!({ "clientType": "Public" })),
            like_web(json!({ "clientType": "Public", "tokenEndpointAuthMethod": "none" })),
        ),
        (
            "login without refresh",
            with(web(), json!({ "grantTypes": ["authorization_code"] })),
            like_web(json!({ "grantTypes": ["authorization_code"], "scopes": ["openid"] })),
        ),
        (
            "login and machine in one",
            with(
                web(),
                json!({ "grantTypes": ["client_credentials", "authorization_code"] }),
            ),
            like_web(json!({ "grantTypes": ["client_credentials", "authorization_code"], "scopes": ["openid"] })),
        ),
        (
            "the implicit grant, which has no default",
            with(web(), json!({ "grantTypes": ["implicit"] })),
            like_web(json!({ "grantTypes": ["implicit"], "responseTypes": [], "scopes": [] })),
        ),
        (
            "refresh alone",
            json!({ "grantTypes": ["refresh_token"] }),
            like_web(json!({ "grantTypes": ["refresh_token"], "responseTypes": [], "scopes": [] })),
        ),
    ];
    for (what, spec, expected) in cases {
        assert_eq!(effective(spec, &[]), expected, "{what}");
    }
}

#[test]
fn explicit_values_override_defaults_even_if_they_are_empty() {
    let cases = [
        json!({ "scopes": [] }),
        json!({ "scopes": ["profile"] }),
        json!({ "responseTypes": [] }),
        json!({ "responseTypes": ["id_token token", "code"] }),
        json!({ "grantTypes": ["refresh_token", "authorization_code"] }), // in this order
        json!({ "tokenEndpointAuthMethod": "client_secret_post" }),
        json!({ "tokenEndpointAuthMethod": "private_key_jwt" }),
        json!({ "subjectType": "pairwise" }),
        json!({ "deletionPolicy": "Orphan" }),
    ];
    for said in cases {
        assert_eq!(
            effective(with(web(), said.clone()), &[]),
            like_web(said.clone()),
            "{said}"
        );
    }
}

#[test]
fn the_subject_type_is_public_unless_the_server_supports_only_pairwise() {
    use SubjectType::{Pairwise, Public};
    let cases: [(&[SubjectType], &str); 5] = [
        (&[], "public"),
        (&[Public], "public"),
        (&[Pairwise, Public], "public"),
        (&[Public, Pairwise], "public"),
        (&[Pairwise], "pairwise"),
    ];
    for (listed, expected) in cases {
        assert_eq!(effective(web(), listed)["subjectType"], expected, "{listed:?}");
    }
    let asked = with(web(), json!({ "subjectType": "public" }));
    assert_eq!(effective(asked, &[Pairwise])["subjectType"], "public");
}

#[test]
fn only_auth_methods_that_use_a_secret_get_one() {
    for (method, expected) in [
        ("client_secret_basic", true),
        ("client_secret_post", true),
        ("private_key_jwt", false),
        ("none", false),
    ] {
        let spec = spec(with(web(), json!({ "tokenEndpointAuthMethod": method })));
        assert_eq!(Effective::of(&spec, &[], &[]).has_secret(), expected, "{method}");
    }
}
