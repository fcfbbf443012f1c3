//! The ConfigMaps and Secrets into which the operator writes keys.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use oidc_operator::api::{JsonWebKeySet, OAuth2Client};
use serde_json::{Value, json};
use testbed::wait;

use super::status_of;
use crate::bed::{Bed, LIMIT, ServerOptions, text_of};
use crate::conditions::Tone::{Reconciling, Stalled};

fn keys_in(text: Option<&String>) -> Result<Value> {
    let set: Value = serde_json::from_str(text.context("no jwks.json")?)?;
    Ok(set["keys"].clone())
}

pub(super) async fn public_keys_are_published(bed: &Bed) -> Result<()> {
    let options = ServerOptions {
        resync_interval: "1s".to_owned(),
        ..ServerOptions::default()
    };
    let (server, space) = (bed.own_server(options).await?, bed.space().await?);
    let spec = json!({ "serverRef": { "name": server.name }, "generate": { "algorithm": "ES256" }, "publish": {} });
    let set: JsonWebKeySet = space.ready("keys", &spec.to_string()).await?;
    let shown = status_of(&set);
    ensure!(
        shown["configMapName"] == "keys" && shown.get("secretName").is_none(),
        "{shown}"
    );
    let data = space
        .config_maps()
        .get_opt("keys")
        .await?
        .and_then(|found| found.data)
        .unwrap_or_default();
    ensure!(keys_in(data.get("jwks.json"))? == shown["keys"], "{data:?}");
    ensure!(
        space.secret("keys").await?.is_none(),
        "a private key was written to a Secret"
    );

    // The next pass corrects an external change.
    let forged = kube::api::Patch::Merge(json!({ "data": { "jwks.json": "{}" } }));
    space
        .config_maps()
        .patch("keys", &kube::api::PatchParams::default(), &forged)
        .await?;
    wait::until("the public keys to be restored", LIMIT, async || {
        let found = space.config_maps().get_opt("keys").await?.and_then(|found| found.data);
        Ok((found.as_ref() == Some(&data)).then_some(()))
    })
    .await?;

    // A Secret instead of the ConfigMap, then neither.
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "publish": { "secretName": "public" } }))
        .await?;
    let published = |secret: &Secret| {
        let keys = keys_in(text_of(secret).get("jwks.json"));
        keys.is_ok_and(|keys| keys == shown["keys"])
    };
    space.wait_secret("the public keys", "public", published).await?;
    let set: JsonWebKeySet = space.until_ready("keys").await?;
    ensure!(status_of(&set).get("configMapName").is_none(), "{}", status_of(&set));
    ensure!(
        space.config_maps().get_opt("keys").await?.is_none(),
        "the ConfigMap still exists"
    );
    let secret = space.secret("public").await?.context("no Secret")?;
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "publish": null }))
        .await?;
    space.wait_secret_gone(&secret).await?;

    // It is deleted with the set.
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "publish": { "configMapName": "last" } }))
        .await?;
    space.until_ready::<JsonWebKeySet>("keys").await?;
    ensure!(space.config_maps().get_opt("last").await?.is_some(), "no ConfigMap");
    let set = space.remove::<JsonWebKeySet>("keys").await?;
    space.until_gone(&set).await?;
    ensure!(
        space.config_maps().get_opt("last").await?.is_none(),
        "the ConfigMap still exists"
    );
    Ok(())
}

pub(super) async fn foreign_secrets_and_config_maps_are_left_alone(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let theirs = r#"{ apiVersion: v1, kind: ConfigMap, metadata: { name: theirs }, data: { jwks.json: "theirs" } }"#;
    space.apply::<ConfigMap>(theirs).await?;
    let own = r#"{ apiVersion: v1, kind: Secret, metadata: { name: own }, stringData: { kid: "theirs" } }"#;
    space.apply::<Secret>(own).await?;
    space
        .make::<JsonWebKeySet>(
            "one",
            "{ generate: { algorithm: ES256 }, publish: { configMapName: theirs } }",
        )
        .await?;
    let message = "ConfigMap `theirs` exists and belongs to another owner, so the operator does not change it. Delete it or choose another configMapName.";
    space
        .says::<JsonWebKeySet>("one", Stalled, "ConfigMapConflict", message)
        .await?;
    space
        .make::<JsonWebKeySet>(
            "two",
            "{ generate: { algorithm: ES256 }, privateKey: { secretName: own } }",
        )
        .await?;
    let message = "Secret `own` exists and belongs to another owner, so the operator does not change it. Delete it or choose another secretName.";
    space
        .says::<JsonWebKeySet>("two", Stalled, "SecretConflict", message)
        .await?;
    let found = space
        .config_maps()
        .get_opt("theirs")
        .await?
        .and_then(|found| found.data)
        .unwrap_or_default();
    ensure!(
        found.get("jwks.json").map(String::as_str) == Some("theirs"),
        "{found:?}"
    );
    ensure!(
        space.secret_data("own").await?["kid"] == "theirs",
        "the Secret was changed"
    );
    Ok(())
}

pub(super) async fn a_clients_credentials_secret_follows_the_signing_key(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let keys = "{ generate: { algorithm: ES256 }, rotation: { period: 1000h, prePublish: 0s } }";
    space.ready::<JsonWebKeySet>("keys", keys).await?;
    let data = json!({ "KID": "$(keyId)", "PEM": "$(privateKey)", "JWK": "$(privateKeyJwk)", "SCOPE": "$(scope)" });
    let spec = json!({
        "grantTypes": ["client_credentials"], "scopes": ["read", "write"], "tokenEndpointAuthMethod": "private_key_jwt",
        "tokenEndpointAuthSigningAlg": "ES256", "keySetRef": { "name": "keys" }, "credentials": { "data": data },
    });
    space.apply_client("app", &spec.to_string()).await?;
    let message = "JsonWebKeySet `keys` provides no private key, which credentials.data needs. Set privateKey there, or remove the variable.";
    space
        .says::<OAuth2Client>("app", Reconciling, "ReferenceNotReady", message)
        .await?;
    ensure!(
        space.secret("app").await?.is_none(),
        "a Secret without the key was created"
    );

    space
        .respecify::<JsonWebKeySet>("keys", json!({ "privateKey": {} }))
        .await?;
    space.wait_ready("app").await?;
    let same = async || {
        let (mine, theirs) = (space.secret_data("app").await?, space.secret_data("keys").await?);
        let same =
            mine["KID"] == theirs["kid"] && mine["PEM"] == theirs["key.pem"] && mine["JWK"] == theirs["jwk.json"];
        Ok(same.then_some(mine))
    };
    let before = wait::until("the key in the client's credentials Secret", LIMIT, same).await?;
    ensure!(before["SCOPE"] == "read write", "{}", before["SCOPE"]);

    super::login::rotate_now(&space, "keys").await?;
    let next = async || Ok(same().await?.filter(|now| now["KID"] != before["KID"]));
    wait::until("the next key in the client's credentials Secret", LIMIT, next).await?;

    let without = json!({ "tokenEndpointAuthMethod": null, "tokenEndpointAuthSigningAlg": null, "keySetRef": null });
    space.change("app", json!({ "spec": without })).await?;
    let message = "credentials.data: $(keyId), $(privateKey) and $(privateKeyJwk) come from a JsonWebKeySet; set keySetRef, or remove them.";
    space
        .says::<OAuth2Client>("app", Stalled, "InvalidSpec", message)
        .await?;
    Ok(())
}
