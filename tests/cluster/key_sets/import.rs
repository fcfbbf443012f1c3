//! Keys that the user imports.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use oidc_operator::api::JsonWebKeySet;
use oidc_operator::api::json_web_key_set::KeyAlgorithm;
use oidc_operator::controller::engine::lifecycle::is_held;
use oidc_operator::key_material;
use serde_json::{Value, json};

use super::{on_server, status_of};
use crate::bed::{Bed, Space};
use crate::conditions::Tone::Reconciling;

pub async fn import(space: &Space<'_>, name: &str, text: &str) -> Result<()> {
    if text.contains("\"d\"") || text.contains("PRIVATE KEY") {
        space.canary(text);
    }
    let secret = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": name, "labels": { "oidc-operator.dev/watch": "true" } }, "stringData": { "key": text } });
    space.apply::<Secret>(&secret.to_string()).await?;
    Ok(())
}

fn importing(name: &str) -> String {
    json!({ "import": { "secretRef": { "name": name, "key": "key" } }, "privateKey": { "secretName": "out" } })
        .to_string()
}

fn pem_of(algorithm: KeyAlgorithm) -> Result<String> {
    let key = key_material::generate(algorithm, "").map_err(anyhow::Error::msg)?;
    let members: Value = serde_json::from_slice(&key.body())?;
    let pem = members.as_object().and_then(key_material::pem).context("no PEM")?;
    Ok(pem.expose().to_owned())
}

pub(super) async fn an_imported_pem_key_is_written_unchanged(bed: &Bed) -> Result<()> {
    for algorithm in [KeyAlgorithm::RS256, KeyAlgorithm::ES512, KeyAlgorithm::EdDSA] {
        let space = bed.space().await?;
        let pem = pem_of(algorithm)?;
        import(&space, "mine", &pem).await?;
        let set: JsonWebKeySet = space.ready("keys", &importing("mine")).await?;
        let out = space.secret_data("out").await?;
        ensure!(out["key.pem"] == pem, "{algorithm:?} has changed");
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let found = on_server(bed, &uid).await?.context("no set")?;
        ensure!(
            found.keys.len() == 1 && found.keys[0].public.kid == out["kid"],
            "{algorithm:?}"
        );
    }
    Ok(())
}

pub(super) async fn an_invalid_private_key_is_reported(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let key = key_material::generate(KeyAlgorithm::ES256, "mine").map_err(anyhow::Error::msg)?;
    let private: Value = serde_json::from_slice(&key.body())?;
    let public = serde_json::to_value(&key.public)?;
    let mut other = private.clone();
    other["kid"] = json!("other");
    let mut torn = private.clone();
    torn["x"] = json!("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
    let cases = [
        (
            "nonsense".to_owned(),
            "is neither a JWK, nor a JWKS, nor a key in PEM form",
        ),
        (public.to_string(), "holds no private key"),
        (json!({ "keys": [public] }).to_string(), "holds no private key"),
        (
            json!({ "keys": [private, other] }).to_string(),
            "holds more than one private key",
        ),
        (torn.to_string(), "has parts that do not belong together"),
        (
            "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n".to_owned(),
            "holds no private key",
        ),
        (
            json!({ "kty": "oct", "k": "c2VjcmV0", "d": "AA" }).to_string(),
            "is of an unsupported type; use RSA, P-256, P-384, P-521 or Ed25519",
        ),
    ];
    space.make::<JsonWebKeySet>("keys", &importing("mine")).await?;
    let message = "Secret `mine` does not exist. Create it.";
    let waits = space
        .says::<JsonWebKeySet>("keys", Reconciling, "SecretNotFound", message)
        .await?;
    ensure!(
        !is_held(&waits) || waits.status.is_some_and(|status| status.keys.is_empty()),
        "the status lists keys"
    );
    for (text, problem) in cases {
        import(&space, "mine", &text).await?;
        let message = format!("Secret `mine`, key `key`: the value {problem}. Replace it with a usable one.");
        space
            .says::<JsonWebKeySet>("keys", Reconciling, "InvalidSpec", &message)
            .await?;
        ensure!(space.secret("out").await?.is_none(), "an output Secret was written");
    }
    import(&space, "mine", &private.to_string()).await?;
    let set: JsonWebKeySet = space.until_ready("keys").await?;
    ensure!(status_of(&set)["currentKeyId"] == "mine", "{}", status_of(&set));
    // Another key with the same id, which verifiers could not tell apart.
    let clash = key_material::generate(KeyAlgorithm::ES256, "mine").map_err(anyhow::Error::msg)?;
    import(&space, "mine", &String::from_utf8(clash.body())?).await?;
    let message = "Secret `mine`, key `key`: the value holds another key with the same `kid` as before, so verifiers cannot tell the two apart; give it a new `kid`. Replace it with a usable one.";
    space
        .says::<JsonWebKeySet>("keys", Reconciling, "InvalidSpec", message)
        .await?;
    Ok(())
}

pub(super) async fn a_changed_import_is_published(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    import(&space, "mine", &pem_of(KeyAlgorithm::ES256)?).await?;
    let set: JsonWebKeySet = space.ready("keys", &importing("mine")).await?;
    let first = status_of(&set)["currentKeyId"].clone();
    let next = pem_of(KeyAlgorithm::ES384)?;
    import(&space, "mine", &next).await?;
    space
        .wait_secret("the new key", "out", |found: &Secret| {
            crate::bed::text_of(found).get("key.pem") == Some(&next)
        })
        .await?;
    let set = space
        .until("both keys to be published", "keys", |set: &JsonWebKeySet| {
            set.status.as_ref().is_some_and(|status| status.keys.len() == 2)
        })
        .await?;
    let ids: BTreeSet<_> = set.status.iter().flat_map(|status| status.key_ids()).collect();
    ensure!(ids.contains(first.as_str().unwrap_or_default()), "{ids:?}");
    Ok(())
}
