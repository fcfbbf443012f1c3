//! What the schema refuses, word for word.

use anyhow::{Result, ensure};
use oidc_operator::api::JsonWebKeySet;

use crate::bed::Bed;

pub(super) async fn bad_key_sets_are_refused_word_for_word(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let table = [
        (
            "{ setName: x }",
            "set generate, for keys that the operator makes, or import, for a key of yours",
        ),
        (
            "{ generate: { algorithm: ES256 }, import: { secretRef: { name: a, key: b } } }",
            "set generate, for keys that the operator makes, or import, for a key of yours",
        ),
        (
            "{ generate: { algorithm: HS256 } }",
            r#"Unsupported value: "HS256": supported values: "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA""#,
        ),
        (
            "{ import: { secretRef: { name: a, key: b } }, rotation: { period: 1h } }",
            "rotation: goes with generate; to rotate a key of yours, change the Secret that import names",
        ),
        (
            "{ generate: { algorithm: ES256 }, rotation: { period: 1ms } }",
            "rotation.period: at least 1s",
        ),
        (
            "{ import: { secretRef: { name: refused, key: b } }, privateKey: {} }",
            "import: names the Secret that the operator writes; keep your own key in another one",
        ),
        (
            "{ generate: { algorithm: ES256 }, privateKey: { secretName: jwks-01234567-x } }",
            "privateKey.secretName: names that start like jwks-01234567- are kept for the operator's ledgers",
        ),
        (
            "{ generate: { algorithm: ES256 }, privateKey: {}, publish: { secretName: refused } }",
            "publish.secretName: the Secret of the public keys must be another one than that of a private key",
        ),
        (
            "{ import: { secretRef: { name: a, key: b } }, publish: { secretName: a } }",
            "publish.secretName: the Secret of the public keys must be another one than that of a private key",
        ),
        (
            "{ generate: { algorithm: ES256 }, publish: { secretName: a, configMapName: b } }",
            "publish: set configMapName or secretName, or neither",
        ),
        (
            "{ generate: { algorithm: ES256 }, publish: { secretName: oac-01234567-x } }",
            "publish.secretName: names that start like jwks-01234567- are kept for the operator's ledgers",
        ),
        (
            "{ generate: { algorithm: ES256, by: Nobody } }",
            r#"Unsupported value: "Nobody": supported values: "Operator", "Server""#,
        ),
        (
            "{ generate: { algorithm: ES256 }, setName: 01234567-89ab-cdef-0123-456789abcdef }",
            "setName: must not look like a UUID, since those are the names of sets that name none",
        ),
    ];
    for (spec, said) in table {
        let refusal = space.refused::<JsonWebKeySet>("refused", spec).await?;
        ensure!(refusal.contains(said), "{spec}: {refusal}");
    }
    space
        .make::<JsonWebKeySet>("keys", "{ generate: { algorithm: ES256 }, setName: one }")
        .await?;
    for (spec, said) in [
        (
            "{ generate: { algorithm: ES256 }, setName: two }",
            "setName is immutable: create a new JsonWebKeySet of the other name",
        ),
        (
            "{ generate: { algorithm: ES256 }, setName: one, serverRef: { name: x } }",
            "serverRef is immutable: create a new JsonWebKeySet for the other server",
        ),
    ] {
        let refusal = space.refused::<JsonWebKeySet>("keys", spec).await?;
        ensure!(refusal.contains(said), "{spec}: {refusal}");
    }
    Ok(())
}
