//! A user's own secret: unusable, missing, or changed.

use anyhow::{Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::PostParams;
use libtest_mimic::Trial;
use oidc_operator::api::WATCH_LABEL;
use serde_json::json;

use crate::bed::{Bed, Space, ledger_of};
use crate::conditions::{Tone, client_ready, client_says};
use crate::run::Side;

const SPEC: &str = "{ grantTypes: [client_credentials], clientSecretRef: { name: own, key: password } }";

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(an_unusable_secret_is_reported_without_its_value),
        side.shared(an_unusable_secret_without_label_is_read_again),
        side.shared(a_missing_secret_wakes_its_client_once_created),
        side.shared(a_missing_secret_without_label_is_found_within_a_minute),
        side.shared(a_missing_key_wakes_its_client_once_added),
        side.shared(a_changed_secret_is_pushed_to_the_server),
        side.shared(a_changed_secret_without_label_is_pushed_within_a_minute),
    ]
}

async fn an_unusable_secret_is_reported_without_its_value(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let long = "k7#Zq".repeat(2000);
    let cases: [(&[u8], &str); 5] = [
        (long.as_bytes(), "is longer than the 8 KiB that the operator hands on"),
        (b"k7#Zq", "is shorter than the 6 characters that the server accepts"),
        (
            b"v4lue-with-a-line-break\n",
            "begins or ends with white space, often an accidental line break",
        ),
        (
            b" v4lue-with-a-space-before",
            "begins or ends with white space, often an accidental line break",
        ),
        (b"n0t-text-\xff\xfe-at-all", "is not text"),
    ];
    let client = space.apply_client("app", SPEC).await?;
    for (value, problem) in cases {
        let text = String::from_utf8_lossy(value).trim().to_owned();
        bed.canary(text.clone());
        put(&space, true, value).await?;
        let message = format!("Secret `own`, key `password`: the value {problem}. Replace it with a usable one.");
        let client = client_says(&space, "app", Tone::Reconciling, "InvalidSpec", &message).await?;
        let shown = serde_json::to_string(&client.status)?;
        ensure!(!shown.contains(&text), "the value is shown");
        ensure!(space.secret("app").await?.is_none(), "an incomplete Secret exists");
    }
    let before = space.secret("own").await?;
    put(&space, true, b"usable-secret-value").await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(secret == "usable-secret-value", "another secret");
    bed.token(&id, &secret, "").await?;

    // An unusable value does not break a working client.
    put(&space, true, b"short").await?;
    let message = "Secret `own`, key `password`: the value is shorter than the 6 characters that the server accepts. Replace it with a usable one.";
    client_says(&space, "app", Tone::Reconciling, "InvalidSpec", message).await?;
    bed.token(&id, &secret, "").await?;
    ensure!(space.credentials("app").await?.1 == secret, "the credentials changed");
    ensure!(space.secret(&ledger_of(&client)).await?.is_some(), "the ledger is gone");
    let own = space.secret("own").await?;
    let untouched = own.map(|own| own.owner_references().len()) == before.map(|own| own.owner_references().len());
    ensure!(untouched, "the user's own Secret was claimed");
    Ok(())
}

async fn an_unusable_secret_without_label_is_read_again(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    put(&space, false, b"short").await?;
    space.apply_client("app", SPEC).await?;
    let message = "Secret `own`, key `password`: the value is shorter than the 6 characters that the server accepts. Replace it with a usable one.";
    client_says(&space, "app", Tone::Reconciling, "InvalidSpec", message).await?;
    put(&space, false, b"long-enough-now").await?;
    client_ready(&space, "app").await?;
    Ok(())
}

async fn a_missing_secret_wakes_its_client_once_created(bed: &Bed) -> Result<()> {
    appears(bed, true).await
}

async fn a_missing_secret_without_label_is_found_within_a_minute(bed: &Bed) -> Result<()> {
    appears(bed, false).await
}

async fn appears(bed: &Bed, labelled: bool) -> Result<()> {
    let space = bed.space().await?;
    space.apply_client("app", SPEC).await?;
    let message = "Secret `own` does not exist. Create it.";
    client_says(&space, "app", Tone::Reconciling, "SecretNotFound", message).await?;
    put(&space, labelled, b"from-the-user-1").await?;
    let begun = std::time::Instant::now();
    client_ready(&space, "app").await?;
    ensure!(
        !labelled || begun.elapsed().as_secs() < 15,
        "it was not woken: {:?}",
        begun.elapsed()
    );
    let (id, secret) = space.credentials("app").await?;
    ensure!(secret == "from-the-user-1", "another secret");
    bed.token(&id, &secret, "").await?;
    Ok(())
}

async fn a_missing_key_wakes_its_client_once_added(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    put(&space, true, b"from-the-user-2").await?;
    let spec = "{ grantTypes: [client_credentials], clientSecretRef: { name: own, key: other } }";
    space.apply_client("app", spec).await?;
    let message = "Secret `own`, key `other`, does not exist. Create it.";
    client_says(&space, "app", Tone::Reconciling, "SecretNotFound", message).await?;
    space.edit_secret("own", json!({ "other": "from-the-user-3" })).await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    ensure!(secret == "from-the-user-3", "another secret");
    bed.token(&id, &secret, "").await?;
    Ok(())
}

async fn a_changed_secret_is_pushed_to_the_server(bed: &Bed) -> Result<()> {
    changes(bed, true).await
}

async fn a_changed_secret_without_label_is_pushed_within_a_minute(bed: &Bed) -> Result<()> {
    changes(bed, false).await
}

async fn changes(bed: &Bed, labelled: bool) -> Result<()> {
    let space = bed.space().await?;
    put(&space, labelled, b"the-first-value").await?;
    space.apply_client("app", SPEC).await?;
    client_ready(&space, "app").await?;
    let (id, secret) = space.credentials("app").await?;
    bed.token(&id, &secret, "").await?;
    put(&space, labelled, b"the-second-value").await?;
    space
        .wait_secret("the new value in the credentials Secret", "app", |secret| {
            crate::bed::text_of(secret).get("CLIENT_SECRET").map(String::as_str) == Some("the-second-value")
        })
        .await?;
    bed.token(&id, "the-second-value", "").await?;
    ensure!(
        bed.token(&id, "the-first-value", "").await.is_err(),
        "the old secret still works"
    );
    client_ready(&space, "app").await?;
    Ok(())
}

/// Creates or replaces the user's own Secret.
async fn put(space: &Space<'_>, labelled: bool, value: &[u8]) -> Result<()> {
    let mut secret = space.secret("own").await?.unwrap_or_default();
    secret.metadata.name = Some("own".to_owned());
    if labelled {
        secret.labels_mut().insert(WATCH_LABEL.to_owned(), "true".to_owned());
    }
    secret.data = Some([("password".to_owned(), ByteString(value.to_vec()))].into());
    let api: kube::Api<Secret> = space.secrets();
    let parameters = PostParams::default();
    if secret.uid().is_some() {
        api.replace("own", &parameters, &secret).await?;
    } else {
        api.create(&parameters, &secret).await?;
    }
    Ok(())
}
