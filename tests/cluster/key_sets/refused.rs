//! The messages with which the schema rejects invalid key sets.

use anyhow::{Result, ensure};
use oidc_operator::api::JsonWebKeySet;

use crate::bed::Bed;

pub(super) async fn invalid_key_sets_are_rejected(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let table = [
        (
            "{ setName: x }",
            "set exactly one of generate, for new keys, and import, for your own key",
        ),
        (
            "{ generate: { algorithm: ES256 }, import: { secretRef: { name: a, key: b } } }",
            "set exactly one of generate, for new keys, and import, for your own key",
        ),
        (
            "{ generate: { algorithm: HS256 } }",
            r#"Unsupported value: "HS256": supported values: "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA""#,
        ),
        (
            "{ import: { secretRef: { name: a, key: b } }, rotation: { period: 1h } }",
            "rotation: needs generate; to rotate your own key, change the Secret that import names",
        ),
        (
            "{ generate: { algorithm: ES256 }, rotation: { period: 1ms } }",
            "rotation.period: must be at least 1s",
        ),
        (
            "{ import: { secretRef: { name: refused, key: b } }, privateKey: {} }",
            "import: names the Secret that the operator writes; keep your own key in another Secret",
        ),
        (
            "{ generate: { algorithm: ES256 }, privateKey: { secretName: jwks-01234567-x } }",
            "privateKey.secretName: names that start like jwks-01234567- or oac-01234567- are reserved for the operator's ledgers; choose another name",
        ),
        (
            "{ generate: { algorithm: ES256 }, privateKey: {}, publish: { secretName: refused } }",
            "publish.secretName: names the Secret of a private key; publish the public keys in another Secret",
        ),
        (
            "{ import: { secretRef: { name: a, key: b } }, publish: { secretName: a } }",
            "publish.secretName: names the Secret of a private key; publish the public keys in another Secret",
        ),
        (
            "{ generate: { algorithm: ES256 }, publish: { secretName: a, configMapName: b } }",
            "publish: set configMapName or secretName, not both",
        ),
        (
            "{ generate: { algorithm: ES256 }, publish: { secretName: oac-01234567-x } }",
            "publish.secretName: names that start like jwks-01234567- or oac-01234567- are reserved for the operator's ledgers; choose another name",
        ),
        (
            "{ generate: { algorithm: ES256, by: Nobody } }",
            r#"Unsupported value: "Nobody": supported values: "Operator", "Server""#,
        ),
        (
            "{ generate: { algorithm: ES256 }, setName: 01234567-89ab-cdef-0123-456789abcdef }",
            "setName: must not look like a UUID, because key sets without setName get UUIDs as names; choose another name",
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
            "setName is immutable: create a new JsonWebKeySet with the other name",
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
