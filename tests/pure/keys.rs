//! When two key sets are the same, and which members of a key are kept.

use oidc_operator::admin::hydra::Client;
use oidc_operator::admin::hydra::key::{JsonWebKey, JsonWebKeySet};
use serde_json::{Value, json};

fn set(keys: Value) -> JsonWebKeySet {
    JsonWebKeySet::parse(json!({ "keys": keys })).expect("a set")
}

fn client(jwks: Value) -> Client {
    Client::parse(json!({ "client_id": "shop", "jwks": jwks })).expect("a client")
}

/// Pairs of keys that the server treats as the same, and pairs that it does not. The last column states whether a
/// client's copy of the public part is the same too.
#[test]
fn two_forms_of_one_key_are_the_same_if_the_server_treats_them_so() {
    let rsa = json!({ "kty": "RSA", "kid": "k", "n": "yw", "e": "AQAB" });
    let ec = json!({ "kty": "EC", "kid": "k", "crv": "P-256", "x": "AAE", "y": "Ag" });
    let oct = json!({ "kty": "oct", "kid": "k", "k": "AAE" });
    let okp = json!({ "kty": "OKP", "kid": "k", "crv": "Ed25519", "x": "AAE" });
    let with = |key: &Value, members: Value| {
        let mut key = key.clone();
        for (name, value) in members.as_object().expect("members") {
            key[name] = value.clone();
        }
        key
    };
    let table = [
        ("itself", rsa.clone(), rsa.clone(), true, true),
        (
            "empty members",
            rsa.clone(),
            with(&rsa, json!({ "x5c": [], "x5t": "", "alg": "" })),
            true,
            true,
        ),
        (
            "null members",
            rsa.clone(),
            with(&rsa, json!({ "use": null, "x5c": null, "d": null })),
            true,
            true,
        ),
        (
            "unknown members",
            rsa.clone(),
            with(&rsa, json!({ "key_ops": ["sign"], "ext": true, "team": {} })),
            true,
            true,
        ),
        (
            "a leading zero of a number",
            rsa.clone(),
            with(&rsa, json!({ "n": "AMs" })),
            true,
            true,
        ),
        ("padding", rsa.clone(), with(&rsa, json!({ "n": "yw==" })), true, true),
        ("unused bits", rsa.clone(), with(&rsa, json!({ "n": "yx" })), true, true),
        (
            "a coordinate with a leading zero",
            ec.clone(),
            with(&ec, json!({ "x": "AQ", "y": "AAI" })),
            true,
            true,
        ),
        (
            "members derived from the rest",
            with(&rsa, json!({ "d": "AQ" })),
            with(&rsa, json!({ "d": "AAE", "dp": "AQ", "dq": "AQ", "qi": "AQ" })),
            true,
            true,
        ),
        (
            "another number",
            rsa.clone(),
            with(&rsa, json!({ "n": "yg" })),
            false,
            false,
        ),
        (
            "another use",
            rsa.clone(),
            with(&rsa, json!({ "use": "enc" })),
            false,
            false,
        ),
        (
            "another certificate",
            rsa.clone(),
            with(&rsa, json!({ "x5c": ["AA=="] })),
            false,
            false,
        ),
        (
            "another id",
            rsa.clone(),
            with(&rsa, json!({ "kid": "K" })),
            false,
            false,
        ),
        (
            "an additional private member",
            rsa.clone(),
            with(&rsa, json!({ "d": "AQ" })),
            false,
            true,
        ),
        (
            "another private member",
            with(&rsa, json!({ "d": "AQ" })),
            with(&rsa, json!({ "d": "Ag" })),
            false,
            true,
        ),
        (
            "a symmetric key is no number",
            oct.clone(),
            with(&oct, json!({ "k": "AQ" })),
            false,
            true,
        ),
        (
            "padding of a symmetric key",
            oct.clone(),
            with(&oct, json!({ "k": "AAE=" })),
            true,
            true,
        ),
        (
            "an Edwards key is no number",
            okp.clone(),
            with(&okp, json!({ "x": "AQ" })),
            false,
            false,
        ),
        (
            "a value that is not base64url",
            rsa.clone(),
            with(&rsa, json!({ "n": "?" })),
            false,
            false,
        ),
    ];
    for (what, one, other, same, same_public) in table {
        let (a, b) = (set(json!([one])), set(json!([other])));
        assert_eq!((a.same_as(&b), b.same_as(&a)), (same, same), "{what}");
        let differences = client(json!({ "keys": [one] })).differences(&client(json!({ "keys": [other] })));
        assert_eq!(differences.is_empty(), same_public, "{what}: {differences:?}");
    }
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let (a, b) = (
        json!({ "kty": "oct", "kid": "a", "k": "AQ" }),
        json!({ "kty": "oct", "kid": "b", "k": "Ag" }),
    );
    assert!(set(json!([a, b])).same_as(&set(json!([b, a]))));
    assert!(!set(json!([a, b])).same_as(&set(json!([a]))));
    assert!(
        set(json!([a, b])) != set(json!([b, a])),
        "the order is kept when a set is sent"
    );
}

/// Absent, null and empty `keys` are the same.
#[test]
fn a_set_without_keys_equals_no_set() {
    for empty in [json!({}), json!({ "keys": null }), json!({ "keys": [] })] {
        assert!(
            JsonWebKeySet::parse(empty.clone()).expect("a set").keys.is_empty(),
            "{empty}"
        );
        assert_eq!(client(empty).differences(&client(json!({}))), Vec::<String>::new());
    }
}

#[test]
fn an_unreadable_set_is_refused_and_differs_from_every_set() {
    for odd in [
        json!([]),
        json!("x"),
        json!({ "keys": {} }),
        json!({ "keys": [1] }),
        json!({ "keys": [{ "n": 1 }] }),
    ] {
        assert!(JsonWebKeySet::parse(odd.clone()).is_none(), "{odd}");
        if odd.is_object() {
            assert_eq!(client(odd).differences(&client(json!({}))), ["jwks"]);
        }
    }
}

/// A PUT of a key that was read sends it unchanged, unknown members included.
#[test]
fn a_key_is_sent_back_with_all_its_members() {
    let members = json!({
        "kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256", "n": "AMs=", "e": "AQAB", "x5c": ["AA=="], "x5u": "https://x", "x5t": "AA",
        "x5t#S256": "AA", "d": "AQ", "p": "AQ", "q": "AQ", "dp": "AQ", "dq": "AQ", "qi": "AQ", "oth": [{ "r": "AQ" }], "key_ops": ["sign"],
        "team": { "name": "shop", "size": 3 },
    });
    let key = JsonWebKey::parse(members.clone()).expect("a key");
    assert!(key.is_private());
    assert_eq!(serde_json::from_slice::<Value>(&key.body()).ok(), Some(members.clone()));
    let body = set(json!([members])).body();
    assert_eq!(
        serde_json::from_slice::<Value>(&body).ok(),
        Some(json!({ "keys": [members] }))
    );
}

/// The printable part has no private members, and unknown members count as private.
#[test]
fn the_public_part_holds_nothing_private() {
    let key = JsonWebKey::parse(json!({
        "kty": "AKP", "kid": "k", "d": "geheim", "k": "geheim", "priv": "geheim", "oth": [{ "d": "geheim" }],
    }));
    let public = key.expect("a key").public;
    assert!(!format!("{public:?}").contains("geheim"));
    assert_eq!(
        serde_json::to_value(&public).ok(),
        Some(json!({ "kty": "AKP", "kid": "k" }))
    );
    assert!(!JsonWebKey::from(public).is_private());
}
