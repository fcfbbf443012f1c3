//! Private keys: a generated key is read back, and an unusable key is reported with its problem.

use oidc_operator::admin::hydra::key::{JsonWebKey, JsonWebKeySet};
use oidc_operator::api::json_web_key_set::KeyAlgorithm;
use oidc_operator::key_material::{complete, generate, import, pem};
use serde_json::{Value, json};

const ALGORITHMS: [KeyAlgorithm; 5] = [
    KeyAlgorithm::PS256,
    KeyAlgorithm::ES256,
    KeyAlgorithm::ES384,
    KeyAlgorithm::ES512,
    KeyAlgorithm::EdDSA,
];

fn members(key: &JsonWebKey) -> Value {
    serde_json::from_slice(&key.body()).expect("a key is JSON")
}

fn same(one: &JsonWebKey, other: &JsonWebKey) -> bool {
    let alone = |key: &JsonWebKey| JsonWebKeySet {
        keys: vec![key.clone()],
    };
    alone(one).same_as(&alone(other))
}

#[test]
fn every_key_is_read_back_from_jwk_jwks_and_pem() {
    for algorithm in ALGORITHMS {
        let key = generate(algorithm, "kid").expect("a key");
        assert!(key.is_private(), "{algorithm:?}");
        assert_eq!(
            (key.public.kid.as_str(), key.public.alg.as_str()),
            ("kid", algorithm.as_str())
        );
        assert_eq!(key.public.usage, "sig");

        let from_jwk = import(&members(&key).to_string()).expect("a JWK");
        assert!(same(&from_jwk, &key), "{algorithm:?} as a JWK");
        let set = json!({ "keys": [members(&key), key.public] });
        let from_set = import(&set.to_string()).expect("a JWKS");
        assert!(same(&from_set, &key), "{algorithm:?} in a JWKS");

        let text = pem(members(&key).as_object().expect("members")).expect("PEM");
        let mut from_pem = import(text.expose()).expect("a PEM key");
        assert!(from_pem.public.kid.is_empty(), "PEM has no ids");
        from_pem.public.kid = "kid".to_owned();
        from_pem.public.alg = algorithm.as_str().to_owned(); // nor algorithms: an RSA key is read as RS256
        assert!(same(&from_pem, &key), "{algorithm:?} as PEM");
    }
}

#[test]
fn fields_dropped_by_the_server_are_recomputed() {
    let key = generate(KeyAlgorithm::RS256, "kid").expect("a key");
    let mut short = members(&key);
    for name in ["dp", "dq", "qi"] {
        short.as_object_mut().expect("members").remove(name);
    }
    let short = JsonWebKey::parse(short).expect("a key");
    assert_eq!(members(&complete(&short).expect("a whole key")), members(&key));
}

#[test]
fn an_unusable_key_is_reported_with_its_problem() {
    let edited = |algorithm, edit: &dyn Fn(&mut Value)| {
        let mut members = members(&generate(algorithm, "kid").expect("a key"));
        edit(&mut members);
        members.to_string()
    };
    let es256 = |edit: &dyn Fn(&mut Value)| edited(KeyAlgorithm::ES256, edit);
    let long = "A".repeat(2_000);
    let table = [
        ("{".to_owned(), "is neither a JWK, nor a JWKS, nor a key in PEM form"),
        ("7".to_owned(), "is neither a JWK, nor a JWKS, nor a key in PEM form"),
        (r#"{"keys": 7}"#.to_owned(), "is a JWKS whose `keys` is not a list"),
        (r#"{"keys": []}"#.to_owned(), "holds no private key"),
        (es256(&|key| key["d"] = Value::Null), "holds no private key"),
        (
            es256(&|key| key["d"] = json!("AA")),
            "has a private part that is not valid for its curve",
        ),
        (
            es256(&|key| key["x"] = json!("AA")),
            "has parts that do not belong together",
        ),
        (
            es256(&|key| key["alg"] = json!("ES384")),
            "has an `alg` that does not match its key type",
        ),
        (
            es256(&|key| key["use"] = json!("enc")),
            "is not for signatures: its `use` is not `sig`",
        ),
        (
            es256(&|key| key["crv"] = json!("secp256k1")),
            "is of an unsupported type; use RSA, P-256, P-384, P-521 or Ed25519",
        ),
        (
            json!({ "kty": "RSA", "n": long, "e": "AQAB", "d": "AQAB" }).to_string(),
            "is an RSA key of more than 8192 bits",
        ),
        (
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "d": long }).to_string(),
            "is an RSA key of more than 8192 bits",
        ),
        (
            json!({ "kty": "RSA", "d": "AQAB" }).to_string(),
            "has no modulus or no exponent",
        ),
        (
            format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
                "A".repeat(9_000)
            ),
            "is longer than 8 KiB, which is too long for a key in PEM form",
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----".to_owned(),
            "is encrypted; decrypt it first",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_owned(),
            "is not an RSA, P-256, P-384, P-521 or Ed25519 key in PEM form",
        ),
    ];
    for (text, problem) in table {
        assert_eq!(
            import(&text).err(),
            Some(problem),
            "{}",
            text.chars().take(80).collect::<String>()
        );
    }
}
