//! Presets, random values, and the type of the Secret.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use oidc_operator::secret::is_key;
use serde_json::json;

use crate::bed::{Bed, Space, text_of};
use crate::conditions::{Tone, client_says};

/// The samples, the names of their clients, and the keys, the type and the label of their Secrets.
const SAMPLES: [(&str, &str, &[&str], &str, &str); 6] = [
    (
        include_str!("../../../deploy/samples/09-oauth2-proxy.yaml"),
        "oauth2-proxy",
        &["client-id", "client-secret", "cookie-secret"],
        "Opaque",
        "",
    ),
    (
        include_str!("../../../deploy/samples/10-envoy-gateway.yaml"),
        "gateway",
        &["client-id", "client-secret"],
        "Opaque",
        "",
    ),
    (
        include_str!("../../../deploy/samples/11-argo-cd.yaml"),
        "argocd-login",
        &["clientID", "clientSecret"],
        "Opaque",
        "app.kubernetes.io/part-of=argocd",
    ),
    (
        include_str!("../../../deploy/samples/12-grafana.yaml"),
        "grafana-login",
        &[
            "GF_AUTH_GENERIC_OAUTH_API_URL",
            "GF_AUTH_GENERIC_OAUTH_AUTH_URL",
            "GF_AUTH_GENERIC_OAUTH_CLIENT_ID",
            "GF_AUTH_GENERIC_OAUTH_CLIENT_SECRET",
            "GF_AUTH_GENERIC_OAUTH_ENABLED",
            "GF_AUTH_GENERIC_OAUTH_SCOPES",
            "GF_AUTH_GENERIC_OAUTH_TOKEN_URL",
            "GF_AUTH_GENERIC_OAUTH_USE_REFRESH_TOKEN",
        ],
        "Opaque",
        "",
    ),
    (
        include_str!("../../../deploy/samples/13-service-binding.yaml"),
        "orders-login",
        &[
            "authorization-grant-type",
            "client-id",
            "client-secret",
            "issuer-uri",
            "provider",
            "type",
            "uri",
        ],
        "servicebinding.io/oauth2",
        "",
    ),
    (
        include_str!("../../../deploy/samples/14-native-app.yaml"),
        "native-app",
        &["CLIENT_ID"],
        "Opaque",
        "",
    ),
];

pub(super) async fn the_samples_have_what_applications_read(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    for (sample, ..) in SAMPLES {
        space.apply::<kube::api::DynamicObject>(sample).await?;
    }
    for (_, name, keys, type_, label) in SAMPLES {
        let client = space.wait_ready(name).await?;
        let secret = space.secret(name).await?.context("no Secret")?;
        let data = text_of(&secret);
        ensure!(data.keys().eq(keys), "{name}: {:?}", data.keys());
        ensure!(data.values().all(|value| !value.is_empty()), "{name}: an empty value");
        ensure!(secret.type_.as_deref() == Some(type_), "{name}: {:?}", secret.type_);
        let (key, value) = label.split_once('=').unwrap_or_default();
        ensure!(
            label.is_empty() || secret.labels().get(key).map(String::as_str) == Some(value),
            "{name}: {:?}",
            secret.labels()
        );
        let binding = client
            .status
            .and_then(|status| status.binding)
            .map(|binding| binding.name);
        let is_binding = type_ != "Opaque";
        ensure!(binding.is_some() == is_binding, "{name}: {binding:?}");
        ensure!(binding.is_none_or(|binding| binding == name), "another Secret");
        let id = |key: &&str| key.ends_with("-id") || key.ends_with("ID");
        let id = keys.iter().find(|key| id(key)).context("no client id")?;
        bed.registered(&data[*id]).await?;
    }
    Ok(())
}

async fn cookie(space: &Space<'_>, secret: &str) -> Result<String> {
    let data = space.secret_data(secret).await?;
    let cookie = data.get("cookie-secret").context("no cookie-secret")?;
    ensure!(is_key(cookie.as_bytes()), "not a key");
    space.canary(cookie);
    Ok(cookie.clone())
}

pub(super) async fn a_random_value_is_made_once(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let spec = json!({ "grantTypes": ["client_credentials"], "credentials": { "preset": "OAuth2Proxy" } });
    space.ready_client("app", &spec.to_string()).await?;
    let first = cookie(&space, "app").await?;

    // It stays when the Secret is written again, edited, and renamed.
    space.edit_secret("app", json!({ "client-secret": "edited" })).await?;
    let is_repaired = |secret: &Secret| {
        text_of(secret)
            .get("client-secret")
            .is_some_and(|value| value != "edited")
    };
    space
        .wait_secret("the client secret to be restored", "app", is_repaired)
        .await?;
    ensure!(cookie(&space, "app").await? == first, "it changed with an edit");
    let changes = [
        (
            "app",
            json!({ "labels": { "team": "a" }, "data": { "x": "$(clientId)" } }),
        ),
        ("app", json!({ "keys": { "clientId": "id" } })),
        ("elsewhere", json!({ "secretName": "elsewhere" })),
    ];
    for (name, change) in changes {
        space
            .change("app", json!({ "spec": { "credentials": change } }))
            .await?;
        space.wait_ready("app").await?;
        ensure!(cookie(&space, name).await? == first, "it changed with {change}");
    }

    // One that is no key is replaced, and so is one that is lost. An own one stays.
    space
        .edit_secret("elsewhere", json!({ "cookie-secret": "short" }))
        .await?;
    let has_key = |secret: &Secret| {
        text_of(secret)
            .get("cookie-secret")
            .is_some_and(|value| is_key(value.as_bytes()))
    };
    space.wait_secret("another key", "elsewhere", has_key).await?;
    let second = cookie(&space, "elsewhere").await?;
    ensure!(second != first);
    space.delete_secret("elsewhere").await?;
    space
        .wait_secret("the Secret to come back", "elsewhere", has_key)
        .await?;
    ensure!(cookie(&space, "elsewhere").await? != second);
    let own = "0123456789abcdef0123456789abcdef";
    let spec = json!({ "credentials": { "data": { "cookie-secret": own } } });
    space.change("app", json!({ "spec": spec })).await?;
    space.wait_ready("app").await?;
    ensure!(space.secret_data("elsewhere").await?["cookie-secret"] == own);
    Ok(())
}

pub(super) async fn the_type_of_a_secret_is_chosen_once(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space
        .ready_client("app", "{ grantTypes: [client_credentials], scopes: [read] }")
        .await?;
    let before = space.secret("app").await?.context("no Secret")?;
    let credentials = json!({ "type": "example.com/oauth2", "data": { "scope": "$(scope)" } });
    space
        .change("app", json!({ "spec": { "credentials": credentials } }))
        .await?;
    let message = "The Kubernetes API cannot change the type of Secret `app` from `Opaque` to `example.com/oauth2`. Set another credentials.secretName, or delete the Secret, which the operator then writes again.";
    client_says(&space, "app", Tone::Stalled, "SecretConflict", message).await?;
    let kept = space.secret("app").await?.context("no Secret")?;
    ensure!(kept.uid() == before.uid(), "it was replaced");
    let data: BTreeMap<String, String> = text_of(&kept);
    ensure!(
        data.get("scope").map(String::as_str) == Some("read"),
        "its content is stale: {:?}",
        data.keys()
    );

    space.delete_secret("app").await?;
    space.wait_ready("app").await?;
    let after = space.secret("app").await?.context("no Secret")?;
    ensure!(
        after.type_.as_deref() == Some("example.com/oauth2"),
        "{:?}",
        after.type_
    );
    ensure!(text_of(&after) == data, "other values");
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "read").await?;
    Ok(())
}
